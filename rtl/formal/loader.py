"""The entry loader under proof: whatever the file's entries and sizes are, only places of the layer are written, and an error ends it."""

from types import ModuleType

from amaranth.hdl import Assert, Assume, Cover, Module, Signal
from amaranth.lib import wiring

from rtl.formal.harnesses import Harness
from rtl.formal.rules import assert_soon, assume_stable
from rtl.load import Unit
from rtl.parameters import ArrayParameters

PARAMETERS = ArrayParameters(
    pes=2, columns=2, local_rows=2, weight_rows=3, entries_per_row=2, activation_bits=1, weight_bits=1, code_bits=1, index_bits=1,
    row_width=1, pointers=6, layers=1,
)  # fmt: skip
GAP_BITS, COUNT_BITS = 2, 3


def entry_loader(source: ModuleType) -> Harness:
    """Any sizes, places and entries: every word is a weight row from the layer's first one on or a pair of its pointers, inside the
    memories, of a PE that there is, and comes between ``start`` and ``done``, none after an error. While entries come, one is taken
    or the layer is done within a bounded number of cycles.
    """
    p = PARAMETERS

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        layer, running, failed = Signal(unit.layer), Signal(), unit.error != source.LoaderError.NONE
        assume_stable(m, unit.i, "i")
        with m.If(unit.done):
            m.d.sync += running.eq(0)
        with m.If(unit.start.en):
            m.d.sync += [layer.eq(unit.start.layer), running.eq(1)]
        word, written = unit.load.word, unit.load.valid
        weights, pointers = word.unit == Unit.WEIGHTS, word.unit == Unit.POINTERS
        inside = weights & (word.address >= layer.weight_base >> p.lane_bits) & (word.address < p.weight_rows)
        first, last = layer.column_base >> 1, (layer.column_base + layer.columns) >> 1
        inside |= pointers & (word.address >= first) & (word.address <= last) & (word.address < p.pointer_pairs)
        m.d.comb += [
            Assume(~unit.failed | unit.busy),
            Assert(~written | (inside & (word.pe < p.pes))),
            Assert(~written | (unit.busy & running & ~unit.done & ~failed)),
            Assert(~unit.i.ready | unit.busy),
            Assert(~(unit.busy & unit.done)),
            Cover(written & weights & (word.address == p.weight_rows - 1)),
            Cover(unit.done & ~failed & (layer.count == 3)),
            *(Cover(unit.done & (unit.error == error)) for error in _errors(source)),
        ]
        waits = unit.busy & ~unit.i.ready & ~unit.start.en & unit.ended & (unit.i.valid | (layer.count == 0))
        assert_soon(m, waits, 24, "loads")

    return Harness(source.EntryLoader(p, GAP_BITS, COUNT_BITS), rules)


def _errors(source: ModuleType) -> list[object]:
    """Return the errors that entries and sizes can have."""
    known = source.LoaderError
    return [known.CONFIGURATION, known.GAP, known.POSITION, known.WEIGHTS_FULL, known.SOURCE]
