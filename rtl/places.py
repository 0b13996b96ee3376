"""Where an activation lies: the scan reads rows of ``row_width`` of them, the drain writes rows of one from each PE."""

import math
from dataclasses import dataclass
from typing import Self

from amaranth.utils import ceil_log2

from rtl.parameters import ArrayParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlaces:
    """The activation memory as banks of ``chunk`` activations side by side, ``lanes`` activations wide.

    Scan rows and drain rows both divide the lanes, so that either is read or written in one cycle: a scan row is one of ``groups`` that
    lie side by side, a drain row one of ``result_groups``. An array that stores no results has lanes of one scan row.
    """

    row_width: int
    pes: int
    columns: int
    halves: int

    @classmethod
    def of(cls, parameters: ArrayParameters) -> Self:
        """Return the places of an array's activations."""
        p = parameters
        return cls(row_width=p.row_width, pes=p.pes, columns=max(p.columns, p.activations), halves=p.halves)

    @property
    def stores(self) -> bool:
        """Whether results are written back."""
        return self.halves > 1

    @property
    def lanes(self) -> int:
        """Activations side by side."""
        return math.lcm(self.row_width, self.pes) if self.stores else self.row_width

    @property
    def chunk(self) -> int:
        """Activations in a word of one bank."""
        return math.gcd(self.row_width, self.pes) if self.stores else self.row_width

    @property
    def banks(self) -> int:
        """Banks side by side."""
        return self.lanes // self.chunk

    @property
    def groups(self) -> int:
        """Scan rows side by side."""
        return self.lanes // self.row_width

    @property
    def result_groups(self) -> int:
        """Drain rows side by side."""
        return self.lanes // self.pes

    @property
    def group_bits(self) -> int:
        """Low bits of a row's address that choose its group."""
        return ceil_log2(self.groups)

    @property
    def depth_bits(self) -> int:
        """Bits that choose a word of a half of a bank."""
        return ceil_log2(-(-self.columns // self.lanes))

    @property
    def depth(self) -> int:
        """Words of a bank."""
        return self.halves << self.depth_bits if self.stores else -(-self.columns // self.lanes)

    @property
    def addresses(self) -> int:
        """Addresses of scan rows on the load bus, unused ones included."""
        return self.depth << self.group_bits

    def address(self, row: int, half: int = 0) -> int:
        """Return the address of a scan row on the load bus."""
        word, group = divmod(row, self.groups)
        return (((half << self.depth_bits) | word) << self.group_bits) | group
