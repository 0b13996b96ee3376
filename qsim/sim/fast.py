"""The fast engine: the array as one recurrence, compiled by numba and vectorised over the PEs.

For item n, with A the broadcast, B the pop from the queue and I the begin of the issue stage in PE p (docs/timing.md):

    A[n]    = max(A[n-1] + 1 + empty[n], weights ready, input ready, max over p of B[p, n-D] + return_latency)
    B[p, n] = max(A[n] + forward_latency, I[p, n-1])
    I[p, n] = max(B[p, n] + 1, I[p, n-1] + service[p, n-1])

As a service is at least 1, I[p, n] = max(A[n] + forward_latency + 1, I[p, n-1] + service[p, n-1]): one number a PE is the whole
state, and only max over p of B is ever looked back at. With DRAM the recurrence runs tile by tile, between grants of the channel.

``python -m qsim.sim.fast`` compiles the kernels into numba's cache on disk.
"""

import numpy as np
from numba import njit

from qsim.formats.fixed import IntArray
from qsim.sim.account import scan_unit, unit, units_of_pes, units_of_transfers
from qsim.sim.fast_streams import ACTIVATIONS, NEVER, WEIGHTS, grant
from qsim.sim.memory import HITS, MISSES, channel_constants, channel_service, channel_state
from qsim.sim.program import Fetch, Program, ServiceArray
from qsim.sim.simulated import Simulated, Timeline, Transfers

compiled_channel_service = njit(cache=True, nogil=True)(channel_service)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def broadcast_items(
    span: IntArray,
    ready: IntArray,
    state: IntArray,
    empty: IntArray,
    service: ServiceArray,
    queue: IntArray,
    newest_pop: IntArray,
    leave: IntArray,
    busy: IntArray,
    stalls: IntArray,
    broadcast: IntArray | None,
    pop_log: IntArray | None,
    issue_log: IntArray | None,
) -> None:
    """Run the items ``span[0]`` to ``span[1]`` (exclusive).

    ``ready``: cycles from which weights and input are there; ``state``: the last broadcast and the newest begin of an issue;
    ``queue``: depth, forward and return latency; ``newest_pop`` [N]: max over PEs of the pop of each item; ``leave``, ``busy``
    [P]: last cycle issued and cycles of work; ``stalls``: cycles the scan waited for weights, input, queues. The logs [N] and
    [N, P] are None or take every cycle.
    """
    depth, forward, back = queue[0], queue[1], queue[2]
    pes = leave.shape[0]
    previous, newest_issue = state[0], state[1]
    for item in range(span[0], span[1]):
        earliest = previous + 1 + empty[item]
        with_weights = max(earliest, ready[0])
        with_input = max(with_weights, ready[1])
        previous = with_input
        if item >= depth:
            previous = max(with_input, newest_pop[item - depth] + back)
        stalls[0] += with_weights - earliest
        stalls[1] += with_input - with_weights
        stalls[2] += previous - with_input
        arrival = previous + forward
        newest_pop[item] = max(arrival, newest_issue)
        newest_issue = 0
        cycles = service[item]
        for pe in range(pes):
            begin = max(arrival + 1, leave[pe])
            if pop_log is not None and issue_log is not None:
                pop_log[item, pe] = max(arrival, issue_log[item - 1, pe] if item > 0 else 0)
                issue_log[item, pe] = begin
            leave[pe] = begin + cycles[pe]
            busy[pe] += cycles[pe]
            newest_issue = max(newest_issue, begin)
        if broadcast is not None:
            broadcast[item] = previous
    state[0], state[1] = previous, newest_issue


def simulate(program: Program, *, timeline: bool = False) -> Simulated:
    """Run a program. Exact; the cycle of every transfer only when ``timeline`` is asked for."""
    run = _Run(program, timeline)
    return run.without_memory() if program.fetch is None else run.with_memory(program.fetch)


def warm_up() -> None:
    """Compile all kernels into numba's cache on disk (about ten seconds once, then nothing)."""
    from qsim.sim import fast_pixels
    from qsim.sim.samples import sample_programs

    for program in sample_programs():
        for timeline in (False, True):
            simulate(program, timeline=timeline)
    fast_pixels.warm_up()


