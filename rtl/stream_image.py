"""What the loader is given for a layer of a ``.qsz``: its two streams as they stand in the file, and the tables to read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsim.errors import UnsupportedProgram
from qsim.formats.codebook import machine_codes
from qsim.formats.coding import BY_COLUMN, SCALAR_CODED
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import FixedFormat, IntArray
from qsim.formats.huffman import CanonicalHuffman, DecodingTables
from qsim.formats.layer import CompressedLayer, ScalarCoded, Stream
from qsim.formats.symbols import FIXED, fixed_width, read_fixed
from rtl.huffman import length_words, stream_words
from rtl.loader import StreamLimits
from rtl.table_reader import HALF
from rtl.weight_port import ORDERS

WORD_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTables:
    """One stream and its decoder's tables: the words of the ``lengths`` port (:func:`rtl.huffman.length_words`), what goes to addresses 0,
    1, ... of the ``symbols`` port, the stream's exact ``bits`` and its ``words`` of 32 bits, of which the last is to be marked. ``needs``:
    for each word the first entry that the decoder cannot decode without it.
    """

    lengths: tuple[dict[str, int], ...]
    symbols: tuple[int, ...]
    bits: int
    words: tuple[int, ...]
    needs: tuple[int, ...]

    @property
    def table(self) -> list[int]:
        """The table as words for :class:`~rtl.table_reader.TableReader`."""
        return [*_pairs([word["count"] for word in self.lengths]), *_pairs(self.symbols)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamImage:
    """A layer as :class:`~rtl.loader.WeightStreamer` takes it; ``codebook`` [codes], slot 0 zero, is what the machine's codes mean."""

    rows: int
    columns: int
    index_bits: int
    count: int
    codes: StreamTables
    gaps: StreamTables
    limits: StreamLimits
    codebook: IntArray

    @classmethod
    def of(cls, layer: CompressedLayer, rows: int, columns: int, limits: StreamLimits) -> "StreamImage":
        """Return what a streamer of these ``limits`` is given for a layer of ``rows`` outputs and ``columns`` inputs.

        Raises :class:`UnsupportedProgram` if the layer is not scalar-coded and by column, or its tables do not fit the decoders.
        """
        header = Fields(layer.header, "layer")
        streams = {stream.name: stream for stream in layer.streams}
        _require("form", header.integer("form", 0, 3) == SCALAR_CODED, "scalar coded", "another form", ("ScalarCoded",))
        weight_format = FixedFormat(*(header.integer(name, -64, 64) for name in ("width", "fraction", "signed")))
        size, masked = header.integer("codebook", 1, 1 << 16), header.integer("masked", 0, 1)
        layout = header.integer("layout", 0, BY_COLUMN)
        value = "by row" if layout else "every cell"
        _require("layout", bool(masked) and layout == BY_COLUMN, "by column ([encode] by_column = true)", value, ("by column",))
        index_bits, count = header.integer("index_bits", 1, 16), header.integer("entries", 0, rows * columns)
        _require("index_bits", index_bits <= limits.gap_bits, f"at most {limits.gap_bits}", index_bits)
        gaps = _tables(header, streams, "gaps", 1 << index_bits)
        weights = _tables(header, streams, "weights", size + 1)
        values = read_fixed(Bytes(streams["codebook"].payload, "layer"), "codebook", size, weight_format.width, weight_format.signed)
        symbols, codebook = _machine_symbols(values, weight_format, limits.code_bits)
        return cls(
            rows=rows,
            columns=columns,
            index_bits=index_bits,
            count=count,
            codes=_stream(streams["weights"], weights, symbols, limits, limits.code_symbols, count),
            gaps=_stream(streams["gaps"], gaps, np.arange(1 << index_bits), limits, limits.gap_symbols, count),
            limits=limits,
            codebook=codebook,
        )

    @property
    def streams(self) -> list[int]:
        """The words of both streams in the order in which they are needed, behind their order words."""
        both = [
            (need, kind, word)
            for kind, part in enumerate((self.codes, self.gaps))
            for need, word in zip(part.needs, part.words, strict=True)
        ]
        both.sort(key=lambda item: item[:2])
        found: list[int] = []
        for start in range(0, len(both), ORDERS):
            group = both[start : start + ORDERS]
            found += [sum(kind << place for place, (_, kind, _) in enumerate(group)), *(word for _, _, word in group)]
        return found

    def packet(self) -> list[int]:
        """Return the layer as words for :class:`~rtl.weight_port.WeightPort`, of which the last is to be marked.

        Raises :class:`UnsupportedProgram` for more entries or bits than the hardware counts.
        """
        most = (1 << self.limits.count_bits) - 1
        for name, size in (("entries", self.count), ("codes.bits", self.codes.bits), ("gaps.bits", self.gaps.bits)):
            _require(name, size <= most, f"at most {most}", size)
        sizes = [self.count | self.index_bits << self.limits.count_bits, self.codes.bits, self.gaps.bits]
        words = [*sizes, *self.codes.table, *self.gaps.table, *self.streams]
        return [len(words), *words]


