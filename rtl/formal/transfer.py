"""Input and output of a network under proof: rows to their places, and rows from them with the largest output."""

from types import ModuleType

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring

from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import assert_soon, assert_stable, assume_stable
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces

INPUT = ArrayParameters(
    pes=3, columns=12, local_rows=4, weight_rows=1, entries_per_row=1, activation_bits=1, weight_bits=1, row_width=2, layers=1
)
OUTPUT = ArrayParameters(
    pes=1, columns=4, local_rows=4, weight_rows=1, entries_per_row=1, activation_bits=2, weight_bits=1, row_width=2, layers=1
)


def input_writer(source: ModuleType) -> Harness:
    """Every row that is taken is written to its place in half 0, in the same cycle, and nothing else ever: at most ``rows`` after a
    ``start``. It is done with the last of them or the first that is marked wrongly, and says what is wrong; until then it is ready.
    """
    p, places = INPUT, ActivationPlaces.of(INPUT)

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        running, count, rows = Signal(), Signal(range(p.activation_rows + 1)), Signal.like(unit.rows)
        assume_stable(m, unit.i, "i")
        m.d.comb += Assume(~unit.start | ((unit.rows > 0) & (unit.rows <= p.activation_rows)))
        comes, final = taken(unit.i), count + 1 == rows
        ends = comes & (final | unit.i.payload.last)
        with m.If(comes):
            m.d.sync += count.eq(count + 1)
        with m.If(ends):
            m.d.sync += running.eq(0)
        with m.If(unit.start):
            m.d.sync += [running.eq(1), count.eq(0), rows.eq(unit.rows)]
        address = Array(Const(places.address(row), 8) for row in range(p.activation_rows))[count]
        word = unit.bus.word
        m.d.comb += [
            Assert(unit.i.ready == running),
            Assert(unit.bus.valid == comes),
            Assert(~comes | ((word.unit == Unit.ACTIVATIONS) & (word.address == address) & (count < rows))),
            Assert(~comes | (word.data == Value.cast(unit.i.payload.values))),
            Assert(unit.done == ends),
            Assert(~ends | ((unit.early == ~final) & (unit.late == ~unit.i.payload.last))),
            Cover(ends & (count == p.activation_rows - 1) & ~unit.late),
            Cover(ends & unit.early & (count == 3)),
            Cover(ends & unit.late & (count == 3)),
        ]

    return Harness(source.InputWriter(p), rules)


def output_reader(source: ModuleType) -> Harness:
    """Every row is read once and offered once, in order, zeros behind the last output, the last one marked; ``best`` is the lowest index
    of the largest output. A row comes ``row_width + 3`` cycles after it may be read.
    """
    p = OUTPUT

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        running, count = Signal(), Signal.like(unit.count)
        reads, sent, arrived = (Signal(range(p.activation_rows + 2), name=name) for name in ("reads", "sent", "arrived"))
        m.d.comb += [Assume(~unit.start | ((unit.count > 0) & (unit.count <= p.columns))), Assume(~(unit.start & running))]
        values = Array(Signal(p.activation, name=f"stored{at}") for at in range(p.columns))
        with m.If(unit.unload.en):
            m.d.sync += reads.eq(reads + 1)
        m.d.sync += arrived.eq(reads)
        for row in range(p.activation_rows):
            with m.If((arrived == row) & (reads == row + 1)):
                m.d.sync += [values[row * p.row_width + lane].eq(unit.unload.values[lane]) for lane in range(p.row_width)]
        moved, start = taken(unit.o), sent * p.row_width
        final = start + p.row_width >= count
        with m.If(moved):
            m.d.sync += [sent.eq(sent + 1), running.eq(~final)]
        with m.If(unit.start):
            m.d.sync += [running.eq(1), count.eq(unit.count), reads.eq(0), sent.eq(0), arrived.eq(0)]

        offered = [Mux(start + lane < count, values[(start + lane)[:2]], 0) == unit.o.payload.values[lane] for lane in range(p.row_width)]
        best = _largest([values[at] for at in range(p.columns)], count)
        m.d.comb += [
            Assert(unit.unload.restart == unit.start),
            Assert(~unit.unload.en | (running & (reads == sent) & (reads * p.row_width < count))),
            Assert(~unit.o.valid | (running & (reads == sent + 1) & Cat(offered).all() & (unit.o.payload.last == final))),
            Assert(unit.done == (moved & final)),
            Assert(~unit.done | (unit.best == best)),
            Cover(unit.done & (count == p.columns) & (unit.best == 2)),
            Cover(unit.done & (count == 3) & (values[2] < 0)),
        ]
        assert_stable(m, unit.o, "o")
        assert_soon(m, running & ~unit.o.valid, p.row_width + 2, "o")

    return Harness(source.OutputReader(p), rules)


def _largest(values: list[Value], count: Value) -> Value:
    """Return the lowest index of the largest of the first ``count`` values: no value is larger, none before it as large."""
    best: Value = Const(0)
    for at, value in enumerate(values):
        smaller = [other < value for other in values[:at]]
        others = [(value >= other) | (after >= count) for after, other in enumerate(values[at + 1 :], at + 1)]
        best = Mux(Cat(*smaller, *others).all() & (at < count), at, best)
    return best
