"""All pixels of a convolution in one compiled loop: the recurrence of :mod:`qsim.sim.fast`, program after program.

The state of PE p is ``I[p] + service - A``, the end of its work from the arrival of the newest item on, instead of a cycle since the start.
An item that arrives ``step`` cycles after the one before finds ``max(state - step, 1)`` cycles until its issue begins. Because a queue of
depth D lets the scan run ahead by no more than D items, that number stays below ``1 + (D + 2) * longest service``, so that it fits
16 bits for most machines: four times as many PEs in a vector register as with 64. Cycles of work are not added up item by item:
they are the number of uses of each column times its service.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from qsim.arch.architecture import Queue
from qsim.arch.timing import Timing
from qsim.formats.fixed import IntArray
from qsim.sim.fast import compiled_channel_service
from qsim.sim.pixels import ActivationMap, PixelPrograms, PixelTotals, PlaceArray

ITEMS, QUEUE_FULL, ROWS_PASSED = range(3)  # of the sums of the kernel
DEPTH, FORWARD, BACK, SCAN_START, PIPELINE, LIMIT = range(6)  # of its constants
SLOT = 1  # of the margin: the arrival itself


@njit(cache=True, nogil=True, error_model="numpy")
def finish(state: npt.NDArray[Any], arrival: int, leave: IntArray) -> np.int64:
    """Add the cycles up to the last one issued to ``leave`` [P]; return the largest ``state`` [P]."""
    last = state.dtype.type(0)
    for pe in range(state.shape[0]):
        last = state[pe] if state[pe] > last else last
        leave[pe] += arrival + np.int64(state[pe]) + 1
    return np.int64(last)


@njit(cache=True, nogil=True, error_model="numpy")
def run_pixels(
    service: npt.NDArray[Any], stride: int, reads: PlaceArray, first: IntArray, channel: PlaceArray, empty: PlaceArray, tail: PlaceArray,
    constants: IntArray, state: npt.NDArray[Any], newest_pop: IntArray, barriers: IntArray, leave: IntArray, uses: IntArray,
    sums: IntArray,
) -> None:  # fmt: skip
    """Run the programs of all pixels.

    ``service`` [columns, P]; ``reads`` [pixels, taps]; ``first``, ``channel``, ``empty``, ``tail``: of the activation map;
    ``constants``: depth, forward and return latency of the queue, latencies of scan and pipeline, a step beyond which every PE is idle;
    ``state`` [P] and ``newest_pop`` [depth]: scratch. Written: ``barriers`` [pixels], ``leave`` [P]: sum over the programs with items of
    the cycles up to the last one issued; ``uses`` [columns]; ``sums``: items, cycles of full queues, all-zero rows.
    """
    depth, forward, back, limit = constants[DEPTH], constants[FORWARD], constants[BACK], constants[LIMIT]
    pes = state.shape[0]
    number = state.dtype.type
    zero, one = number(0), number(1)
    for pixel in range(reads.shape[0]):
        previous = constants[SCAN_START] - 1
        arrival, newest_issue, skipped, items, slot = 0, 0, 0, 0, 0
        for pe in range(pes):
            state[pe] = zero
        for tap in range(reads.shape[1]):
            place = reads[pixel, tap]
            for item in range(first[place], first[place + 1]):
                skipped += empty[item]
                earliest = previous + 1 + skipped
                sums[ROWS_PASSED] += skipped
                skipped = 0
                previous = earliest
                if items >= depth:
                    previous = max(earliest, newest_pop[slot] + back)
                sums[QUEUE_FULL] += previous - earliest
                step = number(min(previous + forward - arrival, limit))
                arrival = previous + forward
                newest_pop[slot] = max(arrival, newest_issue)
                slot = slot + 1 if slot + 1 < depth else 0
                column = tap * stride + channel[item]
                uses[column] += 1
                cycles = service[column]
                newest = one
                for pe in range(pes):
                    waits = number(state[pe] - step)
                    begin = waits if waits > one else one
                    state[pe] = number(begin + cycles[pe])
                    newest = begin if begin > newest else newest
                newest_issue = arrival + np.int64(newest)
                items += 1
            skipped += tail[place]
        sums[ITEMS] += items
        sums[ROWS_PASSED] += skipped
        barriers[pixel] = previous + skipped
        if items > 0:
            barriers[pixel] = max(barriers[pixel], arrival + finish(state, arrival, leave) + constants[PIPELINE])


@njit(cache=True, nogil=True, error_model="numpy")
def serve_compiled(start: int, address: IntArray, size: IntArray, constants: IntArray, state: IntArray, ends: IntArray) -> int:
    """Serve requests issued together: :func:`qsim.sim.convolution_run.serve`."""
    time = start + 1
    for request in range(len(address)):
        time = compiled_channel_service(time, address[request], size[request], constants, state)
        ends[request] = time
    return time if len(address) > 0 else start


@njit(cache=True, nogil=True, error_model="numpy")
def stream_compiled(start: int, rows: IntArray, group: int, constants: IntArray, state: IntArray, sums: IntArray) -> int:
    """Run the output rows of a spilled pass: :func:`qsim.sim.convolution_run.stream`."""
    time, burst = start, constants[1]
    for row in range(rows.shape[1]):
        for way in range(2):
            address, size = rows[3 * way, row], rows[3 * way + 1, row]
            begin, end = time, address + size
            if size > 0:
                time += 1
                for place in range(address, end, group):
                    part = min(group, end - place)
                    time = compiled_channel_service(time, place, part, constants, state)
                    sums[way, 2] += (place + part - 1) // burst - place // burst + 1
                sums[way, 0] += time - begin
                sums[way, 1] += time - begin - 1
            if way == 0:
                time += rows[2, row]
    return time


@njit(cache=True, nogil=True, error_model="numpy")
def count_items(values: npt.NDArray[Any], first: IntArray) -> None:
    """Write the running number of non-zero ``values`` [places, channels] into ``first`` [places + 1]."""
    first[0] = 0
    for place in range(values.shape[0]):
        found = 0
        for channel in range(values.shape[1]):
            found += values[place, channel] != 0
        first[place + 1] = first[place] + found


@njit(cache=True, nogil=True, error_model="numpy")
def find_items(
    values: npt.NDArray[Any], row_width: int, rows: int, first: IntArray, channels: PlaceArray, empty: PlaceArray, tail: PlaceArray
) -> None:
    """Write channel and all-zero rows passed of every item, and the all-zero rows after the last item of every place."""
    for place in range(values.shape[0]):
        item, row = first[place], -1
        for channel in range(values.shape[1]):
            if values[place, channel] != 0:
                here = channel // row_width
                channels[item] = channel
                empty[item] = max(0, here - row - 1)
                row = here
                item += 1
        tail[place] = rows - 1 - row


def map_of(values: npt.NDArray[Any], row_width: int) -> ActivationMap:
    """Return what the scan finds in ``values`` [places, channels], with one more place behind them that is all zeros."""
    values = np.ascontiguousarray(values != 0).view(np.uint8)  # one type for one compiled kernel
    places, channels = values.shape
    rows = -(-channels // row_width)
    first = np.zeros(places + 2, dtype=np.int64)
    count_items(values, first[:-1])
    first[-1] = first[-2]
    items = int(first[-1])
    found, empty = np.zeros(items, dtype=np.int32), np.zeros(items, dtype=np.int32)
    tail = np.full(places + 1, rows, dtype=np.int32)
    find_items(values, row_width, rows, first, found, empty, tail)
    return ActivationMap(first=first, channel=found, empty=empty, tail=tail)


def simulate_pixels(pixels: PixelPrograms) -> PixelTotals:
    """Run the programs of all pixels. Exact: equal to the sum of both engines over :meth:`PixelPrograms.program`."""
    queue, timing = pixels.queue, pixels.timing
    state, limit = _state(pixels)
    barriers = np.zeros(len(pixels.reads), dtype=np.int64)
    leave, uses, sums = np.zeros(pixels.pes, dtype=np.int64), np.zeros(len(pixels.service), dtype=np.int64), np.zeros(3, dtype=np.int64)
    run_pixels(
        pixels.service,
        pixels.stride,
        pixels.reads,
        pixels.map.first,
        pixels.map.channel,
        pixels.map.empty,
        pixels.map.tail,
        np.array([queue.depth, queue.forward_latency, queue.return_latency, timing.scan_start_latency, timing.pipeline_latency, limit]),
        state,
        np.zeros(queue.depth, dtype=np.int64),
        barriers,
        leave,
        uses,
        sums,
    )
    busy = work_of(uses, pixels.service)
    cycles = barriers + (timing.drain_start_latency + pixels.drain_rows + timing.drain_latency)
    times = pixels.repeats
    return PixelTotals(
        cycles=times * int(cycles.sum()) + timing.pixel_setup_latency * max(0, pixels.programs - 1),
        pixel_cycles=cycles,
        scan_busy=times * int(sums[ITEMS] + sums[ROWS_PASSED]),
        queue_full=times * int(sums[QUEUE_FULL]),
        busy=times * busy,
        starved=times * (leave - busy),
        drain_busy=pixels.programs * (pixels.drain_rows + timing.drain_latency),
        uses=times * uses,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def work_of(uses: IntArray, service: npt.NDArray[Any]) -> IntArray:
    """Return the cycles of work of each PE [P] for ``uses`` [columns] of columns with ``service`` [columns, P]."""
    work = np.zeros(service.shape[1], dtype=np.int64)
    for column in range(service.shape[0]):
        if uses[column] > 0:
            for pe in range(service.shape[1]):
                work[pe] += uses[column] * np.int64(service[column, pe])
    return work


def _state(pixels: PixelPrograms) -> tuple[npt.NDArray[np.signedinteger], int]:
    """Return the state of the PEs in the narrowest type that is proved wide enough, and the step that empties every PE."""
    longest = int(pixels.service.max(initial=1))
    most = SLOT + pixels.queue.forward_latency + (pixels.queue.depth + 2) * longest
    for dtype in (np.int16, np.int32):
        # Begin and step are each at most half of the type's range, so that neither their difference nor the sum with a service overflows.
        if most < np.iinfo(dtype).max // 2:
            return np.zeros(pixels.pes, dtype=dtype), int(np.iinfo(dtype).max // 2)
    return np.zeros(pixels.pes, dtype=np.int64), 1 << 60


def warm_up() -> None:
    """Compile the kernels for services of 8 and 16 bits, which is what machines have."""
    found = map_of(np.ones((2, 3)), 2)
    for service, depth in ((np.uint8, 1), (np.uint16, 1), (np.uint8, 4096)):
        pixels = PixelPrograms(
            name="warm up",
            queue=Queue(depth=depth),
            timing=Timing(),
            service=np.full((4, 2), 200, dtype=service),
            stride=4,
            reads=np.zeros((1, 1), dtype=np.int32),
            map=found,
            drain_rows=1,
        )
        simulate_pixels(pixels)
    none, constants, state = np.zeros(0, dtype=np.int64), np.ones(8, dtype=np.int64), np.zeros(4, dtype=np.int64)
    serve_compiled(0, none, none, constants, state, none)
    stream_compiled(0, np.zeros((5, 0), dtype=np.int64), 1, constants, state, np.zeros((2, 3), dtype=np.int64))
