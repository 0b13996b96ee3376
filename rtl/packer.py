"""From the weights of a matrix to the memories of the PEs: local rows and gaps, filler entries, weight rows, pointers."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from qsim.formats.codebook import FILLER_CODE
from rtl.cursor import LoaderError, Step, row_shape, step_layout
from rtl.load import LoadSignature, Unit
from rtl.parameters import ArrayParameters


def reciprocal(pes: int, row_bits: int) -> tuple[int, int]:
    """Return ``(m, s)`` such that ``row * m >> s == row // pes`` for every row of ``row_bits`` bits.

    ``m * pes`` is above ``2**s`` by less than ``pes <= 2**(s - row_bits)``, which is the condition of Granlund and Montgomery, "Division by
    invariant integers using multiplication", PLDI 1994, theorem 4.2.
    """
    shift = row_bits + ceil_log2(pes)
    return -(-(1 << shift) // pes), shift


class RowSplitter(wiring.Component):
    """Replaces a weight's row by its PE, row mod ``pes``, and its local row, row div ``pes``.

    The quotient is a product with a constant; for a power of two of PEs it is only wires.

    Timing
    ------
    A step a cycle, offered from 2 cycles later; ``busy`` while a step is inside.

    Members
    -------
    i : ``In(stream.Signature(step_layout(parameters, {"row"})))``
    o : ``Out(stream.Signature(step_layout(parameters, {"local"})))``
    busy : ``Out(1)``
    """

    latency = 2

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(step_layout(p, {"row": row_shape(p)}))),
                "o": Out(stream.Signature(step_layout(p, {"local": p.local_row}))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the quotient, then the remainder."""
        m = Module()
        pes, step = self.parameters.pes, self.i.payload
        factor, shift = reciprocal(pes, len(step.row))
        valid, between, local = Signal(), Signal.like(step), Signal(self.o.payload.local.shape())
        m.d.comb += [self.i.ready.eq(~self.o.valid | self.o.ready), self.busy.eq(valid | self.o.valid)]
        with m.If(self.i.ready):
            m.d.sync += [valid.eq(self.i.valid), between.eq(step), local.eq((step.row * factor) >> shift)]
            m.d.sync += [
                self.o.valid.eq(valid),
                self.o.payload.step.eq(between.step),
                self.o.payload.code.eq(between.code),
                self.o.payload.local.eq(local),
                self.o.payload.pe.eq(Mux(between.step == Step.WEIGHT, between.row - local * pes, between.pe)),
            ]
        return m


class EntryPacker(wiring.Component):
    """Carries out steps: keeps for every PE its place, its local row and the weight row that it fills, and writes rows and pointers.

    Timing
    ------
    A step a cycle, and one more for every filler entry. A word is on ``load`` in the cycle behind the step.

    Members
    -------
    columns, weight_base, column_base : ``In``
        As in :func:`~rtl.cursor.layer_fields`; constant while it works.
    i : ``In(stream.Signature(step_layout(parameters, {"local"})))``
    load : ``Out(LoadSignature(parameters))``
    error : ``Out(LoaderError)``
        In the cycle in which it is found; nothing is written for that step.
    """

    def __init__(self, parameters: ArrayParameters, columns: Shape) -> None:
        p = self.parameters = parameters
        entry = unsigned(Shape.cast(p.entry).width)
        self.kept = data.StructLayout(
            {"place": p.pointer, "low": p.pointer, "local": range(p.local_rows + 1), "row": data.ArrayLayout(entry, p.entries_per_row)}
        )
        super().__init__(
            {
                "columns": In(columns),
                "weight_base": In(p.pointer),
                "column_base": In(p.column),
                "i": In(stream.Signature(step_layout(p, {"local": p.local_row}))),
                "load": Out(LoadSignature(p)),
                "error": Out(LoaderError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the memory (LUT RAM) of what is kept for each PE, and one action for each kind of step."""
        m = Module()
        step = self.i.payload
        m.submodules.pes = pes = memory.Memory(shape=self.kept, depth=max(2, self.parameters.pes), init=[])
        write, read = pes.write_port(), pes.read_port(domain="comb")
        m.d.comb += [read.addr.eq(step.pe), write.addr.eq(step.pe), write.data.eq(read.data), write.en.eq(self.i.valid)]
        m.d.sync += [self.load.valid.eq(0), self.load.word.pe.eq(step.pe)]
        with m.If(self.i.valid), m.Switch(step.step):
            with m.Case(Step.COLUMN):
                m.d.comb += self.i.ready.eq(1)
                self._column(m, read.data, write.data)
            with m.Case(Step.WEIGHT):
                self._weight(m, read.data, write)
            with m.Default():
                m.d.comb += self.i.ready.eq(1)
                with m.If(self._lane(read.data.place) != 0):
                    self._write_row(m, read.data.place, read.data.row)
        return m

    def _lane(self, place: Value) -> Value:
        return place & (self.parameters.entries_per_row - 1)

    def _write_row(self, m: Module, place: Value, row: Value) -> None:
        word = self.load.word
        m.d.sync += [self.load.valid.eq(1), word.unit.eq(Unit.WEIGHTS)]
        m.d.sync += [word.address.eq(place >> self.parameters.lane_bits), word.data.eq(Value.cast(row))]

    def _column(self, m: Module, old: data.View, new: data.View) -> None:
        """Begin a column: its pointer is the PE's place. Pointers are written in pairs, the end of an odd number of them with a zero."""
        p, word = self.parameters, self.load.word
        column, place = Signal(self.columns.shape()), Signal(p.pointer)
        m.d.comb += [place.eq(Mux(column == 0, self.weight_base, old.place)), new.place.eq(place), new.low.eq(place), new.local.eq(0)]
        with m.If(self.i.payload.pe == p.pes - 1):
            m.d.sync += column.eq(column + 1)
        with m.If(column[0] | (column == self.columns)):
            low, high = Mux(column[0], old.low, place), Mux(column[0], place, 0)
            m.d.sync += [self.load.valid.eq(1), word.unit.eq(Unit.POINTERS)]
            m.d.sync += [word.address.eq((self.column_base + column) >> 1), word.data.eq(low | (high << len(place)))]

    def _weight(self, m: Module, old: data.View, write: wiring.PureInterface) -> None:
        """Store a weight, or a filler in front of it. ``local`` is the row behind the last entry."""
        p, step = self.parameters, self.i.payload
        largest = (1 << p.index_bits) - 1
        run, far, entry, new = Signal(p.local_row), Signal(), Signal(p.entry), write.data
        m.d.comb += [
            run.eq(step.local - old.local),
            far.eq(run > largest),
            entry.code.eq(Mux(far, FILLER_CODE, step.code)),
            entry.gap.eq(Mux(far, largest, run)),
            new.place.eq(old.place + 1),
            new.local.eq(Mux(far, old.local + largest + 1, step.local + 1)),
        ]
        lane = self._lane(old.place)
        for number in range(p.entries_per_row):
            kept = Mux(lane == 0, 0, Value.cast(old.row[number]))
            m.d.comb += new.row[number].eq(Mux(lane == number, entry.as_value(), kept))
        with m.If(old.place == p.weight_rows * p.entries_per_row):
            m.d.comb += [self.error.eq(LoaderError.WEIGHTS_FULL), write.en.eq(0)]
        with m.Else():
            m.d.comb += self.i.ready.eq(~far)
            with m.If(lane == p.entries_per_row - 1):
                self._write_row(m, old.place, new.row)
