"""Column address under proof: the formula for every configuration, which may change whenever no column is under way."""

from types import ModuleType

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring

from qsim.arch.architecture import PEKind
from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import Followed, assume_stable
from rtl.parameters import ArrayParameters

PARAMETERS = ArrayParameters(
    pes=3, kind=PEKind.DENSE, columns=4, local_rows=3, weight_rows=6, entries_per_row=2, activation_bits=1, weight_bits=1, row_width=1
)


def column_address(source: ModuleType, pe: int) -> Harness:
    """Column j of PE ``pe`` lies from ``base + j * rows`` to ``base + (j + 1) * rows``, with one row less from ``full_pes`` on."""
    p = PARAMETERS

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        layer, before = unit.layer, Signal(p.layer, reset_less=True)
        m.d.sync += before.eq(layer)
        rows = Signal(range(-1, p.local_rows + 1))
        m.d.comb += rows.eq(layer.drain_rows - Mux(layer.full_pes <= pe, 1, 0))
        start = unit.i.payload.column * rows + layer.weight_base
        assume_stable(m, unit.i, "i")
        m.d.comb += [
            Assume(~(taken(unit.i) | unit.o.valid) | (Value.cast(layer) == Value.cast(before))),
            Assume((rows >= 0) & (layer.drain_rows <= p.local_rows)),
            Assume(start + rows <= p.weight_rows * p.entries_per_row),
        ]
        width, places = p.pointer.width, unit.o.payload.places
        end = start + rows
        item = Cat(start[:width], end[:width], Const(0, 1), (start ^ end)[: len(unit.o.payload.changes)], unit.i.payload.value)
        Followed(name="o", pushed=taken(unit.i), port=unit.o, expected=lambda at: item, choose=choose, capacity=1, wait=0).add(m)
        m.d.comb += [
            Assert(unit.i.ready | ~unit.o.ready),
            Assert(unit.busy == unit.o.valid),
            Cover(taken(unit.o) & (places[0] > p.entries_per_row) & (places[1] == places[0] + 3)),
        ]

    return Harness(source.ColumnAddress(p, pe), rules)
