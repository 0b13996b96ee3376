"""Canonical Huffman decoder: the words of a stream in, one symbol a cycle out.

The twin of :class:`qsim.formats.huffman.CanonicalHuffman`: the same tables, the same bytes, the same refusals. Codes of one length are
consecutive numbers, so the next code has the least length ``l`` for which the next bits, cut to ``l`` of them, are below ``first[l] +
count[l]``; all lengths are compared in parallel. Only that comparison and the shift by ``l`` are in the loop from symbol to
symbol; the symbol's place, ``offset[l] + bits - first[l]``, and the symbol memory are behind it in a pipeline.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, ValueLike, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from qsim.formats.huffman import MAX_LENGTH, CanonicalHuffman, DecodingTables


class HuffmanError(enum.Enum, shape=3):
    """Why a stream was refused.

    INVALID_CODE: bits that are no code. ENDS_EARLY: ``bits`` or the words end before the last symbol does. ENDS_LATE: bits or words
    are left after the last symbol, or its word is not marked as last. PADDING: the bits after the last code are not zero.
    """

    NONE = 0
    INVALID_CODE = 1
    ENDS_EARLY = 2
    ENDS_LATE = 3
    PADDING = 4


def table_words(code: CanonicalHuffman, max_length: int) -> list[dict[str, int]]:
    """Return the words of the decoder's ``lengths`` port for ``code``, one for every length from 1 to ``max_length``.

    Raises ``ValueError`` if the code is longer.
    """
    return length_words(code.decoding_tables, max_length)


def length_words(tables: DecodingTables, max_length: int) -> list[dict[str, int]]:
    """Return the words of :func:`table_words` for a code, complete or not, that is given by its decoding tables."""
    longest = max((length for length, count in enumerate(tables.count) if count), default=0)
    if longest > max_length:
        raise ValueError(f"code must have at most {max_length} bits, not {longest!r}")
    absent = {"first": 0, "count": 0, "offset": 0}
    found = [
        {"first": tables.first[length], "count": tables.count[length], "offset": tables.offset[length]} if tables.count[length] else absent
        for length in range(1, longest + 1)
    ]
    return [{"length": at + 1, **word} for at, word in enumerate(found + [absent] * (max_length - len(found)))]


def stream_words(payload: bytes, word_bits: int) -> list[int]:
    """Return the words of a payload: byte 0 in the most significant bits of word 0, the last word filled up with zeros."""
    size = word_bits // 8
    return [int.from_bytes(payload[at : at + size].ljust(size, b"\0"), "big") for at in range(0, len(payload), size)]


class HuffmanDecoder(wiring.Component):
    """Decodes streams of :meth:`CanonicalHuffman.encode`, the weight and gap streams of a ``.qsz``, with tables loaded at run time.

    Timing
    ------
    One symbol every ``interval`` = 1 cycle for any stream, if ``word_bits >= max_length`` and words and room do not lack; with narrower
    words as fast as the bits come. A symbol whose window (``max_length`` bits, or the end of the stream) is completed by the word
    taken in cycle ``c`` is offered in ``c + latency``. ``i.ready`` comes from registers; ``o.ready`` stalls the whole pipeline.

    A stream begins with ``start`` and ends with ``done``, which stays up until the next ``start``, together with ``error``. Symbols before
    an error are handed over first. After an error, ``done`` is up at once, and words up to the ``last`` one are taken and dropped; ``busy``
    falls behind the last word. ``start`` while ``busy`` drops the stream that is under way, the offered symbol included: it is all that
    recovery takes.

    Parameters
    ----------
    max_length : int
        Longest code, 1 to 15.
    symbols : int
        Symbols that a code may have.
    symbol_bits : int
        Width of a symbol.
    word_bits : int
        Width of an input word, a multiple of 8.
    count_bits : int
        Width of the number of symbols and of bits of a stream.

    Members
    -------
    start : ``In({"en", "count", "bits"})``
        Begin a stream of ``count`` symbols whose codes fill exactly ``bits`` bits. Not in a cycle in which a table is written.
    lengths : ``In({"en", "length", "first", "count", "offset"})``
        Writes the entries of ``DecodingTables`` of one length. Every length must be written, those without a code with zeros
        (:func:`table_words`).
    symbols : ``In({"en", "addr", "data"})``
        Writes ``DecodingTables.symbols``.
    i : ``In(stream.Signature({"bits", "last"}))``
        Words (:func:`stream_words`); ``last`` on the last one of a stream. A stream of 0 bits has no word.
    o : ``Out(stream.Signature(unsigned(symbol_bits)))``
    busy, done : ``Out(1)``
    error : ``Out(HuffmanError)``

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """

    interval = 1
    latency = 5

    def __init__(
        self, *, max_length: int = 12, symbols: int = 256, symbol_bits: int = 8, word_bits: int = 32, count_bits: int = 24
    ) -> None:
        if not 1 <= max_length <= MAX_LENGTH:
            raise ValueError(f"max_length must be 1 to {MAX_LENGTH}, not {max_length!r}")
        if not 1 <= symbols <= 1 << max_length:
            raise ValueError(f"symbols must be 1 to {1 << max_length}, not {symbols!r}")
        if word_bits < 8 or word_bits % 8:
            raise ValueError(f"word_bits must be a multiple of 8, not {word_bits!r}")
        if symbol_bits < 1 or count_bits < 1:
            raise ValueError(f"symbol_bits and count_bits must be at least 1, not {min(symbol_bits, count_bits)!r}")
        self.max_length, self.word_bits, self.entries = max_length, word_bits, symbols
        place = unsigned(max(1, ceil_log2(symbols)))
        code, size = unsigned(max_length), unsigned(symbols.bit_length())
        number = unsigned(count_bits)
        self.stream_size = wiring.Signature({"en": Out(1), "count": Out(number), "bits": Out(number)})
        self.table = wiring.Signature(
            {"en": Out(1), "length": Out(max_length.bit_length()), "first": Out(code), "count": Out(size), "offset": Out(size)}
        )
        super().__init__(
            {
                "start": In(self.stream_size),
                "lengths": In(self.table),
                "symbols": In(wiring.Signature({"en": Out(1), "addr": Out(place), "data": Out(symbol_bits)})),
                "i": In(stream.Signature(data.StructLayout({"bits": word_bits, "last": 1}))),
                "o": Out(stream.Signature(unsigned(symbol_bits))),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(HuffmanError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Join the bit window (the loop) with the pipeline from code to symbol."""
        m = Module()
        m.submodules.window = window = _Window(self.max_length, self.word_bits, self.table, self.stream_size)
        code, start = window.code.shape(), self.stream_size
        m.submodules.place = place = _Place(self.max_length, self.entries, self.word_bits, self.table, start, code)
        m.submodules.table = table = memory.Memory(shape=self.o.payload.shape(), depth=self.entries, init=[])
        write, read = table.write_port(), table.read_port()
        wiring.connect(m, wiring.flipped(self.i), window.i)
        for part in (window, place):
            wiring.connect(m, wiring.flipped(self.lengths), part.lengths)
            wiring.connect(m, wiring.flipped(self.start), part.start)

        # Behind ``place``: the memory's output, then the output register. ``over`` comes where no symbol does.
        moves, started = Signal(), Signal()
        read_valid, read_over, read_error = Signal(), Signal(), Signal(HuffmanError)
        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            window.moves.eq(moves),
            window.halt.eq(place.over),
            window.discard.eq(self.done),
            place.moves.eq(moves),
            place.code.eq(window.code),
            write.en.eq(self.symbols.en),
            write.addr.eq(self.symbols.addr),
            write.data.eq(self.symbols.data),
            read.addr.eq(place.address),
            read.en.eq(moves),
            self.busy.eq(started & ~(self.done & window.ended)),
        ]
        with m.If(moves):
            m.d.sync += [
                read_valid.eq(place.valid),
                read_over.eq(place.over),
                read_error.eq(place.error),
                self.o.valid.eq(read_valid),
                self.o.payload.eq(read.data),
            ]
            with m.If(read_over):
                m.d.sync += [self.done.eq(1), self.error.eq(read_error)]
        with m.If(self.start.en):
            m.d.sync += [started.eq(1), self.done.eq(0), self.error.eq(HuffmanError.NONE)]
            m.d.sync += [read_valid.eq(0), read_over.eq(0), self.o.valid.eq(0)]
        return m


