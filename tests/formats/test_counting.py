"""Are histograms taken in parts those of the whole array?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import counting
from qsim.formats.counting import Runs, count_symbols, narrowest


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 6), st.integers(1, 7))
def test_parts_add_up(values, minlength, part):
    array, before = np.array(values, dtype=np.uint8), counting.PART
    counting.PART = part
    try:
        assert count_symbols(array, minlength).tolist() == np.bincount(array.astype(np.int64), minlength=minlength).tolist()
        runs = Runs.of(array, 3)
    finally:
        counting.PART = before
    expected = np.diff(np.flatnonzero(array != 3), prepend=-1) - 1
    assert dict(zip(runs.lengths.tolist(), runs.numbers.tolist(), strict=True)) == {
        int(length): int(np.sum(expected == length)) for length in np.unique(expected)
    }


def test_long_runs_are_counted() -> None:
    cells = np.zeros(300_000, dtype=np.uint8)
    cells[[5, 200_000, 299_999]] = 1
    runs = Runs.of(cells, 0)
    assert sorted(zip(runs.lengths.tolist(), runs.numbers.tolist(), strict=True)) == [(5, 1), (99_998, 1), (199_994, 1)]


def test_the_narrowest_type_holds_the_largest() -> None:
    for largest in (0, 255, 256, 65_535, 65_536, 2**31 - 1):
        assert np.iinfo(narrowest(largest)).max >= largest