class _Run:
    """The state of the array between two calls of the kernel."""

    def __init__(self, program: Program, timeline: bool) -> None:
        self.program = program
        pes, items = program.pes, program.items
        queue = program.queue
        self.queue = np.array([queue.depth, queue.forward_latency, queue.return_latency], dtype=np.int64)
        self.service: ServiceArray = program.service.T
        self.newest_pop = np.zeros(items, dtype=np.int64)
        self.leave = np.zeros(pes, dtype=np.int64)
        self.busy = np.zeros(pes, dtype=np.int64)
        self.stalls = np.zeros(3, dtype=np.int64)
        self.broadcast = np.zeros(items, dtype=np.int64) if timeline else None
        self.pop_log = np.zeros((items, pes), dtype=np.int64) if timeline else None
        self.issue_log = np.zeros((items, pes), dtype=np.int64) if timeline else None
        self.state = np.array([program.timing.scan_start_latency - 1, 0], dtype=np.int64)

    def advance(self, first: int, last: int, weights_ready: int, input_ready: int) -> None:
        """Run items ``first`` to ``last`` (exclusive)."""
        broadcast_items(
            np.array([first, last]),
            np.array([weights_ready, input_ready]),
            self.state,
            self.program.scan_empty,
            self.service,
            self.queue,
            self.newest_pop,
            self.leave,
            self.busy,
            self.stalls,
            self.broadcast,
            self.pop_log,
            self.issue_log,
        )

    @property
    def last_leave(self) -> int:
        """The last cycle in which any PE issued, of the items run so far."""
        return int(self.leave.max())

    def barrier(self, input_ready: int) -> int:
        """The cycle in which every sum of the layer is in its accumulator."""
        work = self.last_leave + self.program.timing.pipeline_latency if self.program.items else 0
        return max(self.scan_end, work, input_ready)

    @property
    def scan_end(self) -> int:
        """The cycle in which the scan has passed the last row."""
        return int(self.state[0]) + self.program.scan_tail

    def drained(self, barrier: int) -> int:
        """The cycle in which the last output is written."""
        timing = self.program.timing
        return barrier + timing.drain_start_latency + self.program.drain_rows + timing.drain_latency

    def without_memory(self) -> Simulated:
        """Nothing over a channel: one call of the kernel."""
        self.advance(0, self.program.items, 0, 0)
        barrier = self.barrier(0)
        events = {"row_hits": 0, "row_misses": 0, "refreshes": 0}
        transfers = Transfers(**dict.fromkeys(Transfers.__dataclass_fields__, np.zeros(0, dtype=np.int64)))
        return self._result(barrier, self.drained(barrier), self.drained(barrier), events, transfers)

    def with_memory(self, fetch: Fetch) -> Simulated:
        """Weights through tile slots: serve the channel up to each tile, then run the items of that tile; without tiles all at once."""
        channel = _Channel(fetch, self)
        if not fetch.tiles:
            channel.serve_inputs()
            self.advance(0, self.program.items, 0, channel.input_ready)
        ends = np.searchsorted(fetch.item_tile, np.arange(fetch.tiles), side="right").tolist()
        first = 0
        for tile, last in enumerate(ends):
            if first == self.program.items:
                break
            channel.serve_tile(tile)
            if last > first:
                channel.serve_inputs()
                self.advance(first, last, channel.ready[tile], channel.input_ready)
            channel.release(tile, self.last_leave if last else 0)
            first = last
        channel.items_done = True
        channel.serve_inputs()
        barrier = self.barrier(channel.input_ready)
        drained = self.drained(barrier)
        channel.serve_rest(drained)
        cycles = max([drained, *channel.ready[-1:], *channel.moves_end[-1:]])
        interval = fetch.dram.refresh_interval
        events = {
            "row_hits": int(channel.state[HITS]),
            "row_misses": int(channel.state[MISSES]),
            "refreshes": max(0, cycles - 1) // interval,
        }
        return self._result(barrier, drained, cycles, events, channel.transfers())

    def _result(self, barrier: int, drained: int, cycles: int, events: dict[str, int], transfers: Transfers) -> Simulated:
        program = self.program
        units = [scan_unit(program, self.stalls, cycles)]
        units += units_of_pes(self.busy, self.leave, cycles)
        units.append(unit("drain", program.drain_rows + program.timing.drain_latency, {}, cycles))
        if program.fetch is not None:
            units += units_of_transfers(program.fetch, transfers, drained, cycles)
        return Simulated(
            cycles=cycles,
            scan_end=self.scan_end,
            barrier=barrier,
            drained=drained,
            units=tuple(units),
            events=events,
            transfers=transfers,
            timeline=self._timeline(),
        )

    def _timeline(self) -> Timeline | None:
        if self.broadcast is None or self.pop_log is None or self.issue_log is None:
            return None
        issue = self.issue_log.T
        return Timeline(broadcast=self.broadcast, pop=self.pop_log.T, issue=issue, leave=issue + self.program.service)


