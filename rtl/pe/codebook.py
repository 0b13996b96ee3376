"""The codebook PE: as the dense one, but what is stored is the weight's place in a small table."""

from amaranth.hdl import Module
from amaranth.lib.wiring import connect, flipped

from rtl.codebook import CodebookLookup
from rtl.load import Unit, connect_memory
from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.pe.element import Element
from rtl.pe.entries import EntryReader, product_layout


class CodebookMac(Element):
    """Column address, entry reader, codebook, multiply-accumulate in a row.

    A column costs as many cycles as the PE has rows. Timing and members as :class:`~rtl.pe.element.Element`; ``load`` writes units CODEBOOK
    and WEIGHTS (and POINTERS, where there are any).
    """

    pipeline_latency = EntryReader.latency + CodebookLookup.latency + Accumulator.latency

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        super().__init__(parameters, pe)
        self.reader = EntryReader(parameters, pe)
        self.codebook = CodebookLookup(parameters.code_bits, parameters.weight_bits, product_layout(parameters))
        self.accumulator = Accumulator(parameters)

    def elaborate(self, platform: object) -> Module:
        """Wire the units."""
        m = Module()
        m.submodules.reader, m.submodules.codebook = reader, codebook = self.reader, self.codebook
        self.connect_fetch(m)
        self.connect_sums(m, self.accumulator)
        connect(m, self.fetch.o, reader.i)
        connect(m, codebook.o, self.accumulator.i)
        # The reader cannot wait, and the codebook never makes it: what follows takes an item every cycle.
        m.d.comb += [codebook.i.valid.eq(reader.o.valid), codebook.i.payload.eq(reader.o.payload)]
        connect(m, flipped(self.load), reader.load)
        connect_memory(m, self.load, codebook.write, Unit.CODEBOOK)
        self.observe(m, reader, issue=reader.i.valid & reader.i.ready, holds=reader.busy, leave=reader.leaves)
        return m
