"""A prepared convolution with its input: the order of its transfers and pixels in time, its accounts and its action counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qsim.arch.architecture import Dram
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.results import LayerResult, Stall, UnitTime
from qsim.sim.account import unit
from qsim.sim.blocks import ADDITIONS, EMPTY, ENTRIES, FILLERS, WEIGHT_ROWS, Load
from qsim.sim.convolution import LoweredConvolution, MakeMap, Operand, Pass
from qsim.sim.counts import LayerTotals, layer_counts
from qsim.sim.memory import GROUP_BURSTS, HITS, MISSES, bursts_of, channel_constants, channel_service, channel_state, request_groups
from qsim.sim.pe.work import Totals
from qsim.sim.pixels import PixelPrograms, PixelTotals, activation_map, totals_of
from qsim.sim.regions import Regions
from qsim.units import BITS_PER_BYTE

MOVED = ("weights", "operand", "input", "output")
RunPixels = Callable[[PixelPrograms], PixelTotals]
Serve = Callable[[int, IntArray, IntArray, IntArray, IntArray, IntArray], int]
Stream = Callable[[int, IntArray, int, IntArray, IntArray, IntArray], int]


def serve(start: int, address: IntArray, size: IntArray, constants: IntArray, state: IntArray, ends: IntArray) -> int:
    """Serve requests that are issued together in cycle ``start``, one after the other; write when each ends, return the last end."""
    time = start + 1
    for request in range(len(address)):
        time = channel_service(time, address[request], size[request], constants, state)
        ends[request] = time
    return time if len(address) else start


def stream(start: int, rows: IntArray, group: int, constants: IntArray, state: IntArray, sums: IntArray) -> int:
    """Run the output rows of a spilled pass from cycle ``start`` on; return the cycle after the last.

    ``rows`` [5, rows]: address and bytes of the input that a row needs first, cycles of its pixels, address and bytes of its outputs;
    ``group``: bytes of a request. ``sums`` [2, 3] takes for input and output the cycles waited, the cycles served and the bursts.
    """
    time = start
    for row in rows.T.tolist():
        for way, (address, size) in enumerate((row[:2], row[3:])):
            begin = time
            if size:
                addresses = np.arange(address, address + size, group)
                sizes = np.minimum(group, address + size - addresses)
                time = serve(time, addresses, sizes, constants, state, np.zeros(len(addresses), dtype=np.int64))
                sums[way] += (time - begin, time - begin - 1, bursts_of(addresses, sizes, int(constants[1])))
            if way == 0:
                time += row[2]
    return time


def run_one_by_one(pixels: PixelPrograms) -> PixelTotals:
    """Run the program of every pixel on the event engine."""
    from qsim.sim import event

    return totals_of(pixels, [event.simulate(pixels.program(pixel), timeline=False) for pixel in range(len(pixels.reads))])


@dataclass(slots=True)
class _Clock:
    """Where the layer is in time, and what its cycles and bursts went to."""

    dram: Dram | None
    engine: "_Engine"
    now: int = 0
    waits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVED, 0))
    served: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVED, 0))
    bursts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVED, 0))
    decoded: int = 0
    starved: int = 0
    state: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    constants: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if self.dram is not None:
            self.state, self.constants = channel_state(self.dram), channel_constants(self.dram)

    def move(self, what: str, address: IntArray, size: IntArray, decode: IntArray | None = None) -> None:
        """Wait for requests issued now, and for the decoder behind them."""
        if self.dram is None or not len(address):
            return
        ends = np.zeros(len(address), dtype=np.int64)
        begin, end = self.now, int(self.engine.serve(self.now, address, size, self.constants, self.state, ends))
        self.served[what] += end - begin - 1
        self.bursts[what] += bursts_of(address, size, self.dram.burst_bytes)
        if decode is not None and decode.any():
            ready = begin
            for fetched, cycles in zip(ends.tolist(), decode.tolist(), strict=True):
                ready = max(ready, fetched) + cycles
            self.decoded += int(decode.sum())
            self.starved += ready - begin - int(decode.sum())
            end = ready
        self.now = end
        self.waits[what] += end - begin

    def stream(self, rows: IntArray) -> None:
        """Run the rows of a spilled pass."""
        assert self.dram is not None
        sums = np.zeros((2, 3), dtype=np.int64)
        self.now = int(self.engine.stream(self.now, rows, GROUP_BURSTS * self.dram.burst_bytes, self.constants, self.state, sums))
        for what, (waited, served, bursts) in zip(("input", "output"), sums.tolist(), strict=True):
            self.waits[what] += waited
            self.served[what] += served
            self.bursts[what] += bursts


class ConvolutionRun:
    """One prepared convolution with one input, on one engine. Everything is known once it is constructed."""

    def __init__(self, layer: LoweredConvolution, activations: IntArray, engine: str) -> None:
        self.layer = layer
        parts = _engine(engine)
        self.clock = _Clock(layer.machine.dram, parts)
        self.totals: list[tuple[Pass, PixelTotals]] = []
        self.writes: list[PixelTotals] = []
        self.weights_at = 0
        self.regions = Regions(layer)
        if layer.loads_input and not layer.spilled:
            self._move("input", self.regions.input(0, layer.geometry.height))
        if layer.operand is not None and layer.loads_operand and not layer.spilled:
            self._move("operand", self.regions.operand(layer.operand.elements))
        for part, pixels in layer.pixels(activations, parts.map_of):
            found = parts.run(pixels)
            self.totals.append((part, found))
            for number in range(1 if part.block.load is None and not layer.spilled else part.repeats):
                self.regions.group = (part.group or 0) + number
                self._load(part.block.load)
                self._write(part, parts.run)
                self._pass(part, pixels, found)
        if layer.unloads_output and not layer.spilled:
            self._move("output", self.regions.output(0, layer.stored))
        self.cycles = self.clock.now

    def _load(self, load: Load | None) -> None:
        if load is None or self.layer.machine.dram is None:
            return
        burst = self.layer.machine.dram.burst_bytes
        padded = -(-load.size // burst) * burst
        self.clock.move("weights", self.weights_at + np.cumsum(padded) - padded, load.size, load.decode)
        self.weights_at += int(padded.sum())

    def _write(self, part: Pass, run: RunPixels) -> None:
        """Write the operand of a product into the weight memories; of a spilled layer it is fetched for each pass."""
        layer = self.layer
        if layer.operand is None:
            return
        if layer.loads_operand and layer.spilled:
            self._move("operand", self.regions.operand(layer.written(part)))
        pixels = layer.writing(part, 1 if layer.spilled else part.repeats)
        self.writes.append(run(pixels))
        self.clock.now += self.writes[-1].cycles + pixels.timing.pixel_setup_latency

    def _pass(self, part: Pass, pixels: PixelPrograms, found: PixelTotals) -> None:
        """Run all pixels; of a spilled layer row by row, between the transfers of each row."""
        layer = self.layer
        times = part.repeats if part.block.load is None and not layer.spilled else 1
        gap = pixels.timing.pixel_setup_latency
        each = layer.geometry.pixels
        if not layer.spilled:
            cycles = int(found.pixel_cycles.sum()) * (1 if len(found.pixel_cycles) > 1 or each == 1 else each)
            self.clock.now += times * cycles + gap * (times * each - 1)
            return
        height = layer.geometry.output_height
        rows = np.empty((5, height), dtype=np.int64)
        rows[:2] = self.regions.input_rows()
        rows[2] = np.resize(found.pixel_cycles, each).reshape(height, -1).sum(axis=1) + gap * layer.geometry.output_width
        rows[3:] = self.regions.output_rows(part)
        self.clock.stream(rows)
        self.clock.now -= gap

    def _move(self, what: str, region: tuple[int, int]) -> None:
        dram = self.layer.machine.dram
        if dram is not None and region[1]:
            self.clock.move(what, *request_groups(*region, dram))

    def units(self) -> tuple[UnitTime, ...]:
        """Return the accounts of all units."""
        clock, cycles = self.clock, self.cycles
        merged = _merged([found for _, found in self.totals] + self.writes)
        waits = {Stall.WEIGHTS_PENDING: clock.waits["weights"] + clock.waits["operand"], Stall.ACTIVATIONS_PENDING: clock.waits["input"]}
        units = list(merged.units(cycles, waits))
        if clock.dram is None:
            return tuple(units)
        moved = clock.served["input"] + clock.served["operand"] + clock.served["output"]
        units.append(unit("dram", clock.served["weights"] + moved, {Stall.BUFFER_FULL: 0}, cycles))
        units.append(unit("dram.weights", clock.served["weights"], {Stall.BUFFER_FULL: 0, Stall.CHANNEL_BUSY: 0}, cycles))
        units.append(unit("dram.activations", moved, {Stall.CHANNEL_BUSY: 0}, cycles))
        if self.layer.machine.decoder is not None:
            units.append(unit("decoder", clock.decoded, {Stall.STARVED: clock.starved}, cycles))
        return tuple(units)

    def result(self) -> LayerResult:
        """Return the cycles, units, action counts and events of the layer."""
        layer, clock = self.layer, self.clock
        sums = sum((part.block.column_totals @ found.uses for part, found in self.totals), np.zeros(5, dtype=np.int64)).tolist()
        columns = sum(int(found.uses.sum()) for _, found in self.totals)
        work = Totals(columns=columns, entries=sums[ENTRIES], fillers=sums[FILLERS], additions=sums[ADDITIONS])
        events = {
            "columns": columns,
            "entries": work.entries,
            "filler_entries": work.fillers,
            "empty_columns": sums[EMPTY],
            "pixels": layer.geometry.pixels,
            "passes": sum(part.repeats for part, _ in self.totals),
        }
        if layer.operand is not None:
            events |= {"operand_elements": layer.operand.elements, "operand_bytes": layer.operand_bytes}
        if clock.dram is not None:
            loads = self._loads()
            events |= {
                "row_hits": int(clock.state[HITS]),
                "row_misses": int(clock.state[MISSES]),
                "refreshes": max(0, self.cycles - 1) // clock.dram.refresh_interval,
                "dram_bytes": sum(clock.bursts.values()) * clock.dram.burst_bytes,
                "tiles": sum(len(load.size) for load in loads),
                "decoded_symbols": sum(load.symbols for load in loads),
            }
        if clock.dram is not None and layer.operand is not None:
            events["operand_dram_bytes"] = clock.bursts["operand"] * clock.dram.burst_bytes
        return LayerResult(
            name=layer.name,
            cycles=self.cycles,
            macs=work.entries - work.fillers,
            dense_macs=layer.dense_macs,
            units=self.units(),
            counts=layer_counts(self._layer_totals(work, sums[WEIGHT_ROWS]), layer.machine),
            events=events,
        )

    def _loads(self) -> list[Load]:
        return [part.block.load for part, _ in self.totals for _ in range(part.repeats) if part.block.load is not None]

    def _layer_totals(self, work: Totals, weight_rows: int) -> LayerTotals:
        layer, loads, bursts = self.layer, self._loads(), self.clock.bursts
        row = layer.machine.scan.row_width * layer.machine.array.activation_bits
        operand, inputs, outputs = (-(-self.regions.moved(what) * BITS_PER_BYTE // row) for what in MOVED[1:])
        totals = LayerTotals(
            results=layer.geometry.pixels * layer.out_channels,
            work=work,
            weight_rows=weight_rows,
            scan_reads=layer.scan_reads(),
            input_writes=inputs + operand,
            output_reads=outputs,
            compares=layer.compares,
            adds=layer.adds,
            multiplies=layer.multiplies,
            loaded_rows=sum(load.loaded_rows for load in loads),
            loaded_pointers=sum(load.loaded_pointers for load in loads),
            table_rows=layer.out_channels,
            codebooks=len(loads),
            symbols=sum(load.symbols for load in loads),
            code_tables=sum(load.code_tables for load in loads),
            table_symbols=sum(load.table_symbols for load in loads),
            bursts_read=bursts["weights"] + bursts["operand"] + bursts["input"],
            bursts_written=bursts["output"],
        )
        return totals if layer.operand is None else self._with_operand(totals, layer.operand)

    def _with_operand(self, totals: LayerTotals, operand: Operand) -> LayerTotals:
        """Each element is a masked write of one row of a weight memory; pointers are written anew for every pass, levels once.

        There are no biases. Where elements are rounded to codes, each costs two additions: one for the largest magnitude so far, which the
        step follows from, one for the rounding.
        """
        return replace(
            totals,
            operand_elements=operand.elements,
            loaded_rows=operand.elements,
            loaded_pointers=self.layer.machine.array.pes * sum(part.block.memory_pointers * part.repeats for part, _ in self.totals),
            table_rows=0,
            codebooks=1,
            adds=2 * operand.elements if operand.coded else 0,
        )


def _merged(found: Sequence[PixelTotals]) -> PixelTotals:
    """Return the sums over passes."""
    return PixelTotals(
        cycles=sum(part.cycles for part in found),
        pixel_cycles=np.zeros(0, dtype=np.int64),
        scan_busy=sum(part.scan_busy for part in found),
        queue_full=sum(part.queue_full for part in found),
        busy=sum((part.busy for part in found), np.zeros(1, dtype=np.int64)),
        starved=sum((part.starved for part in found), np.zeros(1, dtype=np.int64)),
        drain_busy=sum(part.drain_busy for part in found),
        uses=np.zeros(0, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    run: RunPixels
    serve: Serve
    stream: Stream
    map_of: MakeMap


def _engine(name: str) -> _Engine:
    if name == "fast":
        from qsim.sim import fast_pixels

        return _Engine(
            run=fast_pixels.simulate_pixels,
            serve=fast_pixels.serve_compiled,
            stream=fast_pixels.stream_compiled,
            map_of=fast_pixels.map_of,
        )
    if name == "event":
        return _Engine(run=run_one_by_one, serve=serve, stream=stream, map_of=activation_map)
    raise UnsupportedProgram(path="engine", rule="the name of an engine", value=name, legal=("fast", "event"))