class _Channel:
    """The DRAM channel between two requesters: weights, tile after tile, and activations, whose groups are all requested at once.

    The request of a tile is known once its slot is: while the items of an earlier tile have not run it counts as never arriving. That is
    exact, because such items wait for the whole input, so that no input request can still be in the race when the slot becomes free.
    """

    def __init__(self, fetch: Fetch, run: _Run) -> None:
        self.fetch = fetch
        self.run = run
        self.items_done = False
        self.state = channel_state(fetch.dram)
        self.constants = channel_constants(fetch.dram)
        self.moves = list(
            zip(
                np.concatenate([fetch.input_address, fetch.output_address]).tolist(),
                np.concatenate([fetch.input_bytes, fetch.output_bytes]).tolist(),
                strict=True,
            )
        )
        self.inputs = len(fetch.input_bytes)
        self.move_issue = 0 if self.inputs else NEVER
        self.moves_grant: list[int] = []
        self.moves_end: list[int] = []
        self.issue: list[int] = []
        self.grant: list[int] = []
        self.fetched: list[int] = []
        self.ready: list[int] = []
        self.released: list[int] = []
        self.free = 0
        self.last = WEIGHTS

    @property
    def input_ready(self) -> int:
        """When the whole input is on chip, once it is."""
        return self.moves_end[self.inputs - 1] if self.inputs else 0

    def serve_tile(self, tile: int) -> None:
        """Grant requests until ``tile`` is fetched."""
        while len(self.grant) <= tile:
            self._serve_next()

    def serve_inputs(self) -> None:
        """Grant requests until the whole input is on chip."""
        while len(self.moves_end) < self.inputs:
            self._serve_next()

    def serve_rest(self, drained: int) -> None:
        """Grant all requests that are left; the output can be written from cycle ``drained`` on."""
        self.move_issue = drained if len(self.moves) > self.inputs else NEVER
        while len(self.grant) < self.fetch.tiles or len(self.moves_end) < len(self.moves):
            self._serve_next()

    def release(self, tile: int, last_leave: int) -> None:
        """Free the slot of ``tile``: it has come and all PEs are past it."""
        if len(self.released) == tile:
            self.released.append(max(self.ready[tile], last_leave))

    def _tile_issue(self) -> int:
        tile = len(self.grant)
        if tile == self.fetch.tiles:
            return NEVER
        before = tile - self.fetch.dram.buffers
        if before < 0:
            return 0
        while self.items_done and len(self.released) <= before:
            self.release(len(self.released), self.run.last_leave if self.run.program.items else 0)
        return self.released[before] if before < len(self.released) else NEVER

    def _serve_next(self) -> None:
        issue = self._tile_issue()
        arrivals = (self.move_issue + 1, issue + 1)
        self.last, start = grant(arrivals, self.free, self.last, self.fetch.dram.policy)
        if self.last == ACTIVATIONS:
            self._serve_move(start)
        else:
            self._serve_tile(start, issue)

    def _serve_move(self, start: int) -> None:
        done = len(self.moves_end)
        self.free = int(compiled_channel_service(start, *self.moves[done], self.constants, self.state))
        self.moves_grant.append(start)
        self.moves_end.append(self.free)
        if done + 1 in (self.inputs, len(self.moves)):
            self.move_issue = NEVER

    def _serve_tile(self, start: int, issue: int) -> None:
        tile = len(self.grant)
        address, size = int(self.fetch.tile_address[tile]), int(self.fetch.tile_bytes[tile])
        self.free = int(compiled_channel_service(start, address, size, self.constants, self.state))
        self.issue.append(issue)
        self.grant.append(start)
        self.fetched.append(self.free)
        self.ready.append(max([self.free, *self.ready[-1:]]) + int(self.fetch.tile_decode[tile]))

    def transfers(self) -> Transfers:
        """Return the cycles of all requests."""
        for tile in range(len(self.released), self.fetch.tiles):
            self.release(tile, self.run.last_leave if self.run.program.items else 0)
        return Transfers(
            tile_issue=_array(self.issue),
            tile_grant=_array(self.grant),
            tile_fetched=_array(self.fetched),
            tile_ready=_array(self.ready),
            tile_release=_array(self.released),
            input_grant=_array(self.moves_grant[: self.inputs]),
            input_end=_array(self.moves_end[: self.inputs]),
            output_grant=_array(self.moves_grant[self.inputs :]),
            output_end=_array(self.moves_end[self.inputs :]),
        )


def _array(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


if __name__ == "__main__":
    # Through the package, not this module as __main__: numba's cache is kept by module name.
    from qsim.sim.fast import warm_up as compile_kernels

    compile_kernels()
