"""Weights that are on chip together while all pixels of a convolution go by.

A *block* is a run of output channels whose weights fit the memories of the PEs. Its columns are those that the scan counts: the channels of
a tap are padded up to whole scan rows, so that column ``tap * stride + channel`` meets lane ``channel % row_width``. On PEs with
pointers a padded column is empty. On the others each column has the same length, so it is stored as well: those entries are accounted as
fillers, because they cost memory (and, in dense order, cycles) but hold no weight.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture, Dram
from qsim.encode.interleave import local_rows
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded, VectorCoded
from qsim.sim.layout import entries_per_row, pointers_of, rows_of_tiles, rows_touched
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pe.work import Work
from qsim.sim.pixels import narrowest
from qsim.sim.traffic import ColumnTraffic, column_traffic, decoder_cycles
from qsim.units import BITS_PER_BYTE

ENTRIES, FILLERS, ADDITIONS, WEIGHT_ROWS, EMPTY = range(5)  # rows of Block.column_totals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Load:
    """What it takes to bring a block from DRAM: per request [T] its bytes and its decoder cycles; the counts as in ``LayerTotals``."""

    size: IntArray
    decode: IntArray
    symbols: int
    loaded_rows: int
    loaded_pointers: int
    code_tables: int
    table_symbols: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return int(self.size.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """``service`` [columns, P] and ``column_totals`` [5, columns] as in ``LoweredLayer``, over padded columns; ``memory_rows``,
    ``memory_pointers``: what it takes in the memories of the fullest PE; ``load`` is None where weights are on chip from the start.
    """

    rows: int
    service: npt.NDArray[np.unsignedinteger]
    column_totals: IntArray
    memory_rows: int
    memory_pointers: int
    load: Load | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where stored columns stand among the padded ones: ``taps`` runs of ``channels``, each ``stride`` long."""

    taps: int
    channels: int
    stride: int

    @classmethod
    def of(cls, taps: int, channels: int, row_width: int) -> "Columns":
        """Pad ``channels`` up to whole scan rows."""
        return cls(taps=taps, channels=channels, stride=-(-channels // row_width) * row_width)

    @property
    def count(self) -> int:
        """Padded columns."""
        return self.taps * self.stride

    def spread(self, stored: IntArray, padding: IntArray | int = 0) -> IntArray:
        """Return ``stored`` [..., taps * channels] as [..., count], with ``padding`` between."""
        whole = np.empty((*stored.shape[:-1], self.taps, self.stride), dtype=np.int64)
        whole[..., : self.channels] = stored.reshape(*stored.shape[:-1], self.taps, self.channels)
        whole[..., self.channels :] = np.expand_dims(np.asarray(padding), -1)
        return whole.reshape(*stored.shape[:-1], self.count)


def rows_of(form: Form, rows: slice) -> Form:
    """Return some rows of a form."""
    match form:
        case Dense():
            return replace(form, values=form.values[rows])
        case ScalarCoded():
            return replace(form, codes=form.codes[rows], mask=None if form.mask is None else form.mask[rows])
        case Pyramid():
            return replace(form, pulses=form.pulses[rows], scales=form.scales[rows])
        case VectorCoded():
            return Dense(values=form.reconstruct()[rows], weight_format=form.weight_format)


def block_of(form: Form, columns: Columns, bias_bits: int, machine: Architecture, layer: str) -> Block:
    """Prepare the rows of ``form`` for ``machine``, whether or not they fit."""
    work = PE_VARIANTS[machine.array.kind].work(form, machine, layer)
    padded = _padded(work, columns, form.rows, machine)
    pointers = pointers_of(padded.entries)
    start = np.zeros(1, dtype=np.int64)
    per_row = entries_per_row(machine)
    touched = rows_touched(pointers, np.zeros(columns.count, dtype=np.int64), start, per_row)
    sums = [part.sum(axis=0) for part in (padded.entries, padded.fillers, padded.additions)]
    load = _load(form, work, padded, columns, bias_bits, machine, layer) if machine.streams_weights else None
    return Block(
        rows=form.rows,
        service=narrowest(np.maximum(padded.issue, machine.array.min_column_cycles).T),
        column_totals=np.stack([*sums, touched, np.sum(padded.entries == 0, axis=0)]),
        memory_rows=int(rows_of_tiles(pointers, start, per_row).max(initial=0)),
        memory_pointers=columns.count + 1 if PE_VARIANTS[machine.array.kind].pointers else 0,
        load=load,
    )


def _padded(work: Work, columns: Columns, rows: int, machine: Architecture) -> Work:
    array = machine.array
    every = 0 if PE_VARIANTS[array.kind].pointers else local_rows(rows, array.pes)[:, None]
    return Work(
        entries=columns.spread(work.entries, every),
        fillers=columns.spread(work.fillers, every),
        additions=columns.spread(work.additions, every),
        issue=columns.spread(work.issue, every),
        table_bits=work.table_bits,
    )


def _load(form: Form, work: Work, padded: Work, columns: Columns, bias_bits: int, machine: Architecture, layer: str) -> Load:
    """Requests of ``dram.tile_bytes`` as for a streamed layer; coded weights have no symbols for padded columns."""
    dram, has_pointers = machine.dram, PE_VARIANTS[machine.array.kind].pointers
    assert dram is not None
    traffic = column_traffic(form, work, machine, layer)
    if machine.decoder is None:
        traffic = column_traffic(form, padded, machine, layer)
    else:
        traffic = replace(traffic, bits=columns.spread(traffic.bits), symbols=columns.spread(traffic.symbols))
    starts = _cut(traffic, dram)
    bits, symbols = (np.add.reduceat(part, starts) for part in (traffic.bits, traffic.symbols))
    bits[0] += traffic.table_bits + work.table_bits + form.rows * bias_bits
    rows = rows_of_tiles(pointers_of(padded.entries), np.zeros(1, dtype=np.int64), entries_per_row(machine))
    return Load(
        size=np.maximum(1, -(-bits // BITS_PER_BYTE)),
        decode=decoder_cycles(symbols, traffic.table_symbols, machine),
        symbols=int(symbols.sum()),
        loaded_rows=int(rows.sum()),
        loaded_pointers=machine.array.pes * (columns.count + 1) if has_pointers else 0,
        code_tables=traffic.tables,
        table_symbols=traffic.table_symbols,
    )


def _cut(traffic: ColumnTraffic, dram: Dram) -> IntArray:
    """Return the first column of each request: as many columns as fit ``dram.tile_bytes``, at least one."""
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(traffic.bits)])
    starts = [0]
    while True:
        stop = int(np.searchsorted(before, before[starts[-1]] + dram.tile_bytes * BITS_PER_BYTE, side="right")) - 1
        stop = max(starts[-1] + 1, stop)
        if stop >= len(traffic.bits):
            return np.array(starts, dtype=np.int64)
        starts.append(stop)


def cut_rows(form: Form, columns: Columns, bias_bits: int, machine: Architecture, layer: str) -> list[Block]:
    """Return the fewest blocks of equally many rows a PE that each fit the memories and the accumulators.

    Where the weights do not come from DRAM there is one block. Raises :class:`UnsupportedProgram` if one row a PE does not fit.
    """
    array, depth = machine.array, -(-form.rows // machine.array.pes)
    least = -(-depth // array.local_rows)
    if not machine.streams_weights:
        if least > 1:
            raise UnsupportedProgram(path="array.local_rows", rule=f"at least {depth} for {layer} (or more PEs)", value=array.local_rows)
        return [block_of(form, columns, bias_bits, machine, layer)]
    need, have = _pointer_bytes(columns, machine), machine.pointers.bytes
    if need > have:
        raise UnsupportedProgram(path="pointers.bytes", rule=f"at least {need} a PE for the columns of {layer}", value=have)
    capacity = machine.weights.bytes * BITS_PER_BYTE // machine.weights.width_bits
    count = least
    while True:
        size = -(-depth // count) * array.pes
        parts = [slice(start, min(form.rows, start + size)) for start in range(0, form.rows, size)]
        blocks = []
        for part in parts:
            blocks.append(block_of(form if len(parts) == 1 else rows_of(form, part), columns, bias_bits, machine, layer))
            if blocks[-1].memory_rows > capacity:
                break
        worst = max(block.memory_rows for block in blocks)
        if worst <= capacity:
            return blocks
        if size == array.pes:
            need = worst * machine.weights.width_bits // BITS_PER_BYTE
            rule = f"at least {need} a PE for one row of {layer} in each PE (or more PEs)"
            raise UnsupportedProgram(path="weights.bytes", rule=rule, value=machine.weights.bytes)
        count = min(depth, max(count + 1, -(-len(parts) * worst // capacity)))


def _pointer_bytes(columns: Columns, machine: Architecture) -> int:
    pointers = columns.count + 1 if PE_VARIANTS[machine.array.kind].pointers else 0
    return -(-pointers * machine.pointers.width_bits // BITS_PER_BYTE)
