"""The relative index: a sparse sequence as gaps between its non-zeros.

The gap of an entry is the number of zeros between it and the entry before (or the start). A gap has ``index_bits`` bits;
where a run of zeros is longer than ``largest = 2**index_bits - 1``, filler entries are put in: a filler has gap ``largest``
and the value zero, so it covers ``largest + 1 = 2**index_bits`` zeros, its own place included.

Source: Han et al., "EIE", ISCA 2016, section III-B; the same scheme stores the file in "Deep Compression", ICLR 2016. EIE's
example: the column 0 0 1 2 0 (18 zeros in all) 3 with 4-bit gaps has values 1 2 0 3 and gaps 2 0 15 2; the 0 is a filler.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError
from qsim.formats.counting import narrowest
from qsim.formats.fixed import IntArray
from qsim.formats.layer import BoolArray

MAX_INDEX_BITS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelativeEntries:
    """Entries in storage order: ``gaps`` [n] in the narrowest type and ``is_filler`` [n]; the others stand for the non-zeros in order."""

    gaps: npt.NDArray[np.integer]
    is_filler: BoolArray

    @property
    def fillers(self) -> int:
        """Number of filler entries."""
        return int(np.count_nonzero(self.is_filler))


@dataclass(frozen=True, slots=True)
class RelativeIndex:
    """A relative index of ``index_bits`` bits (1 to 16)."""

    index_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.index_bits <= MAX_INDEX_BITS:
            raise FieldError(path="relative_index.index_bits", rule=f"1 to {MAX_INDEX_BITS}", value=self.index_bits)

    @property
    def largest(self) -> int:
        """The largest gap one entry can have, and the gap of every filler."""
        return (1 << self.index_bits) - 1

    def split(self, runs: IntArray) -> tuple[IntArray, IntArray]:
        """Return for each run of zeros before a non-zero the fillers it needs and the gap that is left (any integer type)."""
        return runs >> self.index_bits, runs & self.largest

    def expand(self, runs: IntArray) -> RelativeEntries:
        """Return the entries of non-zeros preceded by ``runs`` [n] zeros each."""
        fillers, rest = self.split(runs)
        places = np.arange(len(runs)) + np.cumsum(fillers)
        count = len(runs) + int(fillers.sum())
        gaps = np.full(count, self.largest, dtype=narrowest(self.largest))
        is_filler = np.ones(count, dtype=np.bool_)
        gaps[places] = rest
        is_filler[places] = False
        return RelativeEntries(gaps=gaps, is_filler=is_filler)

    def encode(self, positions: IntArray) -> RelativeEntries:
        """Return the entries of strictly increasing ``positions`` [n] of non-zeros, counted from 0."""
        return self.expand(np.diff(positions, prepend=-1) - 1)

    def decode(self, entries: RelativeEntries, length: int) -> IntArray:
        """Return the positions of the non-zeros, the exact inverse of :meth:`encode`.

        Raises :class:`FileFormatError` when a position is not below ``length``, a filler has another gap than
        ``largest``, or the last entry is a filler (it would stand before nothing).
        """
        if np.any(entries.gaps[entries.is_filler] != self.largest):
            raise FileFormatError(path="relative_index.gaps", rule=f"{self.largest} for a filler entry", value="another gap")
        if entries.is_filler.size and entries.is_filler[-1]:
            raise FileFormatError(path="relative_index.entries", rule="ended by a non-zero", value="a filler entry")
        positions: IntArray = np.cumsum(entries.gaps, dtype=np.int64)
        positions += np.arange(len(positions))
        if positions.size and int(positions[-1]) >= length:
            raise FileFormatError(path="relative_index.gaps", rule=f"within {length} places", value=int(positions[-1]))
        return positions[~entries.is_filler]
