"""The pyramid dot product under proof: every row's scaled sum, in order."""

from types import ModuleType

from amaranth.hdl import Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring

from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import Followed, assert_soon, assume_stable

LANES, PULSES = 2, 3


def pyramid_dot(source: ModuleType) -> Harness:
    """Every row of up to ``PULSES`` pulses gives its product, in order; a beat takes as many cycles as its largest pulse."""

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        beat = unit.i.payload
        total, pulses = Signal(range(-2 * PULSES, 2 * PULSES + 1)), Signal(range(PULSES + 1))
        here = sum((pair.pulse * pair.value for pair in (beat.pairs[lane] for lane in range(LANES))), start=total)
        used = sum((abs(beat.pairs[lane].pulse) for lane in range(LANES)), start=pulses)
        assume_stable(m, unit.i, "i")
        m.d.comb += Assume(~unit.i.valid | (used <= PULSES))
        with m.If(taken(unit.i)):
            m.d.sync += [total.eq(Mux(beat.last, 0, here)), pulses.eq(Mux(beat.last, 0, used))]
        product = Signal(unit.o.payload.shape())
        m.d.comb += product.eq(here * beat.scale)
        Followed(
            name="o",
            pushed=taken(unit.i) & beat.last,
            port=unit.o,
            expected=lambda at: product,
            choose=choose,
            capacity=1 + unit.latency,
            wait=1 + unit.latency,
        ).add(m)
        assert_soon(m, unit.o.ready & ~unit.i.ready, 1, "i")
        m.d.comb += Cover(taken(unit.o) & (unit.o.payload == -2 * PULSES))

    return Harness(source.PyramidDot(lanes=LANES, activation_bits=2, pulse_bits=2, scale_bits=1, max_pulses=PULSES), rules)
