"""The network's input and output as streams of activation rows."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.activations import RowReads
from rtl.load import LoadSignature, Unit
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces


def row_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a beat: a scan row, the first activation in the low bits, and whether it is the last."""
    return data.StructLayout({"values": data.ArrayLayout(parameters.activation, parameters.row_width), "last": 1})


class InputWriter(wiring.Component):
    """Writes a stream of rows to half 0 of the activation memory.

    Timing
    ------
    One row a cycle from the cycle after ``start``; ``done`` in the cycle of the last beat or of the first that is wrong.

    Members
    -------
    start : ``In(1)``
    rows : ``In(range(activation_rows + 1))``
        Rows that must come, at least 1.
    i : ``In(stream.Signature(row_layout(parameters)))``
    bus : ``Out(LoadSignature(parameters))``
    done, early, late : ``Out(1)``
        With ``done``: the row marked last came too early; the last row is not marked.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "rows": In(range(parameters.activation_rows + 1)),
                "i": In(stream.Signature(row_layout(parameters))),
                "bus": Out(LoadSignature(parameters)),
                "done": Out(1),
                "early": Out(1),
                "late": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count rows, and their addresses, which skip what is no group."""
        m = Module()
        places = ActivationPlaces.of(self.parameters)
        active, left = Signal(), Signal.like(self.rows)
        group, word = Signal(range(places.groups)), Signal(max(1, places.depth_bits))
        beat, word_out, is_last = self.i.payload, self.bus.word, Signal()
        last_group = group == places.groups - 1
        m.d.comb += [
            self.i.ready.eq(active),
            self.bus.valid.eq(self.i.valid & active),
            word_out.unit.eq(Unit.ACTIVATIONS),
            word_out.address.eq(Cat(group[: places.group_bits], word)),
            word_out.data.eq(Value.cast(beat.values)),
            is_last.eq(left == 1),
            self.early.eq(beat.last & ~is_last),
            self.late.eq(is_last & ~beat.last),
            self.done.eq(self.bus.valid & (is_last | beat.last)),
        ]
        with m.If(self.bus.valid):
            m.d.sync += [left.eq(left - 1), group.eq(Mux(last_group, 0, group + 1)), word.eq(word + last_group)]
        with m.If(self.done):
            m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [active.eq(1), left.eq(self.rows), group.eq(0), word.eq(0)]
        return m


class OutputReader(wiring.Component):
    """Reads the last layer's outputs, offers them row by row and finds the largest: the lowest index among equals.

    Timing
    ------
    A row takes ``row_width + 3`` cycles, longer if it is not taken at once. ``done`` in the cycle in which the last row is taken.

    Members
    -------
    start : ``In(1)``
    count : ``In(range(columns + 1))``
        Outputs, at least 1. What is behind them in the last row is sent as zero.
    unload : ``Out(RowReads(parameters))``
    o : ``Out(stream.Signature(row_layout(parameters)))``
    best : ``Out(16)``
        Index of the largest output, after ``done``.
    done : ``Out(1)``
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "count": In(range(parameters.columns + 1)),
                "unload": Out(RowReads(parameters)),
                "o": Out(stream.Signature(row_layout(parameters))),
                "best": Out(16),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One row at a time: read, compare its activations one a cycle, offer."""
        m = Module()
        p = self.parameters
        left, index, lane = Signal.like(self.count), Signal(16), Signal(range(p.row_width))
        largest, row = Signal(signed(p.activation_bits)), self.o.payload.values
        shifting, value = Signal(p.row_width * p.activation_bits), Signal(signed(p.activation_bits))
        m.d.comb += [value.eq(shifting[: p.activation_bits]), self.unload.restart.eq(self.start)]
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [left.eq(self.count), index.eq(0), self.best.eq(0)]
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.unload.en.eq(1)
                m.d.sync += lane.eq(0)
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.sync += shifting.eq(Value.cast(self.unload.values))
                m.next = "COMPARE"
            with m.State("COMPARE"):
                inside = left != 0
                m.d.sync += [
                    shifting.eq(shifting >> p.activation_bits),
                    row.eq(Cat(Value.cast(row)[p.activation_bits :], Mux(inside, value, 0)[: p.activation_bits])),
                    lane.eq(lane + 1),
                    index.eq(index + 1),
                ]
                with m.If(inside):
                    m.d.sync += left.eq(left - 1)
                with m.If(inside & ((index == 0) | (value > largest))):
                    m.d.sync += [largest.eq(value), self.best.eq(index)]
                with m.If(lane == p.row_width - 1):
                    m.d.sync += self.o.payload.last.eq(left <= 1)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.comb += self.done.eq(self.o.payload.last)
                    with m.If(self.o.payload.last):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "READ"
        return m
