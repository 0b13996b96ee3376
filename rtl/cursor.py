"""Where in the matrix the entries of a file are: the sum of their gaps, column by column, without a division."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from rtl.parameters import ArrayParameters


class LoaderError(enum.Enum, shape=3):
    """Why a layer was refused.

    CONFIGURATION: sizes or places that the array does not have. GAP: a gap that the file's index cannot have, a filler with another gap
    than the largest, or a filler behind the last weight. POSITION: an entry behind the last column. WEIGHTS_FULL: more entries than
    the weight memory of a PE holds. SOURCE: the streams in front do not decode. ENDS_EARLY, ENDS_LATE: the word marked as last came too
    soon; the last word is not marked.
    """

    NONE = 0
    CONFIGURATION = 1
    GAP = 2
    POSITION = 3
    WEIGHTS_FULL = 4
    SOURCE = 5
    ENDS_EARLY = 6
    ENDS_LATE = 7


class Step(enum.Enum, shape=2):
    """What is to be done for a PE: store a weight, begin a column (or end the last one), write a weight row that is part filled."""

    WEIGHT = 0
    COLUMN = 1
    FLUSH = 2


def layer_fields(parameters: ArrayParameters, gap_bits: int, count_bits: int) -> dict[str, Shape]:
    """Return what must be known of a layer that is loaded from a file.

    ``rows``, ``columns``; ``index_bits`` of the file's gaps; ``count``: entries in the file, fillers included; ``weight_base``: the place
    of the first weight in every PE, the first of a weight row; ``column_base``: the first pointer, even.
    """
    p = parameters
    return {
        "rows": unsigned(bits_for(p.pes * p.local_rows)),
        "columns": unsigned(bits_for(p.columns)),
        "index_bits": unsigned(bits_for(gap_bits)),
        "count": unsigned(count_bits),
        "weight_base": p.pointer,
        "column_base": p.column,
    }


def file_entry(parameters: ArrayParameters, gap_bits: int) -> data.StructLayout:
    """Return the layout of an entry of a file: the machine's ``code`` of its weight, or that it is a filler (``hole``); its ``gap``."""
    return data.StructLayout({"code": parameters.code_bits, "hole": 1, "gap": gap_bits})


def step_layout(parameters: ArrayParameters, row: dict[str, Shape]) -> data.StructLayout:
    """Return the layout of a step for PE ``pe``; ``row`` is how the row of a weight is given."""
    return data.StructLayout({"step": Step, "pe": unsigned(max(1, ceil_log2(parameters.pes))), "code": parameters.code_bits} | row)


def row_shape(parameters: ArrayParameters) -> Shape:
    """Return the shape of a row number of the whole matrix."""
    return unsigned(max(1, ceil_log2(parameters.pes * parameters.local_rows)))


