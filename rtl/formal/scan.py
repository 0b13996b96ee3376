"""The non-zero scan under proof: every wanted activation of every layer, in order of columns, against a record of the rows it read."""

from types import ModuleType

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Signal, Value
from amaranth.lib import wiring

from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import assert_soon, assert_stable
from rtl.parameters import ArrayParameters


def parameters_of(rows: int, width: int, bits: int) -> ArrayParameters:
    """Return an array with ``rows`` rows of ``width`` activations, and column numbers that go beyond."""
    return ArrayParameters(
        pes=1, columns=rows * width, pointers=8, local_rows=1, weight_rows=1, entries_per_row=1, activation_bits=bits, weight_bits=1,
        row_width=width,
    )  # fmt: skip


def nonzero_scan(source: ModuleType, rows: int, width: int, bits: int) -> Harness:
    """Each layer reads its rows once, then offers its non-zero activations (all, where ``every_column``), each once and in order, with
    their column; ``active`` ends when none is left. All layers after each other, with memory contents that may change in between.
    """
    p = parameters_of(rows, width, bits)
    places = rows * width

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        layer = unit.layer
        was_active = _assume_layers(m, unit, p)
        rows_read, known, values = _record(m, unit, p)
        place = Signal(range(places + 1))  # behind the last activation that came
        wanted = [
            (at >= place) & (at < layer.columns) & (layer.every_column | (values[at] != 0))  # of the rows that were read
            for at in range(places)
        ]
        here, any_left = Signal(range(places)), Signal()
        m.d.comb += any_left.eq((Cat(wanted) & known).any())
        for at in reversed(range(places)):
            with m.If(wanted[at] & known[at]):
                m.d.comb += here.eq(at)

        value = Signal(p.activation)
        m.d.comb += value.eq(values[here])
        item = unit.o.payload
        column = (layer.column_base + here)[:3]
        offered = any_left & (item.column == column) & (item.next_pair == (column + 1) >> 1) & (Value.cast(item.value) == value)
        with m.If(taken(unit.o)):
            m.d.sync += place.eq(here + 1)
        with m.If(unit.start):
            m.d.sync += place.eq(0)
        m.d.comb += [
            Assert(~unit.o.valid | (unit.active & offered)),
            Assert(~(was_active & ~unit.active) | ((rows_read == layer.scan_rows) & ~any_left)),
            Assert(unit.rows.restart == unit.start),
            Assert(~unit.ahead.i.valid | unit.ahead.i.ready),  # no row is lost on its way
            Cover(was_active & ~unit.active & (layer.scan_rows == rows) & (place == places) & ~layer.every_column),
            Cover(was_active & ~unit.active & (layer.scan_rows == rows) & (place == 0)),
            Cover(unit.active & (rows_read > 0) & ~unit.rows.en & (rows_read < layer.scan_rows)) if rows > unit.ahead.depth else Assert(1),
        ]
        assert_stable(m, unit.o, "o")
        idle = unit.active & unit.o.ready & ~unit.o.valid
        assert_soon(m, idle, unit.start_latency + rows, "o")

    return Harness(source.NonZeroScan(p), rules)


def _assume_layers(m: Module, unit: wiring.Component, p: ArrayParameters) -> Signal:
    """Start only while nothing is under way, with sizes that fit, which stand to the cycle after it; return whether it was ``active``."""
    layer, before, was_active = unit.layer, Signal(p.layer, reset_less=True), Signal()
    m.d.sync += [before.eq(layer), was_active.eq(unit.active)]
    base = Const(0, 4) + layer.column_base
    m.d.comb += [
        Assume(~(unit.start & unit.active)),
        Assume(~(unit.active | was_active) | (Value.cast(layer) == Value.cast(before))),
        Assume((layer.scan_rows > 0) & (layer.scan_rows <= p.activation_rows)),
        Assume((layer.columns <= layer.scan_rows * p.row_width) & (base + layer.columns < p.pointers) & ~base[0]),
    ]
    return was_active


def _record(m: Module, unit: wiring.Component, p: ArrayParameters) -> tuple[Signal, Value, Array]:
    """Return how many rows were read, which places are known, and their activations; no row more than there are is read."""
    width = p.row_width
    reads, arrived = Signal(range(p.activation_rows + 2)), Signal(range(p.activation_rows + 2))
    values = Array(Signal(p.activation, name=f"stored{at}") for at in range(p.activation_rows * width))
    known = Signal(p.activation_rows * width)
    with m.If(unit.rows.en):
        m.d.sync += reads.eq(reads + 1)
    m.d.sync += arrived.eq(reads)
    for row in range(p.activation_rows):
        with m.If((arrived == row) & (reads == row + 1)):
            m.d.sync += [values[row * width + lane].eq(unit.rows.values[lane]) for lane in range(width)]
            m.d.sync += known[row * width : (row + 1) * width].eq((1 << width) - 1)
    with m.If(unit.start):
        m.d.sync += [reads.eq(0), arrived.eq(0), known.eq(0)]
    m.d.comb += Assert(~unit.rows.en | (unit.active & (reads < unit.layer.scan_rows)))
    return reads, known, values
