"""A prepared convolution with its input: the order of its transfers and pixels in time, its accounts and its action counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qsim.arch.architecture import Dram
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.results import LayerResult, Stall, UnitTime
from qsim.sim.account import unit
from qsim.sim.blocks import ADDITIONS, EMPTY, ENTRIES, FILLERS, WEIGHT_ROWS, Load
from qsim.sim.convolution import LoweredConvolution, MakeMap, Pass
from qsim.sim.counts import LayerTotals, layer_counts
from qsim.sim.memory import GROUP_BURSTS, HITS, MISSES, bursts_of, channel_constants, channel_service, channel_state, request_groups
from qsim.sim.pe.work import Totals
from qsim.sim.pixels import PixelPrograms, PixelTotals, activation_map, totals_of
from qsim.units import BITS_PER_BYTE

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
    waits: dict[str, int] = field(default_factory=lambda: {"weights": 0, "input": 0, "output": 0})
    served: dict[str, int] = field(default_factory=lambda: {"weights": 0, "input": 0, "output": 0})
    bursts: dict[str, int] = field(default_factory=lambda: {"weights": 0, "input": 0, "output": 0})
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
        self.weights_at = 0
        self.regions = _Regions(layer)
        if layer.loads_input and not layer.spilled:
            self._move("input", self.regions.input(0, layer.geometry.height))
        for part, pixels in layer.pixels(activations, parts.map_of):
            found = parts.run(pixels)
            self.totals.append((part, found))
            for number in range(1 if part.block.load is None and not layer.spilled else part.repeats):
                self.regions.group = (part.group or 0) + number
                self._load(part.block.load)
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
        merged = _merged([found for _, found in self.totals])
        waits = {Stall.WEIGHTS_PENDING: clock.waits["weights"], Stall.ACTIVATIONS_PENDING: clock.waits["input"]}
        units = list(merged.units(cycles, waits))
        if clock.dram is None:
            return tuple(units)
        moved = clock.served["input"] + clock.served["output"]
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
        inputs, outputs = (-(-self.regions.moved(what) * BITS_PER_BYTE // row) for what in ("input", "output"))
        return LayerTotals(
            results=layer.geometry.pixels * layer.out_channels,
            work=work,
            weight_rows=weight_rows,
            scan_reads=layer.scan_reads(),
            input_writes=inputs,
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
            bursts_read=bursts["weights"] + bursts["input"],
            bursts_written=bursts["output"],
        )


class _Regions:
    """Where a layer's weights, input and output lie in DRAM, each from the start of a DRAM row; activations channels last, not padded."""

    def __init__(self, layer: LoweredConvolution) -> None:
        self.layer = layer
        self.bits = layer.machine.array.activation_bits
        dram = layer.machine.dram
        align = dram.row_bytes if dram is not None else 1
        burst = dram.burst_bytes if dram is not None else 1
        loads = [part.block.load for part in layer.passes for _ in range(part.repeats)]
        weights = sum(int((-(-load.size // burst) * burst).sum()) for load in loads if load is not None)
        self.input_at = -(-weights // align) * align
        self.output_at = -(-(self.input_at + self._bytes(layer.geometry.inputs)) // align) * align
        self.written = self.group = 0
        self.bytes = {"input": 0, "output": 0}

    def _bytes(self, elements: int) -> int:
        return int(_bytes_of(np.array(elements), self.bits))

    def input(self, first: int, last: int) -> tuple[int, int]:
        """Return address and bytes of the input rows ``first`` to ``last``, exclusive."""
        geometry = self.layer.geometry
        size = self._bytes(max(0, last - first) * geometry.width * geometry.channels)
        self.bytes["input"] += size
        return self.input_at + self._bytes(first * geometry.width * geometry.channels), size

    def output(self, first: int, elements: int) -> tuple[int, int]:
        """Return address and bytes of ``elements`` outputs from the ``first`` on."""
        self.bytes["output"] += self._bytes(elements)
        return self.output_at + self._bytes(first), self._bytes(elements)

    def input_rows(self) -> IntArray:
        """Return address and bytes [2, rows] of what each output row needs that no row before it did; of groups run one by one its own.

        The last row brings what is left, so that each pass reads every row of the input once.
        """
        geometry = self.layer.geometry
        one_by_one = self.layer.passes[0].group is not None
        line = geometry.width * (geometry.group_channels if one_by_one else geometry.channels)
        reach = geometry.dilation[0] * (geometry.kernel[0] - 1) - geometry.padding[0] + 1
        last = np.clip(np.arange(geometry.output_height) * geometry.stride[0] + reach, 0, geometry.height)
        last[-1] = geometry.height
        first = np.concatenate([np.zeros(1, dtype=np.int64), last[:-1]])
        start = (first + self.group * geometry.height if one_by_one else first) * line
        found = np.stack([self.input_at + _bytes_of(start, self.bits), _bytes_of((last - first) * line, self.bits)])
        self.bytes["input"] += int(found[1].sum())
        return found

    def output_rows(self, part: Pass) -> IntArray:
        """Return address and bytes [2, rows] of what is stored when a pass has done each output row: pass by pass, row by row."""
        layer = self.layer
        whole = layer.stored * part.block.rows // layer.out_channels
        ends = whole * np.arange(layer.geometry.output_height + 1) // layer.geometry.output_height
        found = np.stack([self.output_at + _bytes_of(self.written + ends[:-1], self.bits), _bytes_of(np.diff(ends), self.bits)])
        self.written += whole
        self.bytes["output"] += int(found[1].sum())
        return found

    def moved(self, what: str) -> int:
        """Return the bytes moved."""
        return self.bytes[what]


def _bytes_of(elements: IntArray, bits: int) -> IntArray:
    size: IntArray = -(-elements * bits // BITS_PER_BYTE)
    return size


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
