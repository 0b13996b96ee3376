"""Pulse steps: an entry of magnitude m becomes m terms, each the activation or its negative."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import term_layout
from rtl.pe.entries import entry_layout


class PulseSteps(wiring.Component):
    """Offers the term of every entry as often as its pulse is large, a filler's zero once.

    Timing
    ------
    An entry taken in cycle ``c`` offers its terms in ``c + latency`` and the ``max(1, |pulse|) - 1`` cycles after it; the next entry is
    taken in the cycle of the last one.

    Parameters
    ----------
    parameters : ArrayParameters
        ``code_bits``: width of a pulse.

    Members
    -------
    i : ``In(stream.Signature(entry_layout(parameters)))``
    o : ``Out(stream.Signature(term_layout(parameters), always_ready=True))``
    adds : ``Out(1)``
        With ``o.valid``: the term is a pulse's, not a filler's zero, which need not be added.
    """

    latency = 1

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(entry_layout(parameters))),
                "o": Out(stream.Signature(term_layout(parameters), always_ready=True)),
                "adds": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the term's register and the count of steps after this one."""
        m = Module()
        pulse, tag = self.i.payload.code, self.i.payload.tag
        magnitude, steps_after, term = Signal(len(pulse)), Signal(len(pulse)), Signal(self.o.payload.shape(), reset_less=True)
        m.d.comb += [magnitude.eq(abs(pulse)), self.o.payload.eq(term), self.i.ready.eq(steps_after == 0)]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.adds.eq(pulse != 0),
                term.local_row.eq(tag.local_row),
                term.term.eq(Mux(pulse < 0, -tag.activation, Mux(pulse == 0, 0, tag.activation))),
                steps_after.eq(Mux(self.i.valid & (pulse != 0), magnitude - 1, 0)),
            ]
        with m.Else():
            m.d.sync += steps_after.eq(steps_after - 1)
        return m
