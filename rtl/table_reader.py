"""Tables of a Huffman decoder from a stream of words: how many codes have each length, then the symbols in the order of their codes."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.huffman import HuffmanDecoder

HALF = 16  # bits of an item; two of them in a word, the first in the low half


class TableReader(wiring.Component):
    """Reads one table after the other and writes it to a decoder.

    A table is ``max_length`` counts, for codes of 1 bit, 2 bits, ..., and as many symbols as these make together; the counts and the
    symbols each fill whole words. The code is canonical, so all else follows: codes of a length are behind those of the length before,
    one bit longer.

    Timing
    ------
    An item a cycle, if words do not lack.

    Parameters
    ----------
    decoder : HuffmanDecoder
        Whose ports the tables are for; its symbols have at most 16 bits.

    Members
    -------
    i : ``In(stream.Signature(32))``
    lengths, symbols : ``Out``
        To the ports of :class:`~rtl.huffman.HuffmanDecoder`.
    done : ``Out(1)``
        In the cycle in which a table's last item is taken.
    flawed : ``Out(1)``
        In the cycle in which more codes are found than there can be, or than the decoder has room for.
    """

    def __init__(self, decoder: HuffmanDecoder) -> None:
        self.max_length, self.entries = decoder.max_length, decoder.entries
        members = decoder.signature.members
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(2 * HALF))),
                "lengths": Out(members["lengths"].signature),
                "symbols": Out(members["symbols"].signature),
                "done": Out(1),
                "flawed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Cut words into items; sum up the counts."""
        m = Module()
        high, item, is_last = Signal(), Signal(HALF), Signal()
        length = Signal(range(self.max_length + 1), init=1)
        first, behind = Signal(self.max_length + 1), Signal(HALF + 1)
        total, behind_total = Signal(self.entries.bit_length()), Signal(HALF + 1)
        address, in_symbols = Signal.like(total), Signal()
        m.d.comb += [
            item.eq(Mux(high, self.i.payload[HALF:], self.i.payload[:HALF])),
            self.i.ready.eq(self.i.valid & (high | is_last)),
            behind.eq(first + item),
            behind_total.eq(total + item),
            self.lengths.length.eq(length),
            self.lengths.first.eq(first),
            self.lengths.count.eq(item),
            self.lengths.offset.eq(total),
            self.symbols.addr.eq(address),
            self.symbols.data.eq(item),
        ]
        with m.If(self.i.valid):
            m.d.sync += high.eq(~high & ~is_last)
        with m.If(~in_symbols):
            m.d.comb += [
                is_last.eq(length == self.max_length),
                self.lengths.en.eq(self.i.valid),
                self.flawed.eq(self.i.valid & ((behind > (1 << length)) | (behind_total > self.entries))),
                self.done.eq(self.i.valid & is_last & (behind_total == 0)),
            ]
            with m.If(self.i.valid):
                m.d.sync += [first.eq(behind << 1), total.eq(behind_total), length.eq(length + 1), in_symbols.eq(is_last)]
        with m.Else():
            m.d.comb += [
                is_last.eq(address + 1 == total),
                self.symbols.en.eq(self.i.valid),
                self.done.eq(self.i.valid & is_last),
            ]
            m.d.sync += address.eq(address + self.i.valid)
        with m.If(self.done):
            m.d.sync += [length.eq(1), first.eq(0), total.eq(0), address.eq(0), in_symbols.eq(0)]
        return m
