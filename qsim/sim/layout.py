"""Where the weights lie: rows of the weight memory of each PE, and the tiles in which they come from DRAM.

A row of ``weights.width_bits`` holds a power of two of entries, so that a pointer splits into row and place without a division
(EIE: 8 entries of 8 bits in 64). Columns follow each other without gaps; every tile starts a new row.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.units import BITS_PER_BYTE


def entries_per_row(machine: Architecture) -> int:
    """Return how many entries a row of the weight memory holds."""
    return 1 << ((machine.weights.width_bits // machine.array.entry_bits).bit_length() - 1)


def pointers_of(entries: IntArray) -> IntArray:
    """Return the place of each column's first entry [P, cols + 1] for ``entries`` [P, cols]."""
    pointers = np.zeros((entries.shape[0], entries.shape[1] + 1), dtype=np.int64)
    np.cumsum(entries, axis=1, out=pointers[:, 1:])
    return pointers


def rows_touched(pointers: IntArray, tile_of_column: IntArray, first_column: IntArray, per_row: int) -> IntArray:
    """Return the rows that reading each column touches, summed over the PEs [cols].

    ``first_column`` [T]: the first column of each tile, whose entries start a row.
    """
    base = pointers[:, first_column[tile_of_column]]
    start, stop = pointers[:, :-1] - base, pointers[:, 1:] - base
    rows = (stop - 1) // per_row - start // per_row + 1
    touched: IntArray = np.sum(np.where(stop > start, rows, 0), axis=0)
    return touched


def rows_of_tiles(pointers: IntArray, first_column: IntArray, per_row: int) -> IntArray:
    """Return the rows that each tile fills in the weight memory of each PE [P, T]."""
    bounds = np.append(first_column, pointers.shape[1] - 1)
    rows: IntArray = -(-np.diff(pointers[:, bounds], axis=1) // per_row)
    return rows


def cut_tiles(column_bits: IntArray, pointers: IntArray, machine: Architecture, layer: str) -> IntArray:
    """Return the first column of each tile [T]: as many columns as fit ``dram.tile_bytes`` and a slot of every PE.

    A tile holds at least one column, even one larger than ``tile_bytes``. Raises :class:`UnsupportedProgram` if one column does
    not fit the slot of a PE.
    """
    assert machine.dram is not None
    limit = machine.dram.tile_bytes * BITS_PER_BYTE
    memory_rows = machine.weights.bytes * BITS_PER_BYTE // machine.weights.width_bits
    slot = memory_rows // machine.dram.buffers * entries_per_row(machine)
    largest = int(np.diff(pointers, axis=1).max(initial=0))
    if largest > slot:
        rule = f"enough for {machine.dram.buffers} tile slots of a column of {layer} ({largest} entries in one PE; a slot holds {slot})"
        raise UnsupportedProgram(path="weights.bytes", rule=rule, value=machine.weights.bytes)
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(column_bits)])
    columns = len(column_bits)
    starts, start = [], 0
    while start < columns:
        starts.append(start)
        stop = int(np.searchsorted(before, before[start] + limit, side="right")) - 1
        stop = max(start + 1, stop)
        if int((pointers[:, stop] - pointers[:, start]).max()) > slot:
            inside = (pointers[:, start + 1 : stop + 1] - pointers[:, start, None]).max(axis=0)
            stop = start + int(np.searchsorted(inside, slot, side="right"))
        start = stop
    return np.array(starts, dtype=np.int64)


class Resident(Protocol):
    """A layer whose weights lie in the memories of the PEs; what it takes in those of the fullest."""

    @property
    def name(self) -> str:
        """Of the layer."""

    @property
    def memory_rows(self) -> int:
        """Rows of the weight memory."""

    @property
    def memory_pointers(self) -> int:
        """Pointers."""


def check_memories(layers: Sequence[Resident], machine: Architecture, slots: int = 1) -> None:
    """Check that ``layers`` fit the weight and pointer memories together, ``slots`` times.

    Raises :class:`UnsupportedProgram` naming what is too small.
    """
    names = ", ".join(layer.name for layer in layers)
    need = -(-sum(layer.memory_rows for layer in layers) * slots * machine.weights.width_bits // BITS_PER_BYTE)
    if need > machine.weights.bytes:
        rule = f"at least {need} a PE for the weights of {names} (or use more PEs, or a machine that streams weights)"
        raise UnsupportedProgram(path="weights.bytes", rule=rule, value=machine.weights.bytes)
    need = -(-sum(layer.memory_pointers for layer in layers) * slots * machine.pointers.width_bits // BITS_PER_BYTE)
    if need > machine.pointers.bytes:
        rule = f"at least {need} a PE for the column pointers of {names}"
        raise UnsupportedProgram(path="pointers.bytes", rule=rule, value=machine.pointers.bytes)
