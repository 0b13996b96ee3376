"""Histograms of large arrays in little memory, and the narrowest type that holds them: a network has 10^8 weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.formats.fixed import IntArray

PART = 1 << 20  # elements that are widened to 64 bits at a time
SHORT = 1 << 16  # runs below this are counted in a table


def narrowest(largest: int) -> np.dtype[Any]:
    """Return the narrowest integer type that holds 0 to ``largest``, at most 2**31 - 1."""
    return np.dtype(np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.int32)


def count_symbols(symbols: npt.NDArray[np.integer], minlength: int = 0) -> IntArray:
    """Return how often each symbol >= 0 occurs, as ``np.bincount`` of the flat array does."""
    flat = symbols.reshape(-1)
    size = max(minlength, int(flat.max()) + 1 if flat.size else 0)
    counts: IntArray = np.zeros(size, dtype=np.int64)
    for start in range(0, flat.size, PART):
        counts += np.bincount(flat[start : start + PART], minlength=size)
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """How many non-holes are preceded by a run of holes of each length: ``numbers`` [n] of ``lengths`` [n]."""

    lengths: IntArray
    numbers: IntArray

    @classmethod
    def of(cls, cells: npt.NDArray[np.integer], hole: int) -> "Runs":
        """Return the runs in ``cells`` [n], taken in order."""
        short, long = np.zeros(SHORT, dtype=np.int64), [np.zeros(0, dtype=np.int64)]
        last = -1
        for start in range(0, cells.size, PART):
            places = start + np.flatnonzero(cells[start : start + PART] != hole)
            if places.size:
                found = np.diff(places, prepend=last) - 1
                last = int(places[-1])
                short += np.bincount(found[found < SHORT], minlength=SHORT)
                long.append(found[found >= SHORT])
        lengths, numbers = np.unique_counts(np.concatenate(long))
        seen = np.flatnonzero(short)
        return cls(np.concatenate([seen, lengths]), np.concatenate([short[seen], numbers]))