def _require(name: str, good: bool, rule: str, value: object, legal: tuple[str, ...] = ()) -> None:
    if not good:
        raise UnsupportedProgram(path=f"layer.{name}", rule=rule, value=value, legal=legal)


def _tables(header: Fields, streams: dict[str, Stream], name: str, symbols: int) -> DecodingTables:
    """Take a sequence's header; return its code. Fixed fields are a code in which all of the ``symbols`` that they reach are as long."""
    coding, alphabet = header.integer(f"{name}.coding", 0, 1), header.integer(f"{name}.alphabet", 0, symbols)
    if coding != FIXED:
        header.integer(f"{name}.table_bits", 0, 1 << 24)
        header.integer(f"{name}.bits", 0, 1 << 62)
        table = streams[f"{name}.table"]
        return CanonicalHuffman.from_table(table.payload, table.bits, alphabet).decoding_tables
    width = fixed_width(alphabet)
    reached = min(1 << width, symbols)
    none = (0,) * width
    return DecodingTables(first=(0, *none), count=(*none, reached), offset=(0, *none), symbols=tuple(range(reached)))


def _machine_symbols(values: IntArray, weight_format: FixedFormat, code_bits: int) -> tuple[IntArray, IntArray]:
    """Return what the machine is told for every symbol of the file, the hole as the last one, and the machine's codebook."""
    each = ScalarCoded(codes=np.arange(len(values))[None].astype(np.uint16), codebook=values, weight_format=weight_format)
    codes, codebook = machine_codes(each, code_bits)
    return np.append(codes[0], 1 << code_bits), codebook.table


def _stream(stream: Stream, tables: DecodingTables, meaning: IntArray, limits: StreamLimits, most: int, count: int) -> StreamTables:
    _require(f"{stream.name}.code", len(tables.count) - 1 <= limits.max_length, f"at most {limits.max_length} bits", len(tables.count) - 1)
    _require(f"{stream.name}.symbols", len(tables.symbols) <= most, f"at most {most}", len(tables.symbols))
    words = tuple(stream_words(stream.payload, WORD_BITS))
    return StreamTables(
        lengths=tuple(length_words(tables, limits.max_length)),
        symbols=tuple(meaning[list(tables.symbols)].tolist()),
        bits=stream.bits,
        words=words,
        needs=_needs(stream, tables, count, len(words), limits.max_length),
    )


def _needs(stream: Stream, tables: DecodingTables, count: int, words: int, window: int) -> tuple[int, ...]:
    """Return for each word the first of ``count`` entries whose code begins less than ``window`` bits in front of the word's end of the one
    before: a decoder cuts no code with fewer bits.
    """
    bits = np.unpackbits(np.frombuffer(stream.payload, dtype=np.uint8))
    ends, place = np.zeros(count + 1, dtype=np.int64), 0
    limits = [(first + number, length) for length, (first, number) in enumerate(zip(tables.first, tables.count, strict=True)) if number]
    for entry in range(count):
        code, read = 0, 0
        for limit, length in limits:
            while read < length:
                code, read = code << 1 | int(bits[place + read]), read + 1
            if code < limit:
                break
        place += read
        ends[entry + 1] = place
    return tuple(np.searchsorted(ends[:-1] + window, WORD_BITS * np.arange(words), side="right").tolist())


def _pairs(items: Sequence[int]) -> list[int]:
    """Join each two following items to one word, the first in the low half."""
    padded = [*items, *[0] * (len(items) % 2)]
    return [low | high << HALF for low, high in zip(padded[::2], padded[1::2], strict=True)]
