"""The door for compressed weights: one stream of words with everything that a layer's two Huffman streams need, to the load bus."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.cursor import LoaderError
from rtl.load import LoadSignature
from rtl.loader import StreamLimits, WeightStreamer
from rtl.parameters import ArrayParameters
from rtl.table_reader import TableReader

WORD = data.StructLayout({"bits": 32, "last": 1})
ORDERS = 32  # words that one order word is for
PATIENCE = 16  # cycles, more than the latency of a decoder


class WeightControl(wiring.Signature):
    """How the sequencer has a layer's weights loaded: ``start`` for one cycle, then ``done``, with ``error``, which stay up until the next
    ``start``. ``stop`` ends what is under way.
    """

    def __init__(self) -> None:
        super().__init__({"start": Out(1), "stop": Out(1), "done": In(1), "error": In(LoaderError)})


class State(enum.Enum, shape=4):
    """What the next word is, or that none is taken."""

    IDLE = 0
    SIZE = 1
    COUNT = 2
    CODE_BITS = 3
    GAP_BITS = 4
    CODE_TABLE = 5
    GAP_TABLE = 6
    BEGIN = 7
    ORDER = 8
    STREAMS = 9
    END = 10
    DROP = 11


class WeightPort(wiring.Component):
    """Reads the packet of a layer: sizes, the tables of both decoders, then the words of the two streams, each in its file order.

    Words of a packet (:meth:`rtl.stream_image.StreamImage.packet` makes it)::

        how many words follow
        entries of the layer (low 24 bits), index bits of their gaps (above)
        bits of the stream of codes
        bits of the stream of gaps
        table of codes, table of gaps (:class:`~rtl.table_reader.TableReader`)
        order word, up to 32 words of the streams, order word, ...

    Bit ``k`` of an order word tells whose the ``k``-th word behind it is: 0 codes, 1 gaps. A decoder takes a word when it needs it, so the
    words must be in the order in which the entries need them.

    Timing
    ------
    If words do not lack, a packet takes at most as many cycles as it has words, a cycle for each symbol in the tables, what
    :class:`~rtl.loader.EntryLoader` takes, and ``latency``. Whatever the words are, it ends when the last one has been taken, or
    before: a packet that is damaged, shorter or longer than it says, or in an order that cannot be decoded, ends with an error.
    Then what is left of it, up to the word marked last, is taken and dropped, also behind ``stop``; a packet that never
    ends leaves only the reset.

    Members
    -------
    control : ``In(WeightControl())``
    rows, columns, weight_base, column_base : ``In``
        As in :func:`~rtl.cursor.layer_fields`; in the cycle of ``start`` and until ``done``.
    i : ``In(stream.Signature(WORD))``
    load : ``Out(LoadSignature(parameters))``
    busy : ``Out(1)``
    """

    latency = 40

    def __init__(self, parameters: ArrayParameters, limits: StreamLimits | None = None) -> None:
        self.streamer = WeightStreamer(parameters, limits)
        fields = self.streamer.loader.layer
        names = ("rows", "columns", "weight_base", "column_base")
        super().__init__(
            {name: In(fields[name].shape) for name in names}
            | {
                "control": In(WeightControl()),
                "i": In(stream.Signature(WORD)),
                "load": Out(LoadSignature(parameters)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the steps from word to word; what goes wrong in any of them comes last and wins."""
        m = Module()
        streamer, quit_now = self.streamer, Signal()
        m.submodules.streamer = ResetInserter(quit_now)(streamer)
        connect(m, streamer.load, flipped(self.load))
        state, take, left = Signal(State), Signal(), Signal(self.streamer.limits.count_bits)
        m.d.comb += [take.eq(self.i.valid & self.i.ready), self.busy.eq((state != State.IDLE) & (state != State.DROP))]
        with m.If(take):
            m.d.sync += left.eq(left - 1)

        fault, wanted = Signal(LoaderError), Signal()
        with m.If(self.control.start):
            m.d.sync += [wanted.eq(1), self.control.done.eq(0), self.control.error.eq(LoaderError.NONE)]
        with m.If((state == State.IDLE) & (wanted | self.control.start)):
            m.d.sync += [state.eq(State.SIZE), wanted.eq(0)]
        with m.If((state == State.DROP) | (state == State.SIZE)):
            m.d.comb += self.i.ready.eq(1)
        with m.If((state == State.DROP) & take & self.i.payload.last):
            m.d.sync += state.eq(State.IDLE)
        self._header(m, state, take, left)
        flawed = self._tables(m, state) | self._streams(m, state, take)
        with m.If((state == State.END) & streamer.done & ~streamer.busy):
            m.d.sync += [state.eq(State.IDLE), self.control.done.eq(1)]

        parses = (state != State.SIZE) & (state != State.END) & (state != State.BEGIN)
        with m.If(self.busy):
            with m.If(take & self.i.payload.last & ((left != 1) | (state == State.SIZE))):
                m.d.comb += fault.eq(LoaderError.ENDS_EARLY)
            with m.Elif(take & ~self.i.payload.last & (left == 1) & (state != State.SIZE)):
                m.d.comb += fault.eq(LoaderError.ENDS_LATE)
            with m.Elif(flawed | (parses & (left == 0)) | ((state == State.END) & (left != 0))):
                m.d.comb += fault.eq(LoaderError.SOURCE)
            with m.Elif(streamer.done & (state.as_value() >= State.ORDER.value)):
                m.d.comb += fault.eq(streamer.error)
        opened = Signal()
        with m.If(take):
            m.d.sync += opened.eq(~self.i.payload.last)
        m.d.sync += quit_now.eq(self.control.stop | (fault != LoaderError.NONE))
        with m.If((fault != LoaderError.NONE) | self.control.stop):
            still = Mux(take, ~self.i.payload.last, opened)
            m.d.sync += [state.eq(Mux(still, State.DROP, State.IDLE)), self.control.error.eq(fault), self.control.done.eq(1)]
            m.d.sync += wanted.eq(0)
        return m

    def _header(self, m: Module, state: Signal, take: Signal, left: Signal) -> None:
        """Take the sizes, the first of which says how many words follow."""
        start, bits = self.streamer.start, self.i.payload.bits
        self.words_left = [Signal(self.streamer.limits.count_bits - 4, name=f"{name}_left") for name in ("codes", "gaps")]
        held = Signal.like(start.layer)
        totals = [Signal(self.streamer.limits.count_bits, name=f"{name}_total") for name in ("codes", "gaps")]
        m.d.comb += [
            start.layer.eq(held),
            start.layer.rows.eq(self.rows),
            start.layer.columns.eq(self.columns),
            start.layer.weight_base.eq(self.weight_base),
            start.layer.column_base.eq(self.column_base),
            start.code_bits_total.eq(totals[0]),
            start.gap_bits_total.eq(totals[1]),
        ]
        with m.If((state == State.SIZE) & take):
            m.d.sync += [left.eq(bits), state.eq(State.COUNT)]
        with m.If(state == State.COUNT):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += Cat(held.count, held.index_bits).eq(bits)
            with m.If(take):
                m.d.sync += state.eq(State.CODE_BITS)
        for here, following, total, words in zip(
            (State.CODE_BITS, State.GAP_BITS), (State.GAP_BITS, State.CODE_TABLE), totals, self.words_left, strict=True
        ):
            with m.If(state == here):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [total.eq(bits), words.eq((bits[: self.streamer.limits.count_bits] + 31) >> 5)]
                with m.If(take):
                    m.d.sync += state.eq(following)

    def _tables(self, m: Module, state: Signal) -> Signal:
        """Hand words to the reader of tables, tables to the decoders; return whether one is flawed."""
        streamer = self.streamer
        reading, codes = Signal(), Signal()
        m.d.comb += [codes.eq(state == State.CODE_TABLE), reading.eq(codes | (state == State.GAP_TABLE))]
        m.submodules.tables = tables = ResetInserter(~reading)(TableReader(streamer.gap_decoder))
        m.d.comb += [tables.i.valid.eq(self.i.valid & reading), tables.i.payload.eq(self.i.payload.bits)]
        for kind, chosen in (("code", codes), ("gap", ~codes)):
            for port in ("lengths", "symbols"):
                source, target = getattr(tables, port), getattr(streamer, f"{kind}_{port}")
                m.d.comb += [getattr(target, name).eq(getattr(source, name)) for name in source.signature.members]
                m.d.comb += target.en.eq(source.en & reading & chosen)
        with m.If(reading):
            m.d.comb += self.i.ready.eq(tables.i.ready)
            with m.If(tables.done):
                m.d.sync += state.eq(Mux(codes, State.GAP_TABLE, State.BEGIN))
        return tables.flawed & reading

    def _streams(self, m: Module, state: Signal, take: Signal) -> Signal:
        """Hand words to the decoders; return whether one comes for a stream that has all its words, or will never be taken."""
        streamer, bits = self.streamer, self.i.payload.bits
        order, place, waited = Signal(ORDERS), Signal(range(ORDERS)), Signal(range(PATIENCE + 1))
        flawed, none_left, one_left = Signal(), Signal(), Signal()
        codes_left, gaps_left = self.words_left
        m.d.comb += [none_left.eq(Cat(codes_left, gaps_left) == 0), one_left.eq(codes_left + gaps_left == 1)]
        with m.If(state == State.BEGIN):
            m.d.comb += streamer.start.en.eq(1)
            m.d.sync += [waited.eq(0), state.eq(Mux(none_left, State.END, State.ORDER))]
        with m.If(state == State.ORDER):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [order.eq(bits), place.eq(0)]
            with m.If(take):
                m.d.sync += state.eq(State.STREAMS)
        for number, (decoder, words) in enumerate(((streamer.codes, codes_left), (streamer.gaps, gaps_left))):
            m.d.comb += [decoder.payload.bits.eq(bits), decoder.payload.last.eq(words == 1)]
            with m.If((state == State.STREAMS) & (order[0] == number)):
                m.d.comb += [decoder.valid.eq(self.i.valid & (words != 0)), self.i.ready.eq(decoder.ready & (words != 0))]
                m.d.comb += flawed.eq((self.i.valid & (words == 0)) | (waited == PATIENCE))
                m.d.sync += waited.eq(Mux(self.i.valid & ~decoder.ready & streamer.starved, waited + 1, 0))
                with m.If(take):
                    m.d.sync += [words.eq(words - 1), order.eq(order >> 1), place.eq(place + 1)]
                    m.d.sync += state.eq(Mux(one_left, State.END, Mux(place == ORDERS - 1, State.ORDER, State.STREAMS)))
        return flawed
