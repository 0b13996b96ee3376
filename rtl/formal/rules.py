"""What every stream component must keep to, as assertions beside it.

Stability: an offered item stays as it is until it is taken. Following one item: the solver chooses any item that goes in; the
items in front of it must come out first, then it, with the right payload. Together with the number of items inside, this
excludes every loss, duplicate and change of order, without a memory of what went in. Progress: what is inside comes out when the
consumer is ready.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream


def _stability(m: Module, port: stream.Interface, name: str) -> Value:
    """Return whether ``port`` offers what it offered before, if that was not taken."""
    stalled = Signal(name=f"{name}_stalled")
    now = Value.cast(port.payload).as_unsigned()
    before = Signal(len(now), name=f"{name}_before")
    m.d.sync += [stalled.eq(port.valid & ~port.ready), before.eq(now)]
    return ~stalled | (port.valid & (now == before))


def assume_stable(m: Module, port: stream.Interface, name: str) -> None:
    """Let the environment keep to the contract as the producer of ``port``."""
    m.d.comb += Assume(_stability(m, port, name))


def assert_stable(m: Module, port: stream.Interface, name: str) -> None:
    """Require that ``port`` offers an item unchanged until it is taken."""
    m.d.comb += Assert(_stability(m, port, name))


def assert_soon(m: Module, waiting: ValueLike, cycles: int, name: str) -> None:
    """Require that ``waiting`` does not last for more than ``cycles`` cycles."""
    waited = Signal(range(cycles + 2), name=f"{name}_waited")
    m.d.sync += waited.eq(Mux(waiting, waited + (waited <= cycles), 0))
    m.d.comb += Assert(~Value.cast(waiting) | (waited < cycles))


@dataclass(slots=True, kw_only=True)
class Followed:
    """One item on its way from ``pushed`` to the output ``port``.

    ``capacity``: the most output items inside; ``fan``: output items an input item becomes; ``through``: an item comes out in the
    cycle in which it goes in; ``expected``: the payload of output item 0 to fan - 1; ``wait``: cycles until a ready consumer gets an
    item that is inside.
    """

    name: str
    pushed: Value
    port: stream.Interface
    expected: Callable[[Value], Value]
    choose: Value
    capacity: int
    wait: int
    fan: int = 1
    through: bool = False
    seen: Signal = field(default_factory=lambda: Signal(name="seen"))

    def add(self, m: Module) -> None:
        """Add counters and assertions."""
        capacity, name = self.capacity, self.name
        inside = Signal(range(capacity + self.fan + 2), name=f"{name}_inside")
        ahead, following = Signal.like(inside, name=f"{name}_ahead"), Signal(name=f"{name}_following")
        wanted = [Signal(Value.cast(self.port.payload).shape(), name=f"{name}_wanted{at}") for at in range(self.fan)]
        popped = self.port.valid & self.port.ready
        there = inside + Mux(self.pushed, self.fan, 0) if self.through else inside
        m.d.sync += inside.eq(inside + Mux(self.pushed, self.fan, 0) - popped)
        m.d.comb += [Assert(inside <= capacity), Assert(~self.port.valid | (there > 0)), Cover(self.seen)]
        if capacity:
            m.d.comb += Cover(inside == capacity)
        begin = self.pushed & self.choose & ~following & ~self.seen
        with m.If(begin):
            m.d.sync += [following.eq(1), ahead.eq(inside - popped)]
            m.d.sync += [item.eq(Value.cast(self.expected(Value.cast(at)))) for at, item in enumerate(wanted)]
        now = Value.cast(self.port.payload)
        with m.If(following & popped):
            with m.If(ahead != 0):
                m.d.sync += ahead.eq(ahead - 1)
            with m.Else():
                m.d.comb += Assert(now == wanted[0])
                m.d.sync += [one.eq(other) for one, other in itertools.pairwise(wanted)]
                turn = Signal(range(self.fan + 1), name=f"{name}_turn")
                m.d.sync += turn.eq(turn + 1)
                with m.If(turn == self.fan - 1):
                    m.d.sync += [following.eq(0), self.seen.eq(1)]
        if self.through:
            with m.If(begin):
                m.d.comb += [Assert(popped), Assert(now == Value.cast(self.expected(Value.cast(0))))]
                m.d.sync += [following.eq(0), self.seen.eq(1)]
        assert_stable(m, self.port, name)
        assert_soon(m, (there > 0) & self.port.ready & ~self.port.valid, self.wait, name)
