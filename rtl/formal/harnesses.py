"""The components under proof, built small, each with its rules around it."""

from collections.abc import Callable
from types import ModuleType

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.formats.pvq import count_points, point_of
from rtl.broadcast import Broadcast
from rtl.formal.rules import Followed, assert_soon, assume_stable
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from rtl.stream import Queue

ITEM = 3  # bits of an item: enough to tell it from its neighbours
Rules = Callable[[Module, wiring.Component, Signal], None]


class Harness(wiring.Component):
    """A component in an environment that may do all that a stream's contract allows, and reset it in any cycle; ``choose`` picks the
    item to follow. A reset begins the rules anew, but for what lies in memories, whereas the component's registers without reset keep
    what they hold: so a proof is one from every state that a reset can leave.

    Outputs whose ``ready`` is constant have no port; the rules see them all the same.
    """

    def __init__(self, unit: wiring.Component, rules: Rules) -> None:
        self.inner = unit
        self.rules = rules
        members = {name: member for name, member in unit.signature.members.items() if not _always_ready(member)}
        super().__init__({"unit": Out(wiring.Signature(members)), "choose": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Connect the component to the ports and add the rules."""
        m = Module()
        m.submodules.inner = self.inner
        for name, member in self.unit.signature.members.items():
            here, there = getattr(self.unit, name), getattr(self.inner, name)
            _connect(m, here, there, member)
        self.rules(m, self.inner, self.choose)
        return m


def _always_ready(member: wiring.Member) -> bool:
    return member.is_signature and isinstance(member.signature, stream.Signature) and member.signature.always_ready


def _connect(m: Module, here: object, there: object, member: wiring.Member) -> None:
    """Connect a port or an interface, or each of an array of them."""
    if isinstance(here, (list, tuple)):
        for one, other in zip(here, there, strict=True):
            _connect(m, one, other, member)
    elif member.is_signature:
        connect(m, flipped(here), there)
    else:
        m.d.comb += there.eq(here) if member.flow is In else here.eq(there)


def taken(port: stream.Interface) -> Value:
    """Return whether an item is handed over."""
    return port.valid & port.ready


def queue(source: ModuleType, depth: int) -> Harness:
    """A queue gives what it got, at once when ready; a full one has room one cycle after."""

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        assume_stable(m, unit.i, "i")
        Followed(
            name="o", pushed=taken(unit.i), port=unit.o, expected=lambda at: unit.i.payload, choose=choose, capacity=depth, wait=0
        ).add(m)
        assert_soon(m, unit.o.ready & ~unit.i.ready, 1, "i")

    return Harness(source.Queue(ITEM, depth), rules)


class Branches(wiring.Component):
    """A fork, alone or into queues as in the array, or the fork with registers; outputs ``o0``, ``o1``, ..."""

    def __init__(self, source: ModuleType, branches: int, depth: int | None) -> None:
        self.source, self.branches, self.depth = source, branches, depth
        super().__init__({"i": In(stream.Signature(ITEM))} | {f"o{at}": Out(stream.Signature(ITEM)) for at in range(branches)})

    @property
    def outputs(self) -> list[stream.Interface]:
        """The branches."""
        return [getattr(self, f"o{at}") for at in range(self.branches)]

    def elaborate(self, platform: object) -> Module:
        """Join fork and queues."""
        m = Module()
        far = hasattr(self.source, "Broadcast")
        m.submodules.fork = part = self.source.Broadcast(ITEM, self.branches, self.depth) if far else self.source.Fork(ITEM, self.branches)
        connect(m, flipped(self.i), part.i)
        for at, output in enumerate(self.outputs):
            end = part.o[at]
            if self.depth is not None:
                m.submodules[f"queue{at}"] = behind = self.source.Queue(ITEM, self.depth)
                m.d.comb += [behind.i.valid.eq(end.valid), behind.i.payload.eq(end.payload)]
                m.d.comb += part.levels[at].eq(behind.level) if far else end.ready.eq(behind.i.ready)
                if far:
                    m.d.comb += Assert(~behind.i.valid | behind.i.ready)  # no item is lost
                end = behind.o
            connect(m, end, flipped(output))
        return m


def fork(source: ModuleType, branches: int, depth: int | None) -> Harness:
    """Every branch gives every item, whatever the others do: alone in the cycle in which it is taken, as soon as all are ready; behind
    queues at once when ready, and with all ready the input waits one cycle at most. With registers each of these a cycle later.
    """
    later = 1 if hasattr(source, "Broadcast") else 0

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        assume_stable(m, unit.i, "i")
        for at, port in enumerate(unit.outputs):
            Followed(
                name=f"o{at}",
                pushed=taken(unit.i),
                port=port,
                expected=lambda _: unit.i.payload,
                choose=choose,
                capacity=depth or 0,
                wait=later,
                through=depth is None,
            ).add(m)
        everyone = Cat(port.ready for port in unit.outputs).all()
        assert_soon(m, everyone & ~unit.i.ready, 0 if depth is None else 1 + later * (2 if depth == 1 else 1), "i")

    return Harness(Branches(source, branches, depth), rules)


def codebook(source: ModuleType) -> Harness:
    """A look-up gives the weight that the table held when the item was taken, with its tag."""

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        table = Array(Signal(signed(2), name=f"entry{at}", reset_less=True) for at in range(4))
        with m.If(unit.write.en):
            m.d.sync += table[unit.write.addr].eq(unit.write.data)
        assume_stable(m, unit.i, "i")
        item = Cat(table[unit.i.payload.code], unit.i.payload.tag)
        Followed(name="o", pushed=taken(unit.i), port=unit.o, expected=lambda at: item, choose=choose, capacity=1, wait=0).add(m)
        m.d.comb += Assert(unit.i.ready | ~unit.o.ready)

    return Harness(source.CodebookLookup(2, 2, tag=1), rules)


def _loaded_pointers(m: Module, unit: wiring.Component, p: ArrayParameters, depth: int) -> Array[Signal]:
    """Return the pointers that were loaded to PE 0; let columns and addresses of the load bus be there."""
    word, width = unit.load.word, p.pointer.width
    pointers = Array(Signal(p.pointer, name=f"pointer{at}", reset_less=True) for at in range(2 * depth))
    with m.If(unit.load.valid & (word.unit == Unit.POINTERS) & (word.pe == 0)):
        for at in range(depth):
            with m.If(word.address == at):
                m.d.sync += [pointers[2 * at].eq(word.data), pointers[2 * at + 1].eq(word.data >> width)]
    m.d.comb += [Assume(word.address < depth), Assume(unit.i.payload.column < p.columns)]
    return pointers


def pointer_fetch(source: ModuleType) -> Harness:
    """The pointer fetch gives the pointers of column j and j + 1 as they were when the item was taken."""
    p = ArrayParameters(pes=1, columns=3, weight_rows=1, entries_per_row=1, activation_bits=1, local_rows=1, row_width=1)

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        pointers = _loaded_pointers(m, unit, p, p.columns // 2 + 1)
        assume_stable(m, unit.i, "i")
        column = unit.i.payload.column
        m.d.comb += Assume(unit.i.payload.next_pair == (column + 1) >> 1)
        even, odd = pointers[column + column[0]], pointers[column | 1]
        item = Cat(even, odd, column[0], (even ^ odd)[: len(unit.o.payload.changes)], unit.i.payload.value)
        Followed(name="o", pushed=taken(unit.i), port=unit.o, expected=lambda at: item, choose=choose, capacity=1, wait=0).add(m)
        m.d.comb += Assert(unit.i.ready | ~unit.o.ready)

    return Harness(source.PointerFetch(p, 0), rules)


class AheadOfQueue(wiring.Component):
    """Pointers ahead beside broadcast and queue, as in the array."""

    def __init__(self, source: ModuleType, p: ArrayParameters) -> None:
        self.ahead, self.queue, self.broadcast = (
            source.PointersAhead(p, 0),
            Queue(p.item, p.queue_depth),
            Broadcast(p.item, 1, p.queue_depth),
        )
        members = self.ahead.signature.members
        super().__init__({name: members[name] for name in ("i", "o", "load", "busy")})

    def elaborate(self, platform: object) -> Module:
        """Join them."""
        m = Module()
        m.submodules.ahead, m.submodules.queue, m.submodules.broadcast = ahead, queue, broadcast = self.ahead, self.queue, self.broadcast
        connect(m, flipped(self.i), broadcast.i)
        connect(m, queue.o, ahead.i)
        connect(m, flipped(self.load), ahead.load)
        connect(m, ahead.o, flipped(self.o))
        waits, branch = Signal(), broadcast.o[0]
        m.d.sync += waits.eq(self.i.valid & ~self.i.ready)
        m.d.comb += [
            queue.i.valid.eq(branch.valid),
            queue.i.payload.eq(branch.payload),
            broadcast.levels[0].eq(queue.level),
            ahead.offer.first.eq(self.i.valid & ~waits),
            ahead.offer.item.eq(self.i.payload),
            ahead.offer.written.eq(branch.valid),
            self.busy.eq(ahead.busy),
        ]
        return m


def pointers_ahead(source: ModuleType) -> Harness:
    """Behind the queue, every item has the pointers of its column, and whether it has no entry or one, while none is loaded."""
    p = ArrayParameters(
        pes=1, columns=3, weight_rows=1, entries_per_row=2, activation_bits=1, local_rows=2, row_width=1, queue_depth=2, queue_latency=2
    )
    depth = p.pointer_pairs

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        pointers = _loaded_pointers(m, unit, p, depth)
        item, inside = unit.i.payload, Signal(range(p.queue_depth + 3))
        m.d.sync += inside.eq(inside + taken(unit.i) - taken(unit.o))
        assume_stable(m, unit.i, "i")
        m.d.comb += [Assume(~unit.load.valid | ((inside == 0) & ~unit.i.valid)), Assume(item.next_pair == (item.column + 1) >> 1)]
        start, end = pointers[item.column], pointers[item.column + 1]
        m.d.comb += [Assume((start <= end) & (end - start <= p.local_rows))]
        few = p.place_bits
        expected = Cat(start, end[:few], start == end, start + 1 == end, item.value)
        Followed(
            name="o", pushed=taken(unit.i), port=unit.o, expected=lambda at: expected, choose=choose, capacity=p.queue_depth + 1, wait=2
        ).add(m)

    return Harness(AheadOfQueue(source, p), rules)


def pyramid_index(source: ModuleType, n: int, k: int) -> Harness:
    """Every index becomes the N coordinates of its point, in order; none is later than the steps it takes."""

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        layout = unit.o.payload.shape()
        points = count_points(n, k)
        numbers = [
            layout.const({"pulse": int(pulse), "last": int(at == n - 1)}).as_bits()
            for index in range(points)
            for at, pulse in enumerate(point_of(index, n, k))
        ]
        width = Value.cast(unit.o.payload).shape().width
        table = Array(Const(number, width) for number in numbers)
        assume_stable(m, unit.i, "i")
        m.d.comb += Assume(unit.i.payload < points)
        Followed(
            name="o",
            pushed=taken(unit.i),
            port=unit.o,
            expected=lambda at: table[unit.i.payload * n + at],
            choose=choose,
            capacity=n + 1,
            fan=n,
            wait=k + 1,
        ).add(m)
        assert_soon(m, unit.o.ready & ~unit.i.ready, n + k - 1, "i")
        m.d.comb += Assert(~unit.error)

    return Harness(source.PyramidIndex(n, k), rules)