class MatrixCursor(wiring.Component):
    """Turns a file's entries into steps: every weight with its row, and ``pes`` COLUMN steps in front of every column.

    ``base`` is the row of the next cell in the current column. A gap that leads to ``rows`` or beyond ends the column: ``rows`` is taken
    off ``base``, which may fall below zero, and the same entry is looked at again in the next column.

    Timing
    ------
    A column takes ``pes`` + 1 cycles, and one more for each of the file's entries in it, if entries and room do not lack. It begins
    behind a reset and stays ``finished``, until the next one, when the last FLUSH step is handed over.

    Members
    -------
    layer : ``In(layer_fields(...))``
        Constant while it works.
    i : ``In(stream.Signature(file_entry(...)))``
    o : ``Out(stream.Signature(step_layout(parameters, {"row"})))``
        ``pe`` is that of a weight only behind the splitter. Weights that are zero do not appear.
    finished : ``Out(1)``
    error : ``Out(LoaderError)``
        In the cycle in which it is found.
    """

    def __init__(self, parameters: ArrayParameters, gap_bits: int, count_bits: int) -> None:
        p = self.parameters = parameters
        self.gap_bits = gap_bits
        super().__init__(
            {
                "layer": In(data.StructLayout(layer_fields(p, gap_bits, count_bits))),
                "i": In(stream.Signature(file_entry(p, gap_bits))),
                "o": Out(stream.Signature(step_layout(p, {"row": row_shape(p)}))),
                "finished": Out(1),
                "error": Out(LoaderError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the order of the steps."""
        m = Module()
        layer, taken, moves = self.layer, Signal.like(self.layer.count), Signal()
        column, largest = Signal(layer.columns.shape()), Signal(self.gap_bits)
        m.d.comb += moves.eq(~self.o.valid | self.o.ready)
        m.d.sync += largest.eq((1 << layer.index_bits) - 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM(init="CHECK"):
            with m.State("CHECK"):
                with m.If(_misplaced(self.parameters, self.gap_bits, layer)):
                    m.d.comb += self.error.eq(LoaderError.CONFIGURATION)
                with m.Else():
                    m.next = "COLUMN"
            with m.State("COLUMN"), m.If(self._walk(m, moves, Step.COLUMN)):
                with m.If(column == layer.columns):
                    m.next = "FLUSH"
                with m.Else():
                    m.next = "ENTRIES"
            with m.State("ENTRIES"), m.If(self._entry(m, moves, taken, column, largest)):
                m.d.sync += column.eq(column + 1)
                m.next = "COLUMN"
            with m.State("FLUSH"), m.If(self._walk(m, moves, Step.FLUSH)):
                m.next = "END"
            with m.State("END"):
                m.d.comb += self.finished.eq(~self.o.valid)
        return m

    def _walk(self, m: Module, moves: Value, step: Step) -> Value:
        """Hand over ``step`` for one PE after the other; return whether this is the last."""
        pe = Signal(self.o.payload.pe.shape(), name=f"{step.name.lower()}_pe")
        is_last = pe == self.parameters.pes - 1
        with m.If(moves):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.step.eq(step), self.o.payload.pe.eq(pe), pe.eq(pe + 1)]
            with m.If(is_last):
                m.d.sync += pe.eq(0)
        return moves & is_last

    def _entry(self, m: Module, moves: Value, taken: Signal, column: Signal, largest: Signal) -> Value:
        """Look at an entry and take it, if it is in this column; return whether the column ends here."""
        layer, entry = self.layer, self.i.payload
        base = Signal(signed(max(len(layer.rows), self.gap_bits) + 2))
        target, ends, flawed, beyond = Signal.like(base), Signal(), Signal(), Signal()
        m.d.comb += [
            target.eq(base + entry.gap),
            beyond.eq(target >= layer.rows),
            flawed.eq((entry.gap > largest) | (entry.hole & ((entry.gap != largest) | (taken + 1 == layer.count)))),
        ]
        with m.If(taken == layer.count):
            m.d.comb += ends.eq(1)
        with m.Elif(self.i.valid):
            with m.If(flawed):
                m.d.comb += self.error.eq(LoaderError.GAP)
            with m.Elif(beyond & (column + 1 == layer.columns)):
                m.d.comb += self.error.eq(LoaderError.POSITION)
            with m.Elif(beyond):
                m.d.comb += ends.eq(1)
                m.d.sync += base.eq(base - layer.rows)
            with m.Elif(moves):
                m.d.comb += self.i.ready.eq(1)
                step = self.o.payload
                m.d.sync += [base.eq(target + 1), taken.eq(taken + 1)]
                m.d.sync += [self.o.valid.eq(~entry.hole & (entry.code != 0)), step.step.eq(Step.WEIGHT)]
                m.d.sync += [step.row.eq(target), step.code.eq(entry.code)]
        return ends


def _misplaced(p: ArrayParameters, gap_bits: int, layer: data.View) -> Value:
    """Return whether the array has no room for ``layer``, or the layer contradicts itself."""
    return Cat(
        layer.rows == 0,
        layer.rows > p.pes * p.local_rows,
        layer.columns == 0,
        layer.columns > p.columns,
        layer.column_base[0],
        layer.column_base + layer.columns >= 2 * p.pointer_pairs,
        layer.index_bits == 0,
        layer.index_bits > gap_bits,
        (layer.weight_base & (p.entries_per_row - 1)) != 0,
        layer.weight_base > p.weight_rows * p.entries_per_row,
    ).any()
