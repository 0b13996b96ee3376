"""Many programs of one layer: a convolution runs its array program once for each output pixel.

An *activation map* has a number of places (the pixels of the layer's input; the vectors of a batch), each a whole number of scan rows. An
output pixel reads some places one after the other (the taps of its window); a place outside the image reads as rows of zeros. Column
``tap * stride + channel`` of the weights meets channel ``channel`` of the place that tap ``tap`` reads. docs/timing.md, Convolutions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Queue
from qsim.arch.timing import Timing
from qsim.errors import FieldError
from qsim.formats.arrays import check_range, check_shape, read_only
from qsim.formats.fixed import IntArray
from qsim.results import Stall, UnitTime
from qsim.sim.account import unit
from qsim.sim.program import Program
from qsim.sim.simulated import Simulated

PlaceArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActivationMap:
    """What the scan finds in each place.

    The items of place ``i`` are ``first[i]`` to ``first[i + 1]``, exclusive; of each the ``channel`` and ``empty``, the all-zero rows of
    the place passed before it; ``tail`` [places]: those after the last item of the place.
    """

    first: IntArray
    channel: PlaceArray
    empty: PlaceArray
    tail: PlaceArray

    def __post_init__(self) -> None:
        for name, dtype in (("first", np.int64), ("channel", np.int32), ("empty", np.int32), ("tail", np.int32)):
            object.__setattr__(self, name, read_only(getattr(self, name), dtype, 1, f"map.{name}"))
        check_shape(self.first, (self.places + 1,), "map.first")
        check_shape(self.empty, self.channel.shape, "map.empty")
        if self.first[0] != 0 or self.first[-1] != len(self.channel) or np.any(np.diff(self.first) < 0):
            raise FieldError(path="map.first", rule=f"rising from 0 to {len(self.channel)} items", value="another sequence")

    @property
    def places(self) -> int:
        """Number of places."""
        return len(self.tail)

    def items(self, place: int) -> slice:
        """Where the items of a place stand."""
        return slice(int(self.first[place]), int(self.first[place + 1]))


def activation_map(values: npt.NDArray[Any], row_width: int) -> ActivationMap:
    """Return what the scan finds in ``values`` [places, channels], with one more place behind them that is all zeros."""
    channels = values.shape[1]
    rows = -(-channels // row_width)
    place, channel = np.nonzero(values)
    row = channel // row_width
    starts = np.diff(place, prepend=-1) != 0
    before = np.where(starts, -1, np.concatenate([np.full(1, -1), row])[: len(row)])
    counts = np.append(np.bincount(place, minlength=len(values)), 0)
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    tail = np.full(len(counts), rows, dtype=np.int64)
    filled = np.flatnonzero(counts)
    tail[filled] = rows - 1 - row[first[filled + 1] - 1]
    empty = np.maximum(0, row - before - 1).astype(np.int32)
    return ActivationMap(first=first, channel=channel.astype(np.int32), empty=empty, tail=tail.astype(np.int32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelPrograms:
    """The programs of all output pixels of a layer, run one after the other.

    ``service`` [columns, P]: cycles each column keeps each PE, uint8, uint16 or uint32; ``stride``: columns of a tap; ``reads`` [pixels,
    taps]: the place each tap reads; ``drain_rows``: of each pixel. ``repeats``: how often the whole is run (in dense order all pixels
    are alike, so that one stands for all).
    """

    name: str
    queue: Queue
    timing: Timing
    service: npt.NDArray[np.unsignedinteger]
    stride: int
    reads: PlaceArray
    map: ActivationMap
    drain_rows: int
    repeats: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", read_only(self.reads, np.int32, 2, "pixels.reads"))
        if self.service.ndim != 2 or self.service.dtype.kind != "u" or not self.service.flags.c_contiguous:
            raise FieldError(path="pixels.service", rule="contiguous unsigned [columns, P]", value=str(self.service.dtype))
        check_shape(self.service, (self.stride * self.reads.shape[1], self.pes), "pixels.service")
        if self.service.size and int(self.service.min()) < 1:
            raise FieldError(path="pixels.service", rule="at least 1", value=0)
        check_range(self.reads, 0, self.map.places - 1, "pixels.reads")
        check_range(self.map.channel, 0, self.stride - 1, "pixels.map.channel")
        if self.drain_rows < 0 or self.repeats < 1 or self.pes < 1:
            raise FieldError(path="pixels", rule="of PEs, repeats, drain_rows", value=(self.pes, self.repeats, self.drain_rows))

    @property
    def pes(self) -> int:
        """P: processing elements."""
        return int(self.service.shape[1])

    @property
    def programs(self) -> int:
        """How many programs are run."""
        return len(self.reads) * self.repeats

    def columns(self, pixel: int) -> IntArray:
        """Return the columns that are broadcast for ``pixel``."""
        taps = enumerate(self.reads[pixel].tolist())
        found = [tap * self.stride + self.map.channel[self.map.items(place)].astype(np.int64) for tap, place in taps]
        return np.concatenate(found)

    def each(self) -> Iterator[Program]:
        """Yield all programs in order."""
        for _ in range(self.repeats):
            for pixel in range(len(self.reads)):
                yield self.program(pixel)

    def program(self, pixel: int) -> Program:
        """Return the program of one pixel, as of a fully connected layer that reads the gathered window."""
        empty: list[int] = []
        skipped = 0
        for place in self.reads[pixel].tolist():
            for passed in self.map.empty[self.map.items(place)].tolist():
                empty.append(skipped + passed)
                skipped = 0
            skipped += int(self.map.tail[place])
        return Program(
            name=f"{self.name}.{pixel}",
            queue=self.queue,
            timing=self.timing,
            scan_empty=np.array(empty, dtype=np.int64),
            scan_tail=skipped,
            service=self.service[self.columns(pixel)].T.astype(np.uint32),
            drain_rows=self.drain_rows,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelTotals:
    """Sums over all programs of a layer; the cycles between two of them are in ``cycles``.

    ``pixel_cycles`` [pixels]: cycles of each program; ``scan_busy``, ``queue_full``: of the scan; ``busy``, ``starved`` [P]: of the PEs;
    ``drain_busy``: of the drain; ``uses`` [columns]: how often each column was broadcast.
    """

    cycles: int
    pixel_cycles: IntArray
    scan_busy: int
    queue_full: int
    busy: IntArray
    starved: IntArray
    drain_busy: int
    uses: IntArray

    def units(self, cycles: int, scan_waits: dict[Stall, int] | None = None) -> tuple[UnitTime, ...]:
        """Return the accounts of the array in a layer of ``cycles``; ``scan_waits``: for what else the scan waited."""
        stalled = {Stall.WEIGHTS_PENDING: 0, Stall.ACTIVATIONS_PENDING: 0, Stall.QUEUE_FULL: self.queue_full} | (scan_waits or {})
        pairs = enumerate(zip(self.busy.tolist(), self.starved.tolist(), strict=True))
        pes = [unit(f"pe.{number}", work, {Stall.STARVED: wait}, cycles) for number, (work, wait) in pairs]
        return (unit("scan", self.scan_busy, stalled, cycles), *pes, unit("drain", self.drain_busy, {}, cycles))


def totals_of(pixels: PixelPrograms, results: list[Simulated]) -> PixelTotals:
    """Return the sums over ``results``, one of each pixel from either engine: the definition of what the fast kernel computes."""
    units = [{unit.unit: unit for unit in result.units} for result in results]
    pes = range(pixels.pes)
    uses = np.zeros(len(pixels.service), dtype=np.int64)
    for pixel in range(len(results)):
        np.add.at(uses, pixels.columns(pixel), pixels.repeats)
    times, gap = pixels.repeats, pixels.timing.pixel_setup_latency
    cycles = [result.cycles for result in results]
    return PixelTotals(
        cycles=times * sum(cycles) + gap * max(0, times * len(cycles) - 1),
        pixel_cycles=np.array(cycles, dtype=np.int64),
        scan_busy=times * sum(found["scan"].busy for found in units),
        queue_full=times * sum(found["scan"].stalled[Stall.QUEUE_FULL] for found in units),
        busy=np.array([times * sum(found[f"pe.{p}"].busy for found in units) for p in pes], dtype=np.int64),
        starved=np.array([times * sum(found[f"pe.{p}"].stalled[Stall.STARVED] for found in units) for p in pes], dtype=np.int64),
        drain_busy=times * sum(found["drain"].busy for found in units),
        uses=uses,
    )


def narrowest(service: npt.NDArray[np.integer]) -> npt.NDArray[np.unsignedinteger]:
    """Return ``service`` in the narrowest unsigned type that holds it, contiguous: what the fast kernel reads most is memory."""
    most = int(service.max(initial=0))
    dtype = np.uint8 if most < 1 << 8 else np.uint16 if most < 1 << 16 else np.uint32
    return np.ascontiguousarray(service, dtype=dtype)
