"""The dense PE: one stored weight a cycle, for every local row of every column. The baseline: nothing is skipped, nothing coded."""

from amaranth.hdl import Module
from amaranth.lib.wiring import connect, flipped

from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.pe.element import Element
from rtl.pe.entries import EntryReader


class DenseMac(Element):
    """Column address, entry reader, multiply-accumulate in a row.

    A column costs as many cycles as the PE has rows. Timing and members as :class:`~rtl.pe.element.Element`; ``load`` writes unit WEIGHTS.
    """

    pipeline_latency = EntryReader.latency + Accumulator.latency

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        super().__init__(parameters, pe)
        self.reader = EntryReader(parameters, pe)
        self.accumulator = Accumulator(parameters)

    def elaborate(self, platform: object) -> Module:
        """Wire the units."""
        m = Module()
        m.submodules.reader, accumulator = self.reader, self.accumulator
        reader = self.reader
        self.connect_fetch(m)
        self.connect_sums(m, accumulator)
        connect(m, self.fetch.o, reader.i)
        connect(m, flipped(self.load), reader.load)
        m.d.comb += [
            accumulator.i.valid.eq(reader.o.valid),
            accumulator.i.payload.weight.eq(reader.o.payload.code),
            accumulator.i.payload.tag.eq(reader.o.payload.tag),
        ]
        self.observe(m, reader, issue=reader.i.valid & reader.i.ready, holds=reader.busy, leave=reader.leaves)
        return m
