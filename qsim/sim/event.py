"""The event engine: the array as SimPy processes. It is slow, and it is the definition.

Each unit is one process built of the streams of :mod:`qsim.sim.event_streams`; reading this file from top to bottom follows an activation
from the scan to the drain, and a tile of weights from its request to the release of its slot. Units count their own time as they run; only
the shared DRAM channel is accounted for afterwards, cycle by cycle.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import simpy

from qsim.arch.architecture import ArbiterPolicy
from qsim.formats.fixed import IntArray
from qsim.results import Stall, UnitTime
from qsim.sim.event_streams import Arbiter, Direct, Fifo, Process, StageLog, fork, now, stage
from qsim.sim.memory import HITS, MISSES, channel_constants, channel_service, channel_state
from qsim.sim.program import Fetch, Program
from qsim.sim.simulated import Simulated, Timeline, Transfers

ACTIVATIONS, WEIGHTS = 0, 1  # the requesters of the DRAM channel
PRIORITIES: dict[ArbiterPolicy, tuple[int, ...] | None] = {
    ArbiterPolicy.ACTIVATIONS_FIRST: (ACTIVATIONS, WEIGHTS),
    ArbiterPolicy.WEIGHTS_FIRST: (WEIGHTS, ACTIVATIONS),
    ArbiterPolicy.ROUND_ROBIN: None,
}


def simulate(program: Program, *, timeline: bool = True) -> Simulated:
    """Run a program event by event. Exact for every valid program."""
    return _Layer(program).run(timeline)


class _Scan:
    """What the scan did: the cycle of each broadcast and how its time was spent."""

    def __init__(self) -> None:
        self.broadcast: list[int] = []
        self.end = 0
        self.busy = 0
        self.stalled = {Stall.WEIGHTS_PENDING: 0, Stall.ACTIVATIONS_PENDING: 0, Stall.QUEUE_FULL: 0}


class _Memory:
    """The DRAM side: the channel behind its arbiter, the fetch of tiles, the decoder, the release of tile slots."""

    def __init__(self, env: simpy.Environment, fetch: Fetch) -> None:
        self.env = env
        self.fetch = fetch
        self.state = channel_state(fetch.dram)
        self.constants = channel_constants(fetch.dram)
        self.arbiter = Arbiter(env, 2, PRIORITIES[fetch.dram.policy], self._serve)
        self.ready = [env.event() for _ in range(fetch.tiles)]
        self.released = [env.event() for _ in range(fetch.tiles)]
        self.fetched = [env.event() for _ in range(fetch.tiles)]
        self.issue_log = [0] * fetch.tiles
        self.grant_log = [0] * fetch.tiles
        self.fetched_log = [0] * fetch.tiles
        self.ready_log = [0] * fetch.tiles
        self.release_log = [0] * fetch.tiles
        self.input_log: list[tuple[int, int]] = []
        self.output_log: list[tuple[int, int]] = []
        self.decoder = StageLog()

    def _serve(self, grant: int, request: tuple[int, int]) -> int:
        return channel_service(grant, *request, self.constants, self.state)

    def fetch_tiles(self) -> Process:
        """Issue the request of each tile as soon as its slot is free."""
        for tile in range(self.fetch.tiles):
            if tile >= self.fetch.dram.buffers:
                yield self.released[tile - self.fetch.dram.buffers]
            self.issue_log[tile] = now(self.env)
            request = (int(self.fetch.tile_address[tile]), int(self.fetch.tile_bytes[tile]))
            self.arbiter.request(WEIGHTS, request).callbacks.append(self._arrival(tile))

    def _arrival(self, tile: int) -> Callable[[simpy.Event], None]:
        def arrive(served: simpy.Event) -> None:
            times: Any = served.value
            self.grant_log[tile], self.fetched_log[tile] = times
            self.fetched[tile].succeed()

        return arrive

    def decode_tiles(self) -> Process:
        """Decode tile after tile; without a decoder a tile is ready when it is fetched."""
        free = 0
        for tile, cycles in enumerate(self.fetch.tile_decode.tolist()):
            yield self.fetched[tile]
            self.decoder.starved += now(self.env) - free
            yield self.env.timeout(cycles)
            self.decoder.busy += cycles
            free = now(self.env)
            self.ready_log[tile] = free
            self.ready[tile].succeed()

    def release_tiles(self, last_item: IntArray, done: list[simpy.Event]) -> Process:
        """Free the slot of each tile when it has come and all PEs have finished the last item of it and of the tiles before."""
        for tile in range(self.fetch.tiles):
            yield self.ready[tile]
            if last_item[tile] >= 0:
                yield done[last_item[tile]]
            self.release_log[tile] = now(self.env)
            self.released[tile].succeed()

    def move(self, address: IntArray, size: IntArray, log: list[tuple[int, int]]) -> Process:
        """Issue the requests of all groups of activations at once and wait for them."""
        requests = zip(address.tolist(), size.tolist(), strict=True)
        for served in [self.arbiter.request(ACTIVATIONS, request) for request in requests]:
            log.append((yield served))


class _Layer:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.env = simpy.Environment()
        self.queues = [Fifo(self.env, program.queue) for _ in range(program.pes)]
        self.pointer_logs = [StageLog() for _ in range(program.pes)]
        self.issue_logs = [StageLog() for _ in range(program.pes)]
        self.scan_log = _Scan()
        self.memory = _Memory(self.env, program.fetch) if program.fetch is not None else None
        self.unfinished = [program.pes] * program.items
        self.done = [self.env.event() for _ in range(program.items)]
        self.inputs_ready: simpy.Event = self.env.event()
        self.barrier = self.drained = self.cycles = 0

    def scan(self) -> Process:
        """Find the items and broadcast each when its weights, the input and a slot in every queue are there."""
        env, log, fetch = self.env, self.scan_log, self.program.fetch
        yield env.timeout(self.program.timing.scan_start_latency - 1)
        for item, empty in enumerate(self.program.scan_empty.tolist()):
            yield env.timeout(1 + empty)
            log.busy += 1 + empty
            if self.memory is not None and fetch is not None and fetch.tiles:
                yield from self._wait(self.memory.ready[fetch.item_tile[item]], Stall.WEIGHTS_PENDING)
            yield from self._wait(self.inputs_ready, Stall.ACTIVATIONS_PENDING)
            yield from self._wait(env.process(fork(item, self.queues)), Stall.QUEUE_FULL)
            log.broadcast.append(now(env))
        yield env.timeout(self.program.scan_tail)
        log.busy += self.program.scan_tail
        log.end = now(env)

    def _wait(self, event: simpy.Event, reason: Stall) -> Process:
        since = now(self.env)
        yield event
        self.scan_log.stalled[reason] += now(self.env) - since

    def pe(self, number: int) -> Process:
        """Pointer fetch and issue of one PE; ends when its last sum is in the accumulator."""
        direct = Direct(self.env)
        service = self.program.service[number].tolist()
        self.env.process(stage(self.env, self.queues[number], direct, [1] * self.program.items, self.pointer_logs[number]))
        yield self.env.process(stage(self.env, direct, None, service, self.issue_logs[number], self._finish))
        if service:
            yield self.env.timeout(self.program.timing.pipeline_latency)

    def _finish(self, item: int) -> None:
        self.unfinished[item] -= 1
        if not self.unfinished[item]:
            self.done[item].succeed()

    def control(self) -> Process:
        """Start everything, wait at the barrier, drain, write the result."""
        env, memory, timing = self.env, self.memory, self.program.timing
        units = [env.process(self.scan())] + [env.process(self.pe(number)) for number in range(self.program.pes)]
        tiles: list[simpy.Event] = []
        if memory is not None:
            env.process(memory.fetch_tiles())
            env.process(memory.release_tiles(self._last_items(memory.fetch), self.done))
            tiles.append(env.process(memory.decode_tiles()))
            yield env.process(memory.move(memory.fetch.input_address, memory.fetch.input_bytes, memory.input_log))
        self.inputs_ready.succeed()
        yield env.all_of(units)
        self.barrier = now(env)
        yield env.timeout(timing.drain_start_latency + self.program.drain_rows + timing.drain_latency)
        self.drained = now(env)
        if memory is not None:
            yield env.process(memory.move(memory.fetch.output_address, memory.fetch.output_bytes, memory.output_log))
        yield env.all_of(tiles)
        self.cycles = now(env)

    def _last_items(self, fetch: Fetch) -> IntArray:
        """For each tile the last item that needs it or a tile before it, -1 if there is none [T]."""
        found: IntArray = np.searchsorted(fetch.item_tile, np.arange(fetch.tiles), side="right") - 1
        return found

    def run(self, timeline: bool) -> Simulated:
        self.env.process(self.control())
        self.env.run()
        memory = self.memory
        events = {"row_hits": 0, "row_misses": 0, "refreshes": 0}
        if memory is not None:
            interval = memory.fetch.dram.refresh_interval
            refreshes = sum(1 for _ in range(interval, self.cycles, interval))
            events = {"row_hits": int(memory.state[HITS]), "row_misses": int(memory.state[MISSES]), "refreshes": refreshes}
        return Simulated(
            cycles=self.cycles,
            scan_end=self.scan_log.end,
            barrier=self.barrier,
            drained=self.drained,
            units=tuple(self._units()),
            events=events,
            transfers=self._transfers(),
            timeline=self._timeline() if timeline else None,
        )

    def _timeline(self) -> Timeline:
        shape = (self.program.pes, self.program.items)
        return Timeline(
            broadcast=np.array(self.scan_log.broadcast, dtype=np.int64),
            pop=np.array([log.begin for log in self.pointer_logs], dtype=np.int64).reshape(shape),
            issue=np.array([log.begin for log in self.issue_logs], dtype=np.int64).reshape(shape),
            leave=np.array([log.leave for log in self.issue_logs], dtype=np.int64).reshape(shape),
        )

    def _transfers(self) -> Transfers:
        memory = self.memory
        if memory is None:
            return Transfers(**dict.fromkeys(Transfers.__dataclass_fields__, np.zeros(0, dtype=np.int64)))
        inputs = np.array(memory.input_log, dtype=np.int64).reshape(-1, 2)
        outputs = np.array(memory.output_log, dtype=np.int64).reshape(-1, 2)
        return Transfers(
            tile_issue=np.array(memory.issue_log, dtype=np.int64),
            tile_grant=np.array(memory.grant_log, dtype=np.int64),
            tile_fetched=np.array(memory.fetched_log, dtype=np.int64),
            tile_ready=np.array(memory.ready_log, dtype=np.int64),
            tile_release=np.array(memory.release_log, dtype=np.int64),
            input_grant=inputs[:, 0],
            input_end=inputs[:, 1],
            output_grant=outputs[:, 0],
            output_end=outputs[:, 1],
        )

    def _units(self) -> list[UnitTime]:
        drain_busy = self.program.drain_rows + self.program.timing.drain_latency
        units = [self._unit("scan", self.scan_log.busy, self.scan_log.stalled)]
        units += [self._unit(f"pe.{p}", log.busy, {Stall.STARVED: log.starved}) for p, log in enumerate(self.issue_logs)]
        units.append(self._unit("drain", drain_busy, {}))
        if self.memory is not None:
            units += self._memory_units(self.memory)
        return units

    def _unit(self, name: str, busy: int, stalled: dict[Stall, int]) -> UnitTime:
        return UnitTime(unit=name, busy=busy, stalled=stalled, idle=self.cycles - busy - sum(stalled.values()))

    def _memory_units(self, memory: _Memory) -> list[UnitTime]:
        """Mark every cycle of the channel and of its two requesters and count the marks."""
        weights, activations, waiting, slotless, lost = (np.zeros(self.cycles, dtype=np.bool_) for _ in range(5))
        before = 0
        for issue, grant, end in zip(memory.issue_log, memory.grant_log, memory.fetched_log, strict=True):
            weights[grant:end] = True
            slotless[before:issue] = True  # the oldest tile not yet granted has no slot
            waiting[issue + 1 : grant] = True
            before = max(before, grant)
        for log, issue in ((memory.input_log, 0), (memory.output_log, self.drained)):
            for grant, end in log:
                activations[grant:end] = True
                lost[issue + 1 : grant] = True
        serving = weights | activations
        units = [
            self._unit("dram", int(serving.sum()), {Stall.BUFFER_FULL: int((slotless & ~serving).sum())}),
            self._unit(
                "dram.weights",
                int(weights.sum()),
                {Stall.BUFFER_FULL: int((slotless & ~weights).sum()), Stall.CHANNEL_BUSY: int((waiting & ~weights).sum())},
            ),
            self._unit("dram.activations", int(activations.sum()), {Stall.CHANNEL_BUSY: int((lost & ~activations).sum())}),
        ]
        if memory.fetch.decoded:
            units.append(self._unit("decoder", memory.decoder.busy, {Stall.STARVED: memory.decoder.starved}))
        return units
