"""Packets around a run that may end in the midst of one: inputs are taken whole, outputs are given whole."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.parameters import ArrayParameters
from rtl.transfer import row_layout


class InputGate(wiring.Component):
    """Hands beats on; when a run has failed in the midst of a packet, drops the rest of that packet.

    So the next run begins with the beginning of a packet. A packet of which no beat was taken stays. No latency.

    Parameters
    ----------
    beat
        Layout with a field ``last``.

    Members
    -------
    i : ``In(stream.Signature(beat))``
    o : ``Out(stream.Signature(beat))``
    failed : ``In(1)``
        A run has ended and will not take the rest.
    reset : ``In(1)``
        What comes next is the beginning of a packet.
    discarding : ``Out(1)``
    """

    def __init__(self, beat: data.StructLayout) -> None:
        beats = stream.Signature(beat)
        super().__init__({"i": In(beats), "o": Out(beats), "failed": In(1), "reset": In(1), "discarding": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Remember whether the last beat taken was marked."""
        m = Module()
        within, last = Signal(), self.i.payload.last
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & ~self.discarding),
            self.i.ready.eq(self.o.ready | self.discarding),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += within.eq(~last)
        with m.If(self.failed & within & ~(self.i.valid & self.i.ready & last)):
            m.d.sync += self.discarding.eq(1)
        with m.Elif(self.i.valid & last):
            m.d.sync += self.discarding.eq(0)
        with m.If(self.reset):
            m.d.sync += [within.eq(0), self.discarding.eq(0)]
        return m


class OutputGate(wiring.Component):
    """Holds a row until it is taken, whatever happens to the run, and ends a packet that a failed run left open with a row of zeros.

    Timing
    ------
    A row is offered in the cycle after it was taken; one every other cycle.

    Members
    -------
    i : ``In(stream.Signature(row_layout(parameters)))``
    o : ``Out(stream.Signature(row_layout(parameters)))``
    failed : ``In(1)``
        A run has ended with an error.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        rows = stream.Signature(row_layout(parameters))
        super().__init__({"i": In(rows), "o": Out(rows), "failed": In(1)})

    def elaborate(self, platform: object) -> Module:
        """One register; whether its packet goes on."""
        m = Module()
        within, closing = Signal(), Signal()
        m.d.comb += self.i.ready.eq(~self.o.valid & ~closing)
        with m.If(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Elif(closing):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.values.eq(0), self.o.payload.last.eq(1), within.eq(0), closing.eq(0)]
        with m.Elif(self.i.valid):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i.payload), within.eq(~self.i.payload.last)]
        with m.If(self.failed & within):
            m.d.sync += closing.eq(1)
        return m
