"""Canonical Huffman codes of limited length, made for a hardware decoder.

Only code *lengths* are stored. The codes follow: symbols sorted by (length, symbol) get consecutive codes, and a step to a
longer length shifts left. So a decoder needs one comparison a length: the first ``l`` bits of the stream, as a number, are a
code of length ``l`` exactly when they are less than ``first[l] + count[l]``, and the symbol is ``symbols[offset[l] + bits -
first[l]]``.

Lengths are optimal under the limit (package-merge: Larmore and Hirschberg, J. ACM 37, 1990). An alphabet of which one symbol
occurs gets a code of one bit.

A table is stored as the symbols' lengths in order, 0 for symbols that do not occur. Neighbouring gaps or weights are about equally
likely, so each length is written relative to the one before (0 before the first): ``0`` equal, ``10`` one more, ``110`` one less,
``111`` and 4 bits for any other length; hence the limit of 15.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError
from qsim.formats.arrays import check_range, read_only
from qsim.formats.bits import bytes_of, check_padding
from qsim.formats.counting import count_symbols, narrowest
from qsim.formats.fixed import IntArray

LENGTH_BITS = 4
MAX_LENGTH = (1 << LENGTH_BITS) - 1
MAX_ALPHABET = 1 << MAX_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingTables:
    """What a hardware decoder holds, all indexed by code length 0 to the longest: the first code of the length, how many codes
    it has, and where their symbols start in ``symbols``, the occurring symbols in order of (length, symbol).
    """

    first: tuple[int, ...]
    count: tuple[int, ...]
    offset: tuple[int, ...]
    symbols: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CanonicalHuffman:
    """The code with ``lengths`` [alphabet] bits a symbol, 0 for a symbol that does not occur.

    The code must be complete (Kraft sum exactly 1), or hold a single symbol of length 1, or nothing at all; so no bit pattern but
    a stray 1 of a single-symbol code is without meaning. Raises :class:`FieldError` otherwise.
    """

    lengths: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", read_only(self.lengths, np.int64, 1, "huffman.lengths"))
        if len(self.lengths) > MAX_ALPHABET:
            raise FieldError(path="huffman.lengths", rule=f"at most {MAX_ALPHABET} symbols", value=len(self.lengths))
        check_range(self.lengths, 0, MAX_LENGTH, "huffman.lengths")
        used = self.lengths[self.lengths > 0]
        kraft = int(np.sum(1 << (MAX_LENGTH - used)))
        single = len(used) == 1 and used[0] == 1
        if len(used) and not single and kraft != 1 << MAX_LENGTH:
            rule = "a complete code (Kraft sum 1) or a single symbol of length 1"
            raise FieldError(path="huffman.lengths", rule=rule, value=f"Kraft sum {kraft / (1 << MAX_LENGTH)}")

    @classmethod
    def from_counts(cls, counts: npt.ArrayLike, max_length: int = MAX_LENGTH) -> "CanonicalHuffman":
        """Return the optimal code for symbol ``counts`` [alphabet] with no code longer than ``max_length`` (1 to 15)."""
        return cls(optimal_lengths(np.asarray(counts, dtype=np.int64), max_length))

    @classmethod
    def from_table(cls, payload: bytes, bits: int, alphabet: int) -> "CanonicalHuffman":
        """Read the stored form, the exact inverse of :attr:`table`; :class:`FileFormatError` for anything else."""
        check_padding(payload, bits)
        if not 0 <= alphabet <= min(bits, MAX_ALPHABET):
            raise FileFormatError(path="huffman.alphabet", rule=f"at most {min(bits, MAX_ALPHABET)}", value=alphabet)
        try:
            code = cls(np.array(_read_lengths(np.unpackbits(np.frombuffer(payload, dtype=np.uint8)).tolist(), alphabet), dtype=np.int64))
        except FieldError as error:
            raise FileFormatError(str(error)) from error
        if code.table_bits != bits or code.table != payload:
            raise FileFormatError(path="huffman.table", rule=f"{code.table_bits} bits, each length in its shortest form", value=bits)
        return code

    @property
    def table(self) -> bytes:
        """The stored form of the lengths, see the module's description."""
        code = {0: "0", 1: "10", -1: "110"}
        steps = np.diff(self.lengths, prepend=0).tolist()
        text = "".join(code.get(step) or f"111{length:04b}" for step, length in zip(steps, self.lengths.tolist(), strict=True))
        return np.packbits(np.frombuffer(text.encode(), dtype=np.uint8) - ord("0")).tobytes()

    @property
    def table_bits(self) -> int:
        """Exact bits of :attr:`table`."""
        cost = np.array([3, 1, 2], dtype=np.int64)
        steps = np.diff(self.lengths, prepend=0)
        near = np.abs(steps) <= 1
        return int(cost[steps[near] + 1].sum()) + (3 + LENGTH_BITS) * int(np.count_nonzero(~near))

    @property
    def max_length(self) -> int:
        """Length of the longest code, 0 when no symbol occurs."""
        return int(self.lengths.max(initial=0))

    @property
    def codes(self) -> IntArray:
        """The code of every symbol [alphabet], to be read as ``lengths`` bits, most significant first; 0 if it has none."""
        codes = np.zeros(len(self.lengths), dtype=np.int64)
        tables = self.decoding_tables
        symbols = np.array(tables.symbols, dtype=np.int64)
        lengths = self.lengths[symbols]
        first, offset = np.array(tables.first), np.array(tables.offset)
        codes[symbols] = first[lengths] + np.arange(len(symbols)) - offset[lengths]
        return codes

    @property
    def decoding_tables(self) -> DecodingTables:
        """The tables of a decoder that compares one length after the other."""
        count = np.bincount(self.lengths, minlength=1)
        count[0] = 0
        first, code = [0], 0
        for length in range(1, len(count)):
            code = (code + int(count[length - 1])) << 1
            first.append(code)
        occurring = np.flatnonzero(self.lengths)
        order = occurring[np.argsort(self.lengths[occurring], kind="stable")]
        offset = np.cumsum(count) - count
        return DecodingTables(first=tuple(first), count=tuple(count.tolist()), offset=tuple(offset.tolist()), symbols=tuple(order.tolist()))

    def bits(self, counts: npt.ArrayLike) -> int:
        """Return the exact bits of a stream with symbol ``counts`` [alphabet]."""
        return int(np.dot(np.asarray(counts, dtype=np.int64), self.lengths))

    def encode(self, symbols: npt.ArrayLike) -> tuple[bytes, int]:
        """Return the payload of ``symbols`` [n] and its exact bits. Raises :class:`FieldError` for a symbol without a code."""
        flat = _integers(symbols)
        check_range(flat, 0, len(self.lengths) - 1, "huffman.symbols")
        counts = count_symbols(flat, len(self.lengths))
        without = np.flatnonzero((counts > 0) & (self.lengths == 0))
        if without.size:
            raise FieldError(path="huffman.symbols", rule="symbols with a code", value=int(without[0]))
        # Imported here and below: importing numba takes longer than most commands that need no Huffman code.
        from qsim.formats.huffman_kernel import GUARD_BYTES, encode

        bits = self.bits(counts)
        data = np.zeros(bytes_of(bits) + GUARD_BYTES, dtype=np.uint8)
        encode(flat, self.codes, self.lengths, data)
        return data[: bytes_of(bits)].tobytes(), bits

    def decode(self, payload: bytes, bits: int, count: int) -> npt.NDArray[np.integer]:
        """Return the ``count`` symbols [count] of ``payload``, whose codes fill exactly ``bits`` bits, in the narrowest type.

        Raises :class:`FileFormatError` for a pattern that is no code, a stream that ends too early or too late, or padding that is
        not zero.
        """
        check_padding(payload, bits)
        if not 0 <= count <= bits:
            raise FileFormatError(path="huffman.count", rule=f"at most one symbol a bit, {bits}", value=count)
        from qsim.formats.huffman_kernel import GUARD_BYTES, decode

        symbols: npt.NDArray[np.integer] = np.empty(count, dtype=narrowest(len(self.lengths)))
        lookup, steps = self._lookup()
        data = np.frombuffer(payload + bytes(GUARD_BYTES), dtype=np.uint8)
        end = decode(data, bits, lookup, steps, self.max_length, symbols)
        if end != bits:
            raise FileFormatError(path="huffman.payload", rule=f"{count} codes in exactly {bits} bits", value="another stream")
        return symbols

    def _lookup(self) -> tuple[IntArray, npt.NDArray[np.uint8]]:
        """Return symbol and length for every pattern of ``max_length`` bits; length 0 where no code fits."""
        symbols = np.array(self.decoding_tables.symbols, dtype=np.int64)
        lengths = self.lengths[symbols]
        spans = np.int64(1) << (self.max_length - lengths)
        lookup = np.zeros(1 << self.max_length, dtype=np.int64)
        steps = np.zeros(1 << self.max_length, dtype=np.uint8)
        filled = int(spans.sum())  # canonical codes in order are consecutive intervals of patterns
        lookup[:filled] = np.repeat(symbols, spans)
        steps[:filled] = np.repeat(lengths, spans)
        return lookup, steps


