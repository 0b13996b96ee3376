"""Whether packed fields are an exact, most-significant-bit-first image of the integers, and anything else is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.bits import bytes_of, check_padding, pack, pack_signed, unpack, unpack_signed, width_of

fields = st.integers(0, 62).flatmap(lambda width: st.tuples(st.just(width), st.lists(st.integers(0, (1 << width) - 1), max_size=40)))


@given(fields)
def test_pack_equals_a_string_of_binary_digits(case):
    width, values = case
    digits = "".join(f"{value:0{width}b}" if width else "" for value in values)
    padded = digits.ljust(8 * bytes_of(len(digits)), "0")
    assert pack(values, width) == bytes(int(padded[place : place + 8], 2) for place in range(0, len(padded), 8))


@given(fields)
def test_unpack_is_the_inverse(case):
    width, values = case
    assert unpack(pack(values, width), width, len(values)).tolist() == values


@given(st.integers(2, 62).flatmap(lambda w: st.tuples(st.just(w), st.lists(st.integers(-(1 << (w - 1)), (1 << (w - 1)) - 1)))))
def test_signed_fields_round_trip(case):
    width, values = case
    assert unpack_signed(pack_signed(values, width), width, len(values)).tolist() == values


@pytest.mark.parametrize("width", [1, 3, 7, 8, 13])
def test_chunks_join_without_a_seam(width):
    values = np.random.default_rng(0).integers(0, 1 << width, 3 * (1 << 16) + 5)
    whole = np.unpackbits(np.frombuffer(pack(values, width), dtype=np.uint8))[: width * len(values)]
    assert np.array_equal(whole.reshape(-1, width) @ (1 << np.arange(width)[::-1]), values)
    assert np.array_equal(unpack(pack(values, width), width, len(values)), values)


def test_width_of_counts_the_bits_of_the_largest():
    assert [width_of(n) for n in (0, 1, 2, 3, 4, 255, 256)] == [0, 1, 2, 2, 3, 8, 9]


@pytest.mark.parametrize(("values", "width"), [([4], 2), ([-1], 8), ([1], 0), ([0], 63), ([0], -1)])
def test_what_does_not_fit_is_refused(values, width):
    with pytest.raises(FieldError, match="bits"):
        pack(values, width)


@pytest.mark.parametrize(("payload", "width", "count"), [(b"", 8, 1), (b"\0\0", 8, 1), (b"\x01", 4, 1), (b"\0", 0, 1)])
def test_wrong_length_or_padding_is_refused(payload, width, count):
    with pytest.raises(FileFormatError, match="bits"):
        unpack(payload, width, count)


def test_check_padding_refuses_a_whole_spare_byte():
    check_padding(b"\xf0", 4)
    with pytest.raises(FileFormatError, match="1 bytes long"):
        check_padding(b"\xf0\0", 4)
