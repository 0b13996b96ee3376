"""A sequence of symbols as a stream: fixed-width fields, or a Huffman code and its table, whichever is smaller.

Header of a sequence: ``coding`` (0 fixed, 1 Huffman), ``alphabet`` (symbols 0 to alphabet - 1), and for Huffman ``table_bits`` and
``bits``, the exact lengths of its two streams: the table goes first. A fixed field has the bits of the largest symbol, at least 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.formats.bits import bytes_of, pack, unpack, unpack_signed, width_of
from qsim.formats.counting import count_symbols, narrowest
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import IntArray
from qsim.formats.huffman import LENGTH_BITS, MAX_ALPHABET, MAX_LENGTH, CanonicalHuffman
from qsim.formats.layer import Stream, StreamKind

SMOOTHING = (5, 17, 65)  # widths tried; 50 of 150 bytes of tables saved on LeNet-300-100
MAX_TABLE_BITS = 3 + LENGTH_BITS  # of one symbol in a table
FIXED, HUFFMAN = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """What the encoder may choose.

    ``index_bits``: width of the relative index of every sparse layer, or None for the best of each; ``huffman``: code symbols and gaps
    by Huffman where that is smaller, tables included; ``max_code_length``: longest Huffman code, 15 at most, 12 for a small decoder;
    ``by_column``: store every matrix with a hole column by column, as a loader in hardware reads it, even where that is larger;
    ``context``: code matrices by context where that is smaller (:mod:`qsim.formats.context`), for which there is no RTL.
    """

    index_bits: int | None = None
    huffman: bool = True
    max_code_length: int = 12
    by_column: bool = False
    context: bool = False

    def __post_init__(self) -> None:
        if self.index_bits is not None and not 1 <= self.index_bits <= 16:
            raise FieldError(path="encode.index_bits", rule="1 to 16, or absent for the best", value=self.index_bits)
        if not 1 <= self.max_code_length <= MAX_LENGTH:
            raise FieldError(path="encode.max_code_length", rule=f"1 to {MAX_LENGTH}", value=self.max_code_length)
        if self.context and self.by_column:
            raise FieldError(path="encode.context", rule="off where a loader in hardware reads the file by column", value=True)


@dataclass(slots=True)
class LayerWriter:
    """Collects the header numbers and streams of a layer, in file order."""

    header: list[int] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)

    def numbers(self, *values: int) -> None:
        """Append header numbers."""
        self.header.extend(values)

    def fixed(self, name: str, kind: StreamKind, values: IntArray, width: int) -> None:
        """Append a stream of fields of ``width`` bits; negative values as two's complement."""
        raw = values.ravel() & ((1 << width) - 1)
        entropy = entropy_bits(np.unique_counts(raw).counts)
        self._stream(name, kind, width * len(raw), pack(raw, width), len(raw), entropy)

    def symbols(self, name: str, kind: StreamKind, values: npt.NDArray[np.integer], options: EncodeOptions) -> None:
        """Append a sequence of symbols >= 0 in the smaller coding."""
        counts = count_symbols(values)
        code = best_code(counts, options)
        self.numbers(FIXED if code is None else HUFFMAN, len(counts))
        if code is None:
            width = fixed_width(len(counts))
            self._stream(name, kind, width * len(values), pack(values, width), len(values), entropy_bits(counts))
            return
        payload, bits = code.encode(values)
        self.numbers(code.table_bits, bits)
        self._stream(f"{name}.table", StreamKind.TABLE, code.table_bits, code.table, len(counts))
        self._stream(name, kind, bits, payload, len(values), entropy_bits(counts))

    def coded(self, name: str, kind: StreamKind, payload: bytes, counts: IntArray) -> None:
        """Append a finished stream of symbols with these ``counts``."""
        self._stream(name, kind, 8 * len(payload), payload, int(counts.sum()), entropy_bits(counts))

    def _stream(self, name: str, kind: StreamKind, bits: int, payload: bytes, count: int, entropy: float = 0.0) -> None:
        self.streams.append(Stream(name=name, kind=kind, bits=bits, payload=payload, symbols=count, entropy_bits=entropy))


