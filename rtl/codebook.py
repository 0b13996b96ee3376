"""The codebook: a small table, loaded at run time, from code to weight."""

from amaranth.hdl import Module, ShapeLike, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out


class CodebookLookup(wiring.Component):
    """Replaces the code of every item by its weight.

    Timing
    ------
    One item a cycle; an item taken in cycle ``c`` is offered from ``c + latency``. The table is read in the cycle in which the item
    is taken; a word written in that very cycle is not seen yet.

    Parameters
    ----------
    code_bits : int
        Width of a code; the table has ``2 ** code_bits`` words, 0 until written.
    weight_bits : int
        Width of a signed weight.
    tag : ShapeLike
        What passes through beside the code.

    Members
    -------
    i : ``In(stream.Signature({"code", "tag"}))``
    o : ``Out(stream.Signature({"weight", "tag"}))``
    write : ``In({"enable", "address", "data"})``

    Raises
    ------
    ValueError
        If ``code_bits`` is outside 1 to 16 or ``weight_bits`` below 2.
    """

    latency = 1

    def __init__(self, code_bits: int, weight_bits: int, tag: ShapeLike = 0) -> None:
        if not 1 <= code_bits <= 16:
            raise ValueError(f"code_bits must be 1 to 16, not {code_bits!r}")
        if weight_bits < 2:
            raise ValueError(f"weight_bits must be at least 2, not {weight_bits!r}")
        self.code_bits = code_bits
        self.weight_bits = weight_bits
        code, weight = unsigned(code_bits), signed(weight_bits)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"code": code, "tag": tag}))),
                "o": Out(stream.Signature(data.StructLayout({"weight": weight, "tag": tag}))),
                "write": In(wiring.Signature({"en": Out(1), "addr": Out(code), "data": Out(weight)})),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the table (LUT RAM) and the output register."""
        m = Module()
        m.submodules.table = table = memory.Memory(shape=signed(self.weight_bits), depth=1 << self.code_bits, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        weight, tag = Signal(read.data.shape(), reset_less=True), Signal(self.i.payload.tag.shape(), reset_less=True)
        m.d.comb += [
            write.en.eq(self.write.en),
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
            read.addr.eq(self.i.payload.code),
            self.i.ready.eq(~self.o.valid | self.o.ready),
            self.o.payload.weight.eq(weight),
            self.o.payload.tag.eq(tag),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                weight.eq(read.data),
                tag.eq(self.i.payload.tag),
            ]
        return m