class _Window(wiring.Component):
    """The next bits of the stream, the first one on top, and the loop that cuts off one code a cycle.

    A word is taken while fewer than ``2 * max_length`` bits are held. At least ``max_length`` bits are then left after any code, if a word
    has as many; so the loop, which needs that many to tell a code, does not wait.
    """

    def __init__(self, max_length: int, word_bits: int, table: wiring.Signature, start: wiring.Signature) -> None:
        self.max_length = max_length
        self.word_bits = word_bits
        self.size = 2 * max_length - 1 + word_bits
        # A code or, after the last one, the end: bits from the first on, the code's length as one hot bit (none: no code), bits held.
        code = {"valid": 1, "end": 1, "ended": 1, "bits": max_length, "hit": max_length, "level": range(self.size + 1), "padding": 1}
        super().__init__(
            {
                "moves": In(1),
                "halt": In(1),
                "discard": In(1),
                "start": In(start),
                "lengths": In(table),
                "i": In(stream.Signature(data.StructLayout({"bits": word_bits, "last": 1}))),
                "code": Out(data.StructLayout(code)),
                "ended": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build limits, window and counters."""
        m = Module()
        longest = self.max_length
        window, level = Signal(self.size), Signal(range(self.size + 1))
        left, running = Signal.like(self.start.count), Signal()
        top, hit, below = window[-longest:], Signal(longest), Signal(longest)
        for length in range(1, longest + 1):
            limit = Signal(longest + 1, name=f"limit{length}")  # the first bits that are beyond this length's codes, left aligned
            m.d.comb += below[length - 1].eq(top < limit)
            with m.If(self.lengths.en & (self.lengths.length == length)):
                m.d.sync += limit.eq((self.lengths.first + self.lengths.count) << (longest - length))
        m.d.comb += hit.eq(below & -below)  # the shortest

        take, cut = Signal(), Signal()
        filled, held = Signal(self.size), Signal.like(level)
        word = Cat(Const(0, self.size - self.word_bits), self.i.payload.bits)
        m.d.comb += [
            self.i.ready.eq(~self.ended & (self.discard | (running & (level < 2 * longest)))),
            take.eq(self.i.valid & self.i.ready),
            cut.eq(running & (left != 0) & (self.ended | (level >= longest))),
            filled.eq(window | Mux(take, word >> level, 0)),
            held.eq(level + Mux(take, self.word_bits, 0)),
        ]
        m.d.sync += [window.eq(filled), level.eq(held)]
        with m.If(take & self.i.payload.last):
            m.d.sync += self.ended.eq(1)
        with m.If(self.moves):
            m.d.sync += [
                self.code.valid.eq(cut & ~self.halt),
                self.code.end.eq(running & (left == 0) & ~self.halt),
                self.code.ended.eq(self.ended),
                self.code.bits.eq(top),
                self.code.hit.eq(hit),
                self.code.level.eq(level),
                self.code.padding.eq(window.any()),
            ]
            with m.If(cut):
                lengths = range(1, longest + 1)
                m.d.sync += [
                    left.eq(left - 1),
                    window.eq(_chosen(hit, [filled << length for length in lengths], filled.shape())),
                    level.eq(held - _chosen(hit, list(lengths), level.shape())),
                ]
        with m.If(self.halt):
            m.d.sync += running.eq(0)
        with m.If(self.start.en):
            m.d.sync += [running.eq(1), left.eq(self.start.count), self.ended.eq(self.start.bits == 0)]
            m.d.sync += [window.eq(0), level.eq(0), self.code.valid.eq(0), self.code.end.eq(0)]
        return m


class _Place(wiring.Component):
    """The place of a code's symbol in the symbol memory, and the count of bits that tells every error."""

    def __init__(
        self, max_length: int, symbols: int, word_bits: int, table: wiring.Signature, start: wiring.Signature, code: data.StructLayout
    ) -> None:
        self.max_length = max_length
        self.word_bits = word_bits
        super().__init__(
            {
                "moves": In(1),
                "start": In(start),
                "lengths": In(table),
                "code": In(code),
                "valid": Out(1),
                "over": Out(1),
                "error": Out(HuffmanError),
                "address": Out(max(1, ceil_log2(symbols))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the bases, the adder and the checks."""
        m = Module()
        longest, code = self.max_length, self.code
        left = Signal.like(self.start.bits)
        bases = [Signal.like(self.address, name=f"base{length}") for length in range(1, longest + 1)]
        for length, base in enumerate(bases, 1):
            with m.If(self.lengths.en & (self.lengths.length == length)):
                m.d.sync += base.eq(self.lengths.offset - self.lengths.first)
        used, error = Signal(range(longest + 1)), Signal(HuffmanError)
        m.d.comb += used.eq(_chosen(code.hit, list(range(1, longest + 1)), used.shape()))
        with m.If(code.valid):
            with m.If((left == 0) | (used > left) | (used > code.level)):
                m.d.comb += error.eq(HuffmanError.ENDS_EARLY)
            with m.Elif(~code.hit.any()):
                m.d.comb += error.eq(HuffmanError.INVALID_CODE)
        with m.Elif(code.end):
            with m.If((left != 0) | ~code.ended | (code.level >= self.word_bits)):
                m.d.comb += error.eq(HuffmanError.ENDS_LATE)
            with m.Elif(code.padding):
                m.d.comb += error.eq(HuffmanError.PADDING)
        good = error == HuffmanError.NONE
        values = [code.bits[longest - length :] for length in range(1, longest + 1)]
        with m.If(self.moves):
            m.d.sync += [
                self.valid.eq(code.valid & good & ~self.over),
                self.over.eq((code.end | (code.valid & ~good)) & ~self.over),
                self.error.eq(error),
                self.address.eq(_chosen(code.hit, bases, self.address.shape()) + _chosen(code.hit, values, code.bits.shape())),
            ]
            with m.If(code.valid):
                m.d.sync += left.eq(left - used)
        with m.If(self.start.en):
            m.d.sync += [left.eq(self.start.bits), self.valid.eq(0), self.over.eq(0)]
        return m


def _chosen(hit: Value, values: list[ValueLike], shape: Shape) -> Value:
    """Return the one of ``values`` whose bit in ``hit`` is set, 0 if none is."""
    wide = [Value.cast(value) for value in values]
    found = [Mux(bit, value, 0) for bit, value in zip(hit, wide, strict=True)]
    return reduce(or_, found)[: shape.width]
