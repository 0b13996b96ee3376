"""A stream of weights from a memory, so that no Python runs while a bench's model takes it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.weight_port import WORD


class StreamPlayer(wiring.Component):
    """Offers the words that were written to it, the first one in the cycle after ``restart``, one a cycle if they are taken.

    Parameters
    ----------
    depth : int
        Most words.

    Members
    -------
    write : ``In({"en", "word"})``
        The next word, its last bit on top.
    restart : ``In(1)``
    o : ``Out(stream.Signature(WORD))``
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "write": In(wiring.Signature({"en": Out(1), "word": Out(WORD.size)})),
                "restart": In(1),
                "o": Out(stream.Signature(WORD)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count words in and out."""
        m = Module()
        m.submodules.words = words = memory.Memory(shape=WORD.size, depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        count, place = Signal(ceil_log2(self.depth) + 1), Signal(ceil_log2(self.depth) + 1)
        m.d.sync += [write.en.eq(self.write.en), write.addr.eq(count), write.data.eq(self.write.word), count.eq(count + self.write.en)]
        m.d.comb += [read.addr.eq(place), self.o.payload.eq(read.data), self.o.valid.eq(place < count)]
        with m.If(self.restart):
            m.d.sync += place.eq(0)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += place.eq(place + 1)
        return m