def _integers(symbols: npt.ArrayLike) -> npt.NDArray[np.integer]:
    """Return flat symbols in an integer type, without a copy where they have one."""
    found = np.asarray(symbols).reshape(-1)
    return found if found.dtype.kind in "iu" else found.astype(np.int64)


def _read_lengths(bits: list[int], alphabet: int) -> list[int]:
    lengths, place, length = [], 0, 0
    bits = [*bits, 0, 0, 0, 0, 0, 0]  # a table cut short reads zeros, and is refused for its number of bits
    for _ in range(alphabet):
        ones = 0
        while ones < 3 and bits[place]:
            ones += 1
            place += 1
        place += ones < 3
        if ones == 3:
            length = int("".join(map(str, bits[place : place + LENGTH_BITS])), 2)
            place += LENGTH_BITS
        else:
            length += (0, 1, -1)[ones]
        lengths.append(length)
        if place > len(bits) - 6:
            break
    return lengths


def optimal_lengths(counts: IntArray, max_length: int) -> IntArray:
    """Return the code lengths [alphabet] that minimise the bits of ``counts`` with no length over ``max_length`` (1 to 15)."""
    if not 1 <= max_length <= MAX_LENGTH:
        raise FieldError(path="huffman.max_length", rule=f"1 to {MAX_LENGTH}", value=max_length)
    check_range(counts, 0, 1 << 48, "huffman.counts")
    occurring = np.flatnonzero(counts)
    if len(occurring) > 1 << max_length:
        raise FieldError(path="huffman.max_length", rule=f"enough for {len(occurring)} symbols", value=max_length)
    lengths = np.zeros(len(counts), dtype=np.int64)
    if len(occurring) <= 1:
        lengths[occurring] = 1
        return lengths
    order = occurring[np.argsort(counts[occurring], kind="stable")]
    lengths[order] = _package_merge(counts[order], max_length)
    return lengths


def _package_merge(weights: IntArray, max_length: int) -> IntArray:
    """Return the lengths for ``weights`` [n] in rising order, n >= 2.

    One list a bit of length: the symbols merged with the pairs ("packages") of the list before. The cheapest 2n - 2 items of the
    last list are the solution; a symbol's length is the number of lists in which it is taken, directly or within a package. In each
    list the taken symbols are the lightest ones, so it is enough to know how many.
    """
    items = weights
    from_symbol = [np.ones(len(weights), dtype=np.bool_)]
    for _ in range(max_length - 1):
        even = len(items) // 2 * 2
        packages = items[0:even:2] + items[1:even:2]
        merged = np.concatenate([weights, packages])
        order = np.argsort(merged, kind="stable")
        items = merged[order]
        from_symbol.append(order < len(weights))
    lengths = np.zeros(len(weights), dtype=np.int64)
    taken = 2 * len(weights) - 2
    for is_symbol in reversed(from_symbol):
        symbols = int(np.count_nonzero(is_symbol[:taken]))
        lengths[:symbols] += 1
        taken = 2 * (taken - symbols)
    return lengths
