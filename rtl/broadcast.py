"""The fork for many queues: registers between it and them, so that no item has to cross the whole chip within a cycle."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.near import near
from rtl.stream import Queue

BRANCHES_OF_A_COPY = 4  # queues that share a register


class Broadcast(wiring.Component):
    """Hands every item to all queues in the same cycle, when all of them have room.

    Timing
    ------
    An item taken in cycle ``c`` is written to the queues in ``c + 1``, so that it is offered from ``c + 2`` on (``forward_latency``); the
    slot of an item read in cycle ``c`` takes a new one from ``c + 2`` on (``return_latency``). Queues of 4 slots or more move an item
    every cycle.

    Parameters
    ----------
    shape
        Shape of an item.
    branches : int
        Number of queues.
    depth : int
        Slots of each.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape, always_ready=True)).array(branches)``
        To the queues, which have room.
    levels : ``In(range(depth + 1)).array(branches)``
        Items in each queue.
    """

    delay = 1
    forward_latency = Queue.forward_latency + delay
    return_latency = Queue.return_latency + 1

    def __init__(self, shape: ShapeLike, branches: int, depth: int) -> None:
        self.shape = shape
        self.branches = branches
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape, always_ready=True)).array(branches),
                "levels": In(range(depth + 1)).array(branches),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the copies and the register that says whether there is room.

        A level does not yet count the item that is taken in this cycle nor the one taken in the cycle before, which is being written. So
        whether all queues have room for one, two or three more is found beside each other, and what was taken chooses.
        """
        m = Module()
        taken, was_taken, room = Signal(), Signal(), Signal()
        one, two, three = (Cat(level < self.depth - more for level in self.levels).all() if self.depth > more else 0 for more in range(3))
        m.d.comb += [taken.eq(self.i.valid & room), self.i.ready.eq(room)]
        m.d.sync += [was_taken.eq(taken), room.eq(Mux(taken & was_taken, three, Mux(taken | was_taken, two, one)))]
        for first in range(0, self.branches, BRANCHES_OF_A_COPY):
            valid, payload = near(m, taken, reset_less=False), near(m, self.i.payload)
            for branch in self.o[first : first + BRANCHES_OF_A_COPY]:
                m.d.comb += [branch.valid.eq(valid), branch.payload.eq(payload)]
        return m
