"""Do the masks keep exactly as many weights as asked, and the right ones?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.masks import kept_count, lamp_counts, lamp_mask, lamp_scores, largest, magnitude_mask

layers = st.lists(
    st.lists(st.integers(-8, 8), min_size=1, max_size=20).map(lambda values: np.array(values, dtype=np.float32)), min_size=1, max_size=4
)


def defined_score(layer: np.ndarray, place: int) -> float:
    """The score of one weight, straight from the paper's formula with ties summed once each, in order of the sorted array."""
    squares = np.sort(layer.astype(np.float64) ** 2)
    return float(squares[place] / squares[place:].sum()) if squares[place] else 0.0


@given(st.lists(st.integers(-5, 5), max_size=30), st.integers(0, 35))
def test_largest_keeps_exactly_the_largest(values: list[int], count: int) -> None:
    array = np.array(values, dtype=np.float64)
    mask = largest(array, count)
    assert mask.sum() == min(count, len(values))
    assert sorted(array[mask]) == sorted(values)[len(values) - int(mask.sum()) :]


def test_of_equal_values_the_first_are_kept() -> None:
    assert largest(np.array([1.0, 2.0, 1.0, 1.0]), 3).tolist() == [True, True, True, False]


@given(layers)
def test_scores_are_the_published_formula(weights: list[np.ndarray]) -> None:
    for layer in weights:
        scores = lamp_scores(np.sort(layer**2))
        assert np.allclose(scores, [defined_score(layer, place) for place in range(len(layer))], rtol=1e-12)


@given(layers, st.data())
def test_lamp_counts_equal_a_ranking_of_all_scores(weights: list[np.ndarray], data: st.DataObject) -> None:
    total = sum(len(layer) for layer in weights)
    count = data.draw(st.integers(1, total))
    found = lamp_counts([layer**2 for layer in weights], count)
    assert sum(found) == count
    kept = [defined_score(layer, place) for layer, n in zip(weights, found, strict=True) for place in range(len(layer) - n, len(layer))]
    everything = sorted(defined_score(layer, place) for layer in weights for place in range(len(layer)))
    assert np.allclose(sorted(kept), everything[total - count :])


@given(layers, st.data())
def test_masks_keep_exact_counts_of_the_largest_magnitudes(weights: list[np.ndarray], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, sum(len(layer) for layer in weights)))
    mask = lamp_mask(weights, count)
    assert mask.sum() == count
    counts = [data.draw(st.integers(0, len(layer))) for layer in weights]
    parts = np.split(magnitude_mask(weights, counts), np.cumsum([len(layer) for layer in weights])[:-1])
    for layer, part, n in zip(weights, parts, counts, strict=True):
        assert part.sum() == n
        assert n in (0, len(layer)) or np.abs(layer[part]).min() >= np.abs(layer[~part]).max()


def test_kept_count_rounds_half_up_and_is_never_zero() -> None:
    assert [kept_count(10, density) for density in (0.25, 0.34, 1.0, 0.001)] == [3, 3, 10, 1]
