"""The drain under proof: every local row once, its bias and sum, its result in the promised cycle."""

from types import ModuleType

from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from qsim.arch.architecture import PEKind
from qsim.formats.fixed import FixedFormat
from rtl.formal.harnesses import Harness
from rtl.load import Unit
from rtl.parameters import ArrayParameters

PARAMETERS = ArrayParameters(
    pes=1, kind=PEKind.DENSE, columns=1, local_rows=3, weight_rows=1, entries_per_row=1, activation_bits=2, weight_bits=1, row_width=1,
    accumulator_bits=2, bias_bits=2,
)  # fmt: skip


def drain(source: ModuleType) -> Harness:
    """From the cycle after ``start`` rows 0 to ``drain_rows - 1`` are asked for, one a cycle; each gives one result, ``latency`` cycles
    later and with its number, the saturated sum of what the PE answers and the bias stored in ``row_base + row``; ``done`` with the last.
    """
    p = PARAMETERS

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        biases = _loaded(m, unit)
        layer = unit.layer
        left, row = Signal(range(p.local_rows + 1)), Signal(p.local_row)
        asked = left != 0
        with m.If(asked):
            m.d.sync += [left.eq(left - 1), row.eq(row + 1)]
        with m.If(unit.start):
            m.d.sync += [left.eq(layer.drain_rows), row.eq(0)]
        m.d.comb += [Assert(unit.asked[0].valid == asked), Assert(~asked | ((unit.asked[0].row == row) & (row < p.local_rows)))]

        bias = Signal(signed(p.bias_bits))
        m.d.comb += bias.eq(biases[(layer.row_base + row)[:2]])
        lane = unit.lanes[0]
        valid, number, last = _after(m, lane.latency, asked, row, left == 1)
        (bias_then,) = _after(m, lane.sum_delay, bias)
        total = Signal(signed(4))
        m.d.comb += total.eq(bias_then + unit.sums[0])
        saturated = Mux(total > layer.limit, layer.limit, Mux(total < 0, Mux(layer.relu, 0, Mux(total < -2, -2, total)), total))
        output = Signal(p.activation)
        m.d.comb += output.eq(saturated)
        (expected,) = _after(m, lane.latency - lane.sum_delay, output)
        result, done = unit.result, Signal()
        m.d.comb += [
            done.eq(valid & last),
            Assert(result.valid == valid),
            Assert(~valid | ((result.row == number) & (result.values[0] == expected))),
            Assert(unit.done == done),
            Cover(done & (number == p.local_rows - 1) & (expected == -2)),
            Cover(done & (number == 0) & (expected == 1) & (layer.row_base == 2)),
        ]
        _assume_layers(m, unit, asked, done)

    return Harness(source.Drain(PARAMETERS, FixedFormat(PARAMETERS.activation_bits, 0)), rules)


def _assume_layers(m: Module, unit: wiring.Component, asked: Value, done: Value) -> None:
    """A layer starts when the one before is done, stands from the cycle before on, lies inside the memories and shifts nothing."""
    layer, before, busy = unit.layer, Signal(PARAMETERS.layer, reset_less=True), Signal()
    m.d.sync += [before.eq(layer), busy.eq(unit.start | (busy & ~done))]
    m.d.comb += [
        Assume(~(unit.start & busy)),
        Assume(~(unit.start | busy) | (Value.cast(layer) == Value.cast(before))),
        Assume(~(unit.loads[0].valid & (unit.start | busy))),
        Assume((layer.drain_rows > 0) & (layer.row_base + layer.drain_rows <= PARAMETERS.local_rows)),
        Assume((layer.bias_shift == 0) & (layer.left == 0) & (layer.right == 0)),
    ]


def _loaded(m: Module, unit: wiring.Component) -> Array[Signal]:
    """Return the biases that were loaded, at places that there are."""
    word = unit.loads[0].word
    biases = Array(Signal(signed(PARAMETERS.bias_bits), name=f"bias{at}", reset_less=True) for at in range(PARAMETERS.local_rows))
    with m.If(unit.loads[0].valid & (word.unit == Unit.BIAS) & (word.pe == 0)):
        for at, bias in enumerate(biases):
            with m.If(word.address == at):
                m.d.sync += bias.eq(word.data)
    m.d.comb += Assume(word.address < PARAMETERS.local_rows)
    return biases


def _after(m: Module, cycles: int, *values: Value) -> list[Value]:
    """Return values as they were so many cycles ago."""
    now = list(values)
    for _ in range(cycles):
        registers = [Signal(Value.cast(value).shape()) for value in now]
        m.d.sync += [register.eq(value) for register, value in zip(registers, now, strict=True)]
        now = registers
    return now
