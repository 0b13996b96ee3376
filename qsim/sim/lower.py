"""From a layer and a machine to a :class:`Program`: what depends on the weights is prepared once and used for every input."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture, Dram
from qsim.arch.timing import TIMINGS
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.model.compressed import QuantisedLayer
from qsim.results import LayerResult
from qsim.sim.counts import LayerTotals, layer_counts
from qsim.sim.layout import check_memories, cut_tiles, entries_per_row, pointers_of, rows_of_tiles, rows_touched
from qsim.sim.memory import bursts_of, request_groups
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pe.work import Totals, Work
from qsim.sim.program import Fetch, Program
from qsim.sim.simulated import Simulated
from qsim.sim.traffic import column_traffic, decoder_cycles
from qsim.units import BITS_PER_BYTE

ENTRIES, FILLERS, ADDITIONS, WEIGHT_ROWS, EMPTY = range(5)  # rows of LoweredLayer.column_totals
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiledWeights:
    """A layer's weights in DRAM: ``tile_of_column`` [cols] and per tile [T] its request and its decoder cycles; over all tiles the symbols
    decoded, the rows and pointers written into the memories of all PEs, the code tables and the symbols in them.
    """

    tile_of_column: IntArray
    address: IntArray
    size: IntArray
    decode: IntArray
    symbols: int
    loaded_rows: int
    loaded_pointers: int
    code_tables: int
    table_symbols: int

    @property
    def end(self) -> int:
        """The first address after the weights."""
        return int(self.address[-1] + self.size[-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoweredLayer:
    """One layer on one machine, before its input is known.

    ``service`` [cols, P]: issue cycles of each column in each PE. ``column_totals`` [5, cols]: per column, over all PEs,
    entries, fillers, additions, weight rows touched and PEs without an entry. ``memory_rows``, ``memory_pointers``: what it
    takes in the memories of the fullest PE.
    """

    layer: QuantisedLayer
    machine: Architecture
    first: bool
    last: bool
    service: npt.NDArray[np.uint32]
    column_totals: IntArray
    memory_rows: int
    memory_pointers: int
    tiles: TiledWeights | None

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.node.name

    def columns(self, activations: IntArray) -> IntArray:
        """Return the columns that are broadcast for ``activations`` [cols]: the non-zero ones, or all in dense order."""
        node = self.layer.node
        if activations.shape != (node.inputs,):
            raise UnsupportedProgram(path=f"{node.name}.activations", rule=f"of shape [{node.inputs}]", value=list(activations.shape))
        if not self.machine.scan.skip_zeros:
            return np.arange(node.inputs)
        return np.flatnonzero(activations)

    def program(self, activations: IntArray) -> Program:
        """Return the program of this layer for integer ``activations`` [cols]."""
        columns = self.columns(activations)
        empty, tail = scan_rows(columns, self.layer.node.inputs, self.machine)
        array = self.machine.array
        return Program(
            name=self.layer.node.name,
            queue=array.queue,
            timing=TIMINGS[array.kind],
            scan_empty=empty,
            scan_tail=tail,
            service=self.service[columns].T,
            drain_rows=-(-self.layer.node.outputs // array.pes),
            fetch=self._fetch(columns),
        )

    def _fetch(self, columns: IntArray) -> Fetch | None:
        dram, tiles = self.machine.dram, self.tiles
        if dram is None:
            return None
        inputs, outputs = self._requests(dram)
        return Fetch(
            dram=dram,
            item_tile=tiles.tile_of_column[columns] if tiles is not None else _NONE,
            tile_address=tiles.address if tiles is not None else _NONE,
            tile_bytes=tiles.size if tiles is not None else _NONE,
            tile_decode=tiles.decode if tiles is not None else _NONE,
            input_address=inputs[0],
            input_bytes=inputs[1],
            output_address=outputs[0],
            output_bytes=outputs[1],
        )

    def _requests(self, dram: Dram) -> tuple[tuple[IntArray, IntArray], tuple[IntArray, IntArray]]:
        """Return the requests for the input of the first and the output of the last layer; each region starts a DRAM row."""
        node, bits = self.layer.node, self.machine.array.activation_bits
        end = self.tiles.end if self.tiles is not None else 0
        address = -(-end // dram.row_bytes) * dram.row_bytes
        size = -(-node.inputs * bits // BITS_PER_BYTE)
        inputs = request_groups(address, size, dram) if self.first else (_NONE, _NONE)
        address = -(-(address + size) // dram.row_bytes) * dram.row_bytes
        size = -(-node.outputs * bits // BITS_PER_BYTE)
        return inputs, request_groups(address, size, dram) if self.last else (_NONE, _NONE)

    def result(self, activations: IntArray, simulated: Simulated) -> LayerResult:
        """Return the cycles, units, action counts and events of a simulated program of this layer."""
        columns = self.columns(activations)
        sums = self.column_totals[:, columns].sum(axis=1).tolist()
        work = Totals(columns=len(columns), entries=sums[ENTRIES], fillers=sums[FILLERS], additions=sums[ADDITIONS])
        totals = self._totals(work, sums[WEIGHT_ROWS])
        events = {
            "columns": len(columns),
            "entries": work.entries,
            "filler_entries": work.fillers,
            "empty_columns": sums[EMPTY],
        }
        if self.machine.dram is not None:
            moved = (totals.bursts_read + totals.bursts_written) * self.machine.dram.burst_bytes
            tiles = len(self.tiles.size) if self.tiles is not None else 0
            events |= simulated.events
            events |= {"dram_bytes": moved, "tiles": tiles, "decoded_symbols": totals.symbols}
        return LayerResult(
            name=self.layer.node.name,
            cycles=simulated.cycles,
            macs=work.entries - work.fillers,
            dense_macs=self.layer.node.weights,
            units=simulated.units,
            counts=layer_counts(totals, self.machine),
            events=events,
        )

    def _totals(self, work: Totals, weight_rows: int) -> LayerTotals:
        node, dram, tiles, width = self.layer.node, self.machine.dram, self.tiles, self.machine.scan.row_width
        scanned, drained = -(-node.inputs // width), -(-node.outputs // width)
        totals = LayerTotals(
            results=node.outputs,
            work=work,
            weight_rows=weight_rows,
            scan_reads=scanned,
            input_writes=scanned * self.first,
            output_reads=drained * self.last,
        )
        if dram is None:
            return totals
        inputs, outputs = self._requests(dram)
        totals = replace(
            totals,
            bursts_read=bursts_of(*inputs, dram.burst_bytes),
            bursts_written=bursts_of(*outputs, dram.burst_bytes),
        )
        if tiles is None:
            return totals
        return replace(
            totals,
            table_rows=node.outputs,
            codebooks=1,
            loaded_rows=tiles.loaded_rows,
            loaded_pointers=tiles.loaded_pointers,
            symbols=tiles.symbols,
            code_tables=tiles.code_tables,
            table_symbols=tiles.table_symbols,
            bursts_read=totals.bursts_read + bursts_of(tiles.address, tiles.size, dram.burst_bytes),
        )


def scan_rows(columns: IntArray, inputs: int, machine: Architecture) -> tuple[IntArray, int]:
    """Return the all-zero rows passed before each of ``columns`` [N] and those after the last."""
    if not machine.scan.skip_zeros:
        return np.zeros(len(columns), dtype=np.int64), 0
    rows = -(-inputs // machine.scan.row_width)
    row = columns // machine.scan.row_width
    empty = np.maximum(0, np.diff(row, prepend=-1) - 1)
    return empty, rows - 1 - int(row[-1]) if len(row) else rows


def lower(layer: QuantisedLayer, machine: Architecture, *, first: bool = False, last: bool = False) -> LoweredLayer:
    """Prepare ``layer`` for ``machine``; ``first`` and ``last`` say whether its input comes from and its output goes off the chip.

    Raises :class:`UnsupportedProgram`, naming the field and what to change, for a form the PE cannot run, a codebook, pulse or
    number format too wide, more rows than accumulators, or activations, pointers or weights that do not fit.
    """
    node, array = layer.node, machine.array
    _check_node(layer, machine)
    work = PE_VARIANTS[array.kind].work(layer.form, machine, node.name)
    pointers = pointers_of(work.entries)
    per_row = entries_per_row(machine)
    tiles, starts = _tile(layer, machine, work, pointers) if machine.streams_weights else (None, np.zeros(1, dtype=np.int64))
    of_column = tiles.tile_of_column if tiles is not None else np.zeros(node.inputs, dtype=np.int64)
    sums = [part.sum(axis=0) for part in (work.entries, work.fillers, work.additions)]
    touched = rows_touched(pointers, of_column, starts, per_row)
    lowered = LoweredLayer(
        layer=layer,
        machine=machine,
        first=first,
        last=last,
        service=np.ascontiguousarray(np.maximum(work.issue, array.min_column_cycles).T.astype(np.uint32)),
        column_totals=np.stack([*sums, touched, np.sum(work.entries == 0, axis=0)]),
        memory_rows=int(rows_of_tiles(pointers, starts, per_row).max(initial=0)),
        memory_pointers=int(np.diff(np.append(starts, node.inputs)).max()) + 1 if PE_VARIANTS[array.kind].pointers else 0,
        tiles=tiles,
    )
    slots = machine.dram.buffers if machine.dram is not None and machine.streams_weights else 1
    check_memories([lowered], machine, slots)
    return lowered


def _tile(layer: QuantisedLayer, machine: Architecture, work: Work, pointers: IntArray) -> tuple[TiledWeights, IntArray]:
    dram = machine.dram
    assert dram is not None
    node = layer.node
    traffic = column_traffic(layer.form, work, machine, node.name)
    starts = cut_tiles(traffic.bits, pointers, machine, node.name)
    bits = np.add.reduceat(traffic.bits, starts)
    bits[0] += traffic.table_bits + work.table_bits + node.outputs * node.bias_format.width
    symbols = np.add.reduceat(traffic.symbols, starts)
    # A tile without a single entry is still asked for: its length is only known once it has come.
    size = np.maximum(1, -(-bits // BITS_PER_BYTE))
    padded = -(-size // dram.burst_bytes) * dram.burst_bytes
    has_pointers = PE_VARIANTS[machine.array.kind].pointers
    tiles = TiledWeights(
        tile_of_column=np.repeat(np.arange(len(starts)), np.diff(np.append(starts, node.inputs))),
        address=np.cumsum(padded) - padded,
        size=size,
        decode=decoder_cycles(symbols, traffic.table_symbols, machine),
        symbols=int(symbols.sum()),
        loaded_rows=int(rows_of_tiles(pointers, starts, entries_per_row(machine)).sum()),
        loaded_pointers=machine.array.pes * (node.inputs + len(starts)) if has_pointers else 0,
        code_tables=traffic.tables,
        table_symbols=traffic.table_symbols,
    )
    return tiles, starts


def _check_node(layer: QuantisedLayer, machine: Architecture) -> None:
    node, array = layer.node, machine.array
    local = -(-node.outputs // array.pes)
    if local > array.local_rows:
        raise UnsupportedProgram(path="array.local_rows", rule=f"at least {local} for {node.name} (or more PEs)", value=array.local_rows)
    check_formats(layer, machine)
    need = -(-(node.inputs + node.outputs) * array.activation_bits // (BITS_PER_BYTE * array.pes))
    if need > machine.activations.bytes:
        rule = f"at least {need}, for input and output of {node.name} over {array.pes} PEs"
        raise UnsupportedProgram(path="activations.bytes", rule=rule, value=machine.activations.bytes)


def check_formats(layer: QuantisedLayer, machine: Architecture) -> None:
    """Raise :class:`UnsupportedProgram` for a number format that is too wide for the PEs."""
    node, array = layer.node, machine.array
    for path, width, have in (
        ("array.activation_bits", max(node.input_format.width, node.output_format.width), array.activation_bits),
        ("array.accumulator_bits", max(node.accumulator_format.width, node.bias_format.width), array.accumulator_bits),
        ("array.weight_bits", layer.scale_format.width if layer.scale_format is not None else 1, array.weight_bits),
    ):
        if width > have:
            raise UnsupportedProgram(path=path, rule=f"at least {width} for {node.name}", value=have)
