"""Whether the Huffman codes are optimal under their length limit, canonical, exact both ways, and safe on corrupt streams."""

import heapq
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.huffman import MAX_LENGTH, CanonicalHuffman

counts_lists = st.lists(st.integers(0, 500), min_size=1, max_size=40)


def heap_bits(counts: list[int]) -> int:
    """Total bits of an unlimited Huffman code: the sum of all merged weights (Huffman 1952)."""
    heap = [count for count in counts if count]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def brute_bits(counts: tuple[int, ...], limit: int) -> int:
    """The least bits over all length assignments that satisfy Kraft's inequality."""
    choices = itertools.product(range(1, limit + 1), repeat=len(counts))
    fits = (lengths for lengths in choices if sum(2.0**-length for length in lengths) <= 1)
    return min(sum(n * length for n, length in zip(counts, lengths, strict=True)) for lengths in fits)


@given(counts_lists)
def test_bits_equal_an_unlimited_code_when_the_limit_does_not_bind(counts):
    code = CanonicalHuffman.from_counts(counts, MAX_LENGTH)
    if code.max_length < MAX_LENGTH:
        assert code.bits(counts) == heap_bits(counts)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6).map(tuple), st.integers(2, 4))
def test_limited_codes_equal_brute_force(counts, limit):
    if len(counts) <= 1 << limit:
        assert CanonicalHuffman.from_counts(counts, limit).bits(counts) == brute_bits(counts, limit)


def test_fibonacci_counts_meet_the_limit():
    # Fibonacci weights are the worst case of Huffman depth: unlimited, 20 of them need 19 bits.
    counts = [1, 1]
    while len(counts) < 20:
        counts.append(counts[-1] + counts[-2])
    for limit in (5, 8, 12, 15):
        code = CanonicalHuffman.from_counts(counts, limit)
        assert code.max_length == limit
        assert code.bits(counts) > heap_bits(counts)


@given(counts_lists.filter(lambda counts: sum(n > 0 for n in counts) > 1))
def test_kraft_sum_is_one_and_bits_lie_between_entropy_and_entropy_plus_one(counts):
    code = CanonicalHuffman.from_counts(counts)
    assert sum(2.0**-length for length in code.lengths if length) == 1
    total = sum(counts)
    entropy = sum(n * math.log2(total / n) for n in counts if n)
    assert entropy - 1e-6 <= code.bits(counts) < entropy + total


@given(counts_lists)
def test_codes_are_canonical_and_prefix_free(counts):
    code = CanonicalHuffman.from_counts(counts)
    texts = {s: f"{code.codes[s]:0{n}b}" for s, n in enumerate(code.lengths.tolist()) if n}
    for one, other in itertools.permutations(texts.values(), 2):
        assert not other.startswith(one)
    order = sorted(texts, key=lambda symbol: (len(texts[symbol]), symbol))
    assert [texts[symbol] for symbol in order] == sorted(texts.values())


def test_example_of_deflate():
    # RFC 1951, section 3.2.2: lengths 3,3,3,3,3,2,4,4 give codes 010 011 100 101 110 00 1110 1111.
    code = CanonicalHuffman(np.array([3, 3, 3, 3, 3, 2, 4, 4]))
    texts = [f"{c:0{n}b}" for c, n in zip(code.codes, code.lengths, strict=True)]
    assert texts == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(5, 15))
def test_streams_round_trip(symbols, limit):
    code = CanonicalHuffman.from_counts(np.bincount(symbols, minlength=31) if symbols else np.zeros(31, dtype=int), limit)
    payload, bits = code.encode(symbols)
    assert bits == code.bits(np.bincount(symbols, minlength=31)) if symbols else bits == 0
    text = "".join(f"{code.codes[s]:0{code.lengths[s]}b}" for s in symbols)
    assert "".join(f"{byte:08b}" for byte in payload) == text.ljust(8 * len(payload), "0")
    assert code.decode(payload, bits, len(symbols)).tolist() == symbols