def read_fixed(payload: Bytes, name: str, count: int, width: int, signed: bool = False) -> IntArray:
    """Read ``count`` fields written by :meth:`LayerWriter.fixed`."""
    read = unpack_signed if signed else unpack
    values: IntArray = read(payload.take(name, bytes_of(count * width)), width, count)
    return values


def read_symbols(header: Fields, payload: Bytes, name: str, count: int, largest: int) -> npt.NDArray[np.integer]:
    """Read ``count`` symbols written by :meth:`LayerWriter.symbols`, in the narrowest type; none may exceed ``largest``."""
    coding = header.integer(f"{name}.coding", FIXED, HUFFMAN)
    alphabet = header.integer(f"{name}.alphabet", 0 if count == 0 else 1, largest + 1)
    if coding == FIXED:
        width = fixed_width(alphabet)
        values = unpack(payload.take(name, bytes_of(count * width)), width, count, narrowest((1 << width) - 1))
    else:
        table_bits = header.integer(f"{name}.table_bits", alphabet, alphabet * MAX_TABLE_BITS)
        bits = header.integer(f"{name}.bits", count, count * MAX_LENGTH)
        code = CanonicalHuffman.from_table(payload.take(f"{name}.table", bytes_of(table_bits)), table_bits, alphabet)
        values = code.decode(payload.take(name, bytes_of(bits)), bits, count)
    Fields([int(values.max(initial=0))], header.path).integer(f"{name}.symbol", 0, largest)
    return values


def fixed_width(alphabet: int) -> int:
    """Return the bits of a fixed field for ``alphabet`` symbols, at least 1, so that a stream always takes room in the file."""
    return max(1, width_of(max(0, alphabet - 1)))


def best_code(counts: IntArray, options: EncodeOptions) -> CanonicalHuffman | None:
    """Return the Huffman code for these symbol ``counts``, or None where fixed fields are not larger."""
    occurring = int(np.count_nonzero(counts))
    if not options.huffman or not occurring or occurring > 1 << options.max_code_length or len(counts) > MAX_ALPHABET:
        return None
    candidates = [counts, *(_smoothed(counts, width) for width in SMOOTHING if len(counts) > 2 * width)]
    usable = [item for item in candidates if np.count_nonzero(item) <= 1 << options.max_code_length]
    codes = [CanonicalHuffman.from_counts(item, options.max_code_length) for item in usable]
    code = min(codes, key=lambda item: item.bits(counts) + item.table_bits)
    fixed = fixed_width(len(counts)) * int(counts.sum())
    return code if code.bits(counts) + code.table_bits < fixed else None


def _smoothed(counts: IntArray, width: int) -> IntArray:
    """Return ``counts`` averaged over ``width`` neighbours, the last symbol (fillers) excepted.

    A code for smooth counts wastes a little on the symbols, but neighbouring lengths are equal, so its table is shorter.
    """
    window = np.ones(width)
    mean = np.convolve(counts[:-1], window, "same") / np.convolve(np.ones(len(counts) - 1), window, "same")
    smooth = np.ceil(16 * np.append(mean, counts[-1])).astype(np.int64)
    found: IntArray = np.maximum(smooth, counts > 0)
    return found


def cost_bits(counts: IntArray, options: EncodeOptions) -> int:
    """Return the bits, table included, that :meth:`LayerWriter.symbols` takes for symbols with these ``counts``."""
    trimmed = counts[: int(np.flatnonzero(counts)[-1]) + 1] if counts.any() else counts[:0]
    code = best_code(trimmed, options)
    return fixed_width(len(trimmed)) * int(trimmed.sum()) if code is None else code.bits(trimmed) + code.table_bits


def entropy_bits(counts: npt.NDArray[np.integer] | Iterable[int]) -> float:
    """Return the first-order entropy of symbols with these ``counts``, in bits for all of them together."""
    found = np.asarray(counts, dtype=np.float64)
    found = found[found > 0]
    return float(np.sum(found * np.log2(found.sum() / found))) if found.size else 0.0
