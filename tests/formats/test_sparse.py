"""Whether the relative index stores every sparse sequence exactly, with as few filler entries as there must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.sparse import RelativeEntries, RelativeIndex

positions = st.lists(st.integers(0, 300), unique=True, max_size=60).map(sorted)


def by_hand(places: list[int], largest: int) -> list[tuple[int, bool]]:
    """One zero after the other, as the text of EIE section III-B describes it."""
    entries, zeros = [], 0
    for place in range(max(places, default=-1) + 1):
        if place in places:
            entries.append((zeros, False))
            zeros = 0
        elif zeros == largest:
            entries.append((largest, True))
            zeros = 0
        else:
            zeros += 1
    return entries


def test_worked_example_of_eie():
    # Han et al., ISCA 2016, section III-B: column 0,0,1,2,(18 zeros),3 with 4-bit indices.
    column = [0, 0, 1, 2] + [0] * 18 + [3]
    entries = RelativeIndex(4).encode(np.flatnonzero(column))
    assert entries.gaps.tolist() == [2, 0, 15, 2]
    assert entries.is_filler.tolist() == [False, False, True, False]


@given(positions, st.integers(1, 6))
def test_encode_equals_the_walk_by_hand(places, bits):
    entries = RelativeIndex(bits).encode(np.array(places, dtype=np.int64))
    assert list(zip(entries.gaps.tolist(), entries.is_filler.tolist(), strict=True)) == by_hand(places, (1 << bits) - 1)


@given(positions, st.integers(1, 16))
def test_decode_is_the_inverse(places, bits):
    index = RelativeIndex(bits)
    entries = index.encode(np.array(places, dtype=np.int64))
    assert index.decode(entries, 301).tolist() == places
    assert int(entries.gaps.max(initial=0)) <= index.largest


@given(positions, st.integers(1, 6))
def test_fillers_are_the_whole_index_ranges_in_each_run(places, bits):
    runs = np.diff(places, prepend=-1) - 1
    assert RelativeIndex(bits).encode(np.array(places, dtype=np.int64)).fillers == int(np.sum(runs // (1 << bits)))


@pytest.mark.parametrize(
    ("gaps", "fillers", "message"),
    [([3, 9], [False, False], "within 10 places"), ([2, 0], [True, False], "15 for a filler"), ([15], [True], "ended by a non-zero")],
)
def test_impossible_entries_are_refused(gaps, fillers, message):
    entries = RelativeEntries(gaps=np.array(gaps), is_filler=np.array(fillers))
    with pytest.raises(FileFormatError, match=message):
        RelativeIndex(4).decode(entries, 10)


@pytest.mark.parametrize("bits", [0, 17, -1])
def test_width_is_checked(bits):
    with pytest.raises(FieldError, match="index_bits must be 1 to 16"):
        RelativeIndex(bits)
