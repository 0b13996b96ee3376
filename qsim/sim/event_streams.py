"""Ready/valid streams as SimPy processes: the readable definition of links, stages, forks, joins and arbiters.

Time is an integer cycle; a transfer in cycle c is one event at time c. Both kinds of link have ``put``, ``get`` and ``room``,
each an event that succeeds in the cycle in which it happens. Because a transfer only ever waits for other transfers, the order
in which SimPy runs the events of one cycle cannot change a result; the arbiter, which chooses, therefore decides after all
other events of its cycle.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Protocol

import simpy
from simpy.events import EventPriority

from qsim.arch.architecture import Queue

Process = Generator[simpy.Event, Any, None]
LATE = EventPriority(2)  # after simpy's URGENT = 0 and NORMAL = 1: when everything else of the cycle has happened


def now(env: simpy.Environment) -> int:
    """Return the current cycle."""
    return int(env.now)


class Link(Protocol):
    """What connects two stages."""

    def put(self, item: int) -> simpy.Event:
        """Hand an item over; succeeds in the cycle of the hand-over, when the producer is free again."""

    def get(self) -> simpy.Event:
        """Take the next item; succeeds with it in the cycle in which the consumer begins it."""


class Fifo:
    """A queue of ``depth`` slots.

    An item put in cycle c can be taken from cycle ``c + forward_latency`` on; a slot freed by a take in cycle c can be filled from cycle
    ``c + return_latency`` on.
    """

    def __init__(self, env: simpy.Environment, queue: Queue) -> None:
        self._env = env
        self._queue = queue
        self._free = queue.depth
        self._items: deque[int] = deque()
        self._putters: deque[tuple[simpy.Event, int]] = deque()
        self._getters: deque[simpy.Event] = deque()
        self._room_watchers: list[simpy.Event] = []
        self._item_watchers: list[simpy.Event] = []

    def put(self, item: int) -> simpy.Event:
        """See :class:`Link`."""
        event = self._env.event()
        self._putters.append((event, item))
        self._settle()
        return event

    def get(self) -> simpy.Event:
        """See :class:`Link`."""
        event = self._env.event()
        self._getters.append(event)
        self._settle()
        return event

    def room(self) -> simpy.Event:
        """Succeed in the first cycle in which a put would succeed at once; for the only producer it stays so until its put."""
        event = self._env.event()
        self._room_watchers.append(event)
        self._settle()
        return event

    def available(self) -> simpy.Event:
        """Succeed in the first cycle in which a get would succeed at once; for the only consumer it stays so until its get."""
        event = self._env.event()
        self._item_watchers.append(event)
        self._settle()
        return event

    def _settle(self) -> None:
        while self._putters and self._free:
            event, item = self._putters.popleft()
            self._free -= 1
            event.succeed()
            self._after(self._queue.forward_latency, partial(self._items.append, item))
        while self._getters and self._items:
            self._getters.popleft().succeed(self._items.popleft())
            self._after(self._queue.return_latency, self._release)
        if self._free:
            _succeed_all(self._room_watchers)
        if self._items:
            _succeed_all(self._item_watchers)

    def _release(self) -> None:
        self._free += 1

    def _after(self, cycles: int, action: Callable[[], None]) -> None:
        def act(_: simpy.Event) -> None:
            action()
            self._settle()

        event = self._env.timeout(cycles)
        event.callbacks.append(act)


def _succeed_all(watchers: list[simpy.Event]) -> None:
    for event in watchers:
        event.succeed()
    watchers.clear()


class Direct:
    """No queue at all: an item leaves the producer in the very cycle in which the consumer begins it."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._putters: deque[tuple[simpy.Event, int]] = deque()
        self._getters: deque[simpy.Event] = deque()

    def put(self, item: int) -> simpy.Event:
        """See :class:`Link`."""
        event = self._env.event()
        self._putters.append((event, item))
        self._settle()
        return event

    def get(self) -> simpy.Event:
        """See :class:`Link`."""
        event = self._env.event()
        self._getters.append(event)
        self._settle()
        return event

    def _settle(self) -> None:
        while self._putters and self._getters:
            event, item = self._putters.popleft()
            event.succeed()
            self._getters.popleft().succeed(item)


class StageLog:
    """When a stage began each item and handed it over, in order, and how many cycles it waited for items."""

    def __init__(self) -> None:
        self.begin: list[int] = []
        self.leave: list[int] = []
        self.busy = 0
        self.starved = 0


def stage(
    env: simpy.Environment,
    source: Link,
    sink: Link | None,
    service: Sequence[int],
    log: StageLog,
    on_leave: Callable[[int], None] = lambda item: None,
) -> Process:
    """Serve items in order; keep an item that the sink has no room for (blocking after service). Without sink items just leave."""
    free = -1
    for item, cycles in enumerate(service):
        yield source.get()
        log.begin.append(now(env))
        log.starved += now(env) - free
        yield env.timeout(cycles)
        log.busy += cycles
        if sink is not None:
            yield sink.put(item)
        free = now(env)
        log.leave.append(free)
        on_leave(item)


def fork(item: int, sinks: Sequence[Fifo]) -> Process:
    """Offer an item to all sinks: it leaves to all of them in the one cycle in which every one has room."""
    for sink in sinks:
        yield sink.room()
    for sink in sinks:
        sink.put(item)


def join(sources: Sequence[Fifo]) -> Process:
    """Take one item from every source, all in the one cycle in which the last of them has one: an early item keeps its slot."""
    for source in sources:
        yield source.available()
    for source in sources:
        source.get()


class Arbiter:
    """One server, several requesters: a request arrives one cycle after it was issued and the grant is decided after all
    arrivals of the cycle.

    ``priority``: requesters in order of precedence, or None for round robin (the next after the one last granted; requester 0
    is first at the start). ``serve(grant, request)`` returns the cycle in which the service ends, at least one later; the
    server can grant again in that cycle. Each requester is served in the order in which its requests arrive.
    """

    def __init__(self, env: simpy.Environment, requesters: int, priority: Sequence[int] | None, serve: Callable[[int, Any], int]) -> None:
        self._env = env
        self._priority = priority
        self._serve = serve
        self._pending: list[deque[tuple[Any, simpy.Event]]] = [deque() for _ in range(requesters)]
        self._last = requesters - 1
        self._busy = False

    def request(self, requester: int, request: Any) -> simpy.Event:
        """Issue a request in this cycle; the event succeeds with (grant, end) in the end cycle."""
        served = self._env.event()

        def arrive(_: simpy.Event) -> None:
            self._pending[requester].append((request, served))
            self._decide_late()

        self._env.timeout(1).callbacks.append(arrive)
        return served

    def _decide_late(self) -> None:
        decision = self._env.event()
        decision._ok, decision._value = True, None
        decision.callbacks.append(self._decide)
        self._env.schedule(decision, LATE)

    def _decide(self, _: simpy.Event) -> None:
        count = len(self._pending)
        order = self._priority or [(self._last + 1 + step) % count for step in range(count)]
        waiting = [requester for requester in order if self._pending[requester]]
        if self._busy or not waiting:
            return
        self._last = waiting[0]
        request, served = self._pending[self._last].popleft()
        grant = now(self._env)
        end = self._serve(grant, request)
        self._busy = True

        def finish(_: simpy.Event) -> None:
            self._busy = False
            served.succeed((grant, end))
            self._decide_late()

        self._env.timeout(end - grant).callbacks.append(finish)
