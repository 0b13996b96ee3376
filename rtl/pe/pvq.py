"""The pyramid-vector PE: no multiplier. An entry of magnitude m adds or subtracts the activation m times, one cycle each.

The scale of a row is applied once, by the drain. Source of the idea: Liguori, arXiv:1704.02681.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import connect, flipped

from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.pe.element import Element
from rtl.pe.entries import EntryReader, entry_layout
from rtl.pe.pulses import PulseSteps
from rtl.stream import Queue


class PyramidMac(Element):
    """Pointer fetch, issue stage, entry reader, a short queue, pulse steps, accumulator.

    A column costs the sum over its entries of ``max(1, |pulse|)`` cycles. The issue stage must know it as the column begins, three cycles
    before the first pulse has been read; so it is stored beside the column's pointer and counted down. The reader runs ahead of the
    count, up to ``ahead`` entries before the pulse steps. Those follow the count at a fixed distance: an entry takes a cycle at least,
    and the queue covers the way from a place that becomes free to the entry that fills it. For the same reason the last entry of a
    column has been read when its count ends.

    Timing and members as :class:`~rtl.pe.element.Element`; ``load`` writes units POINTERS and WEIGHTS.
    """

    pipeline_latency = EntryReader.latency + Queue.forward_latency + PulseSteps.latency + Accumulator.latency
    # From an entry taken by the steps: one cycle until the reader sees its place free, then the reader's and the queue's own.
    ahead = 1 + EntryReader.latency + Queue.forward_latency

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        super().__init__(parameters, pe)
        self.reader = EntryReader(parameters, pe)
        self.entries = Queue(entry_layout(parameters), self.ahead)
        self.steps = PulseSteps(parameters)
        self.accumulator = Accumulator(parameters, multiplies=False)

    def elaborate(self, platform: object) -> Module:
        """Build the count of a column's cycles and wire the units."""
        m = Module()
        m.submodules.reader, m.submodules.entries, m.submodules.steps = reader, entries, steps = self.reader, self.entries, self.steps
        self.connect_fetch(m)
        self.connect_sums(m, self.accumulator)
        connect(m, flipped(self.load), reader.load)
        connect(m, entries.o, steps.i)
        m.d.comb += [self.accumulator.i.valid.eq(steps.o.valid & steps.adds), self.accumulator.i.payload.eq(steps.o.payload)]

        column = self.fetch.o
        counting, left = Signal(), Signal(self.parameters.column_cycles, reset_less=True)
        issue, leave = Signal(), Signal()
        m.d.comb += [
            leave.eq(counting & (left == 1)),
            column.ready.eq(~counting | leave),
            issue.eq(column.valid & column.ready),
            reader.i.valid.eq(issue),
            reader.i.payload.eq(column.payload),
        ]
        m.d.sync += left.eq(left - 1)
        with m.If(column.ready):
            m.d.sync += [counting.eq(column.valid), left.eq(column.payload.cycles)]

        places = Signal(range(self.ahead + 1), init=self.ahead)
        m.d.sync += places.eq(places + (entries.o.valid & entries.o.ready) - reader.issues)
        m.d.comb += [
            reader.hold.eq(places == 0),
            entries.i.valid.eq(reader.o.valid),
            entries.i.payload.eq(reader.o.payload),
        ]
        self.observe(m, reader, issue=issue, holds=counting, leave=leave)
        return m
