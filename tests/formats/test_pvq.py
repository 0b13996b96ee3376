"""Whether the pyramid is counted and searched exactly."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.errors import FieldError
from qsim.formats.pvq import best_scales, count_points, count_table, index_bits, index_of, nearest_points, point_of

reals = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 6))


def points(dimensions: int, pulses: int) -> np.ndarray:
    span = itertools.product(range(-pulses, pulses + 1), repeat=dimensions)
    return np.array([point for point in span if sum(map(abs, point)) == pulses])


@pytest.mark.parametrize(("n", "k"), itertools.product(range(1, 5), range(5)))
def test_count_equals_enumeration(n, k):
    assert count_points(n, k) == len(points(n, k))


@given(st.integers(1, 30), st.integers(1, 30))
def test_count_equals_the_closed_form(n, k):
    # By the number m of non-zero coordinates: choose them, their signs, and a composition of K into m parts.
    assert count_points(n, k) == sum(2**m * math.comb(n, m) * math.comb(k - 1, m - 1) for m in range(1, min(n, k) + 1))


def test_index_bits_number_every_point():
    assert index_bits(8, 4) == 12  # 2,816 points: between 2^11 and 2^12
    assert index_bits(1, 0) == 0


@given(arrays(np.float64, (3, 4), elements=reals), st.integers(1, 5))
def test_nearest_equals_brute_force(values, pulses):
    found = nearest_points(values, pulses)
    lattice = points(4, pulses)
    for row, point in zip(values, found, strict=True):
        total = np.abs(row).sum()
        if total == 0:
            assert not point.any()
            continue
        target = row / total * pulses
        assert np.abs(point).sum() == pulses
        assert np.sum((point - target) ** 2) <= np.min(np.sum((lattice - target) ** 2, axis=1)) + 1e-9


@given(arrays(np.float64, (2, 50), elements=st.floats(allow_nan=False, allow_infinity=False)), st.integers(0, 200))
def test_any_finite_row_gets_all_its_pulses(values, pulses):
    found = nearest_points(values, pulses)
    expected = np.where(np.any(values != 0, axis=1), pulses, 0)
    assert np.array_equal(np.abs(found).sum(axis=1), expected)
    assert np.all(found * np.sign(values) >= 0)


@given(arrays(np.float64, (2, 6), elements=reals))
def test_no_other_scale_is_nearer(values):
    found = nearest_points(values, 7)
    scales = best_scales(values, found)
    error = np.sum((values - scales[:, None] * found) ** 2, axis=1)
    for factor in (0.9, 1.1):
        assert np.all(error <= np.sum((values - factor * scales[:, None] * found) ** 2, axis=1) + 1e-9)


@pytest.mark.parametrize("values", [[1.0, 2.0], [[np.nan]], [[np.inf]]])
def test_bad_values_are_refused(values):
    with pytest.raises(FieldError, match=r"pvq\.values"):
        nearest_points(values, 3)


def test_bad_sizes_are_refused():
    with pytest.raises(FieldError, match=r"pvq\.dimensions"):
        count_points(0, 1)
    for pulses in (-1, 1 << 40):
        with pytest.raises(FieldError, match=r"pvq\.pulses"):
            nearest_points([[1.0]], pulses)


@pytest.mark.parametrize(("n", "k"), itertools.product(range(1, 5), range(5)))
def test_indices_number_the_points_without_gap_in_the_stated_order(n, k):
    found = [tuple(point_of(index, n, k).tolist()) for index in range(count_points(n, k))]
    order = sorted(map(tuple, points(n, k).tolist()), key=lambda point: [2 * abs(value) - (value > 0) for value in point])
    assert found == order
    assert [index_of(point) for point in found] == list(range(len(found)))


@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(-9, 9)))
def test_index_and_point_are_inverse(point):
    pulses = int(np.abs(point).sum())
    index = index_of(point)
    assert 0 <= index < count_points(len(point), pulses)
    assert point_of(index, len(point), pulses).tolist() == point.tolist()


def test_index_outside_the_pyramid_is_refused():
    for index in (-1, count_points(3, 2)):
        with pytest.raises(FieldError, match=r"pvq\.index must be 0 to 17"):
            point_of(index, 3, 2)


@given(st.integers(1, 12), st.integers(0, 12))
def test_table_holds_the_counts(n, k):
    table = count_table(n, k)
    assert len(table) == n and table[0] == (1,) + (0,) * k
    for row in range(1, n):
        assert table[row] == tuple(count_points(row, pulses) for pulses in range(k + 1))
