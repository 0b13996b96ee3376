"""The entry reader under proof, against a counter that walks each column beside it."""

from types import ModuleType

from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from qsim.arch.architecture import PEKind
from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import assume_stable
from rtl.load import Unit
from rtl.parameters import ArrayParameters


def entry_reader(source: ModuleType, kind: PEKind, queue_latency: int = 1) -> Harness:
    """Every column's entries are issued once, in order, one in every cycle without ``hold``, and offered ``latency`` cycles later with
    the code in the memory, the row that their gaps add up to and the column's activation. The next column is taken as the last entry
    is issued; a column without entries costs a cycle.
    """
    p = ArrayParameters(
        pes=1, kind=kind, columns=1, local_rows=3, weight_rows=2, entries_per_row=2, activation_bits=1, weight_bits=1, code_bits=1,
        index_bits=1, row_width=1, queue_latency=queue_latency,
    )  # fmt: skip
    places = p.weight_rows * p.entries_per_row

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        memory = _loaded(m, unit, p)
        given, place, end = unit.i.payload, Signal(p.pointer), Signal(p.pointer)
        held, fresh, value, above = Signal(), Signal(), Signal(p.activation), Signal(p.local_row)
        assume_stable(m, unit.i, "i")
        start, finish = _ends(m, given, p)
        m.d.comb += Assume((start <= finish) & (finish <= places) & (finish - start <= p.local_rows))

        issues, leaves = held & (place != end) & ~unit.hold, Signal()
        m.d.comb += leaves.eq(held & ((place == end) | (issues & (place + 1 == end))))
        entry = memory[place[:2]]
        row = Signal(p.local_row)
        m.d.comb += row.eq(Mux(fresh, 0, above + 1) + (entry.gap if p.has_gaps else 0))
        with m.If(issues):
            m.d.sync += [place.eq(place + 1), above.eq(row), fresh.eq(0)]
        with m.If(leaves):
            m.d.sync += held.eq(0)
        with m.If(taken(unit.i)):
            m.d.sync += [held.eq(1), fresh.eq(1), place.eq(start), end.eq(finish), value.eq(given.value)]

        offered = Cat(issues, entry.code, row, value)
        for _ in range(unit.latency):
            register = Signal(len(offered))
            m.d.sync += register.eq(offered)
            offered = register
        m.d.comb += [
            Assert(unit.i.ready == (~held | leaves)),
            Assert((unit.busy == held) & (unit.leaves == leaves) & (unit.issues == issues)),
            Assert(unit.o.valid == offered[0]),
            Assert(~unit.o.valid | (Value.cast(unit.o.payload) == offered[1:])),
            Cover(leaves & (end == places) & (row == 2) & unit.i.valid),
            Cover(unit.o.valid & unit.o.payload.code[0] & (unit.o.payload.tag.local_row == 1)),
            Cover(held & unit.hold & ~fresh),
        ]

    return Harness(source.EntryReader(p, 0), rules)


def _ends(m: Module, given: data.View, p: ArrayParameters) -> tuple[Value, Value]:
    """Return where the column ``given`` starts and ends; the rest of it says the same."""
    if p.reads_ahead:
        start, finish = given.start, Signal(p.pointer, name="finish")
        m.d.comb += [
            finish.eq(start + (given.end - start)[: p.place_bits]),
            Assume((given.empty == (start == finish)) & (given.alone == (start + 1 == finish))),
        ]
        return start, finish
    start, finish = (Mux(given.begins, given.places[number], given.places[1 - number]) for number in (1, 0))
    m.d.comb += Assume(given.changes == (start ^ finish)[: len(given.changes)])
    return start, finish


def _loaded(m: Module, unit: wiring.Component, p: ArrayParameters) -> Array[data.View]:
    """Return the entries that were loaded; nothing is loaded while a column is held."""
    width = Signal(p.entry).as_value().shape().width
    entries = Array(Signal(p.entry, name=f"entry{place}", reset_less=True) for place in range(p.weight_rows * p.entries_per_row))
    word = unit.load.word
    with m.If(unit.load.valid & (word.unit == Unit.WEIGHTS) & (word.pe == 0)):
        for place, entry in enumerate(entries):
            with m.If(word.address == place // p.entries_per_row):
                m.d.sync += entry.eq(Value.cast(word.data).word_select(place % p.entries_per_row, width))
    m.d.comb += [Assume(word.address < p.weight_rows), Assume(~(unit.load.valid & unit.busy))]
    return entries