@given(st.lists(st.integers(0, 12), min_size=1, max_size=100))
def test_decoding_tables_decode_bit_by_bit(symbols):
    code = CanonicalHuffman.from_counts(np.bincount(symbols))
    payload, bits = code.encode(symbols)
    stream = iter("".join(f"{byte:08b}" for byte in payload)[:bits])
    tables, found = code.decoding_tables, []
    while len(found) < len(symbols):
        value = length = 0
        while True:
            value, length = 2 * value + int(next(stream)), length + 1
            if value < tables.first[length] + tables.count[length]:
                break
        found.append(tables.symbols[tables.offset[length] + value - tables.first[length]])
    assert found == symbols


@given(counts_lists, st.integers(6, 15))
def test_tables_round_trip_with_exact_bits(counts, limit):
    code = CanonicalHuffman.from_counts(counts, limit)
    again = CanonicalHuffman.from_table(code.table, code.table_bits, len(counts))
    assert again.lengths.tolist() == code.lengths.tolist()
    assert len(code.table) == (code.table_bits + 7) // 8


def test_table_of_the_worked_example():
    # lengths 2 2 1: "111 0010" (2 after 0), "0" (equal), "110" (one less) = 11100100110 and five zero bits.
    code = CanonicalHuffman(np.array([2, 2, 1]))
    assert (code.table, code.table_bits) == (bytes([0b11100100, 0b11000000]), 11)


def test_a_single_symbol_takes_one_bit():
    code = CanonicalHuffman.from_counts([0, 0, 7])
    assert code.lengths.tolist() == [0, 0, 1]
    assert code.encode([2] * 9) == (b"\0\0", 9)
    with pytest.raises(FileFormatError, match="exactly 9 bits"):
        code.decode(b"\x01\0", 9, 9)


@given(st.binary(max_size=40), st.integers(0, 7), st.integers(0, 400))
def test_any_bytes_decode_or_are_refused(payload, spare, count):
    code = CanonicalHuffman.from_counts([40, 20, 9, 9, 3, 1, 1])
    bits = max(0, 8 * len(payload) - spare)
    try:
        symbols = code.decode(payload, bits, count)
    except FileFormatError:
        return
    assert code.encode(symbols) == (payload, bits)


@given(st.binary(max_size=30), st.integers(0, 240), st.integers(0, 300))
def test_any_table_is_canonical_or_refused(payload, bits, alphabet):
    try:
        code = CanonicalHuffman.from_table(payload, bits, alphabet)
    except FileFormatError:
        return
    assert (code.table, code.table_bits, len(code.lengths)) == (payload, bits, alphabet)


@pytest.mark.parametrize("lengths", [[1, 1, 1], [2, 2, 2], [2], [16], [-1, 1], [1, 2]])
def test_incomplete_or_oversubscribed_codes_are_refused(lengths):
    with pytest.raises(FieldError, match=r"huffman\.lengths"):
        CanonicalHuffman(np.array(lengths))


def test_too_many_symbols_for_the_limit_are_refused():
    with pytest.raises(FieldError, match="enough for 9 symbols"):
        CanonicalHuffman.from_counts([1] * 9, 3)
    with pytest.raises(FieldError, match="1 to 15"):
        CanonicalHuffman.from_counts([1, 1], 16)


def test_a_symbol_without_a_code_is_refused():
    with pytest.raises(FieldError, match="symbols with a code"):
        CanonicalHuffman.from_counts([1, 0, 1]).encode([1])


def test_a_full_alphabet_of_fifteen_bits():
    code = CanonicalHuffman.from_counts(np.ones(1 << 15, dtype=np.int64))
    assert set(code.lengths.tolist()) == {15}


def test_example_of_the_document():
    # docs/formats.md, section 3.
    code = CanonicalHuffman(np.array([2, 2, 3, 3, 2]))
    assert [f"{c:0{n}b}" for c, n in zip(code.codes, code.lengths, strict=True)] == ["00", "01", "110", "111", "10"]
    assert (code.table_bits, code.table) == (14, bytes([0b11100100, 0b10011000]))
