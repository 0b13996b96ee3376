"""Stream primitives of the array: the queue before each PE and the fork that feeds all of them."""

from amaranth.hdl import Cat, Module, ShapeLike, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


class Queue(wiring.Component):
    """A FIFO whose level is a register.

    Timing
    ------
    An item written in cycle ``c`` is offered from ``c + 1`` on (``forward_latency``); the slot of an item read in cycle ``c`` takes a
    new one from ``c + 1`` on (``return_latency``). With ``depth`` 1 it therefore moves an item every other cycle, with 2 or more
    one a cycle. ``o.payload`` comes straight from a memory with asynchronous read (LUT RAM).

    Parameters
    ----------
    shape
        Shape of an item.
    depth : int
        Slots.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    level : ``Out(range(depth + 1))``
        Items held.

    Raises
    ------
    ValueError
        If ``depth`` is below 1.
    """

    forward_latency = 1
    return_latency = 1

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth!r}")
        self.shape = shape
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        """Build the FIFO."""
        m = Module()
        m.submodules.slots = slots = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = slots.write_port(), slots.read_port(domain="comb")
        pushed, popped = Signal(), Signal()
        # Whether there is room and whether there is an item, one cycle ahead: registers, because all PEs' queues are joined.
        room, filled = Signal(init=1), Signal()
        m.d.sync += [
            room.eq(popped | (self.level + pushed < self.depth)),
            filled.eq(pushed | (self.level > popped)),
        ]
        m.d.comb += [
            self.i.ready.eq(room),
            self.o.valid.eq(filled),
            self.o.payload.eq(read.data),
            write.data.eq(self.i.payload),
            write.en.eq(pushed),
            pushed.eq(self.i.valid & self.i.ready),
            popped.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += self.level.eq(self.level + pushed - popped)
        for port, moved in ((write, pushed), (read, popped)):
            with m.If(moved):
                m.d.sync += port.addr.eq(0 if self.depth == 1 else next_slot(port.addr, self.depth))
        return m


def next_slot(address: Signal, depth: int) -> Signal:
    """Return the number of the slot behind ``address`` in a ring of ``depth``."""
    if depth == 1 << ceil_log2(depth):
        return address + 1
    return (address != depth - 1).replicate(len(address)) & (address + 1)


class Fork(wiring.Component):
    """Hands every item to all branches in the same cycle, when all of them have room.

    Each branch's ``valid`` depends on the other branches' ``ready``, so a branch must not wait for ``valid`` before it raises ``ready``;
    a :class:`Queue` does not. No latency.

    Parameters
    ----------
    shape
        Shape of an item.
    branches : int
        Number of outputs.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape)).array(branches)``
    """

    def __init__(self, shape: ShapeLike, branches: int) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)).array(branches)})

    def elaborate(self, platform: object) -> Module:
        """Build the join of all ``ready``."""
        m = Module()
        m.d.comb += self.i.ready.eq(Cat(branch.ready for branch in self.o).all())
        for branch in self.o:
            m.d.comb += [branch.payload.eq(self.i.payload), branch.valid.eq(self.i.valid & self.i.ready)]
        return m
