"""Pulse steps under proof: the terms of every entry, counted."""

from types import ModuleType

from amaranth.hdl import Assert, Cover, Module, Mux, Signal
from amaranth.lib import wiring

from qsim.arch.architecture import PEKind
from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import assume_stable
from rtl.parameters import ArrayParameters

PARAMETERS = ArrayParameters(
    pes=1, kind=PEKind.PVQ, columns=1, local_rows=2, weight_rows=1, entries_per_row=1, activation_bits=2, code_bits=3, row_width=1
)


def pulse_steps(source: ModuleType) -> Harness:
    """From the cycle after an entry is taken its term stands on the output ``max(1, |pulse|)`` cycles, without a gap to the next; the
    input is ready in the last of them, and whenever nothing is under way.
    """

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        entry = unit.i.payload
        due, term, row = Signal(range(5)), Signal.like(unit.o.payload.term), Signal.like(entry.tag.local_row)
        assume_stable(m, unit.i, "i")
        m.d.sync += due.eq(Mux(due > 0, due - 1, 0))
        with m.If(taken(unit.i)):
            m.d.sync += [due.eq(Mux(entry.code == 0, 1, abs(entry.code))), row.eq(entry.tag.local_row)]
            with m.Switch(entry.code):
                for pulse in range(-4, 4):
                    with m.Case(pulse):
                        sign = (pulse > 0) - (pulse < 0)
                        m.d.sync += term.eq(sign * entry.tag.activation)
        m.d.comb += [
            Assert(unit.i.ready == (due <= 1)),
            Assert(unit.o.valid == (due != 0)),
            Assert(~unit.o.valid | ((unit.o.payload.term == term) & (unit.o.payload.local_row == row))),
            Cover((due == 4) & (term == 2)),
            Cover((due == 1) & (term == 0) & unit.i.valid),
        ]

    return Harness(source.PulseSteps(PARAMETERS), rules)
