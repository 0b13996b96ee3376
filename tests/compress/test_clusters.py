"""Does one-dimensional k-means start where its formulas say, never get worse, and find the true optimum when asked to?"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.clusters import Start, assign, distortion, lloyd, optimal_centroids, start_centroids
from qsim.compress.histogram import Histogram
from qsim.errors import FieldError

weights_lists = st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=24)


def exhaustive_error(weights: np.ndarray, k: int) -> float:
    """Least squared error over all ways to cut the sorted weights into at most k runs, by the plain quadratic recursion."""
    ordered = np.sort(weights)

    def run(first: int, stop: int) -> float:
        part = ordered[first:stop]
        return float(np.sum((part - part.mean()) ** 2))

    best = [0.0] + [run(0, stop) for stop in range(1, len(ordered) + 1)]
    for _ in range(k - 1):
        best = [0.0] + [min(best[stop], *(best[first] + run(first, stop) for first in range(stop))) for stop in range(1, len(ordered) + 1)]
    return best[-1]


@given(weights_lists, st.integers(1, 6))
def test_optimum_equals_exhaustive_search(values: list[float], k: int) -> None:
    weights = np.array(values)
    histogram = Histogram.of(weights)
    found = distortion(histogram, optimal_centroids(histogram, k))
    assert found == pytest.approx(exhaustive_error(weights, k), abs=1e-9)


@given(weights_lists, st.integers(1, 6), st.sampled_from(list(Start)), st.integers(0, 9))
def test_lloyd_never_gets_worse_and_the_optimum_bounds_it(values: list[float], k: int, start: Start, seed: int) -> None:
    histogram = Histogram.of(np.array(values))
    centroids = start_centroids(histogram, k, start, np.random.default_rng(seed))
    errors = [distortion(histogram, lloyd(histogram, centroids, iterations)) for iterations in range(8)]
    assert all(after <= before + 1e-9 for before, after in pairwise(errors))
    assert errors[-1] >= distortion(histogram, optimal_centroids(histogram, k)) - 1e-9


def test_lloyd_agrees_with_the_textbook_from_the_same_start() -> None:
    weights = np.random.default_rng(1).laplace(size=3_000)
    histogram = Histogram.of(weights)
    start = start_centroids(histogram, 8, Start.LINEAR, np.random.default_rng(0))
    centres = start.copy()
    for _ in range(20):  # the textbook, on the weights themselves: nearest centre, then the mean of those nearest
        nearest = np.argmin(np.abs(weights[:, None] - centres[None, :]), axis=1)
        # The outer centroids of a linear start are far apart, so no cluster is ever empty here.
        centres = np.array([weights[nearest == index].mean() for index in range(8)])
    assert np.allclose(lloyd(histogram, start, 20), centres, atol=1e-6)


def test_starts_follow_their_formulas() -> None:
    random = np.random.default_rng(2)
    histogram = Histogram.of(np.repeat([0.0, 1.0, 2.0, 10.0], [1, 1, 1, 5]))
    assert start_centroids(histogram, 3, Start.LINEAR, random).tolist() == [0, 5, 10]
    # Cumulative distribution 1/8, 2/8, 3/8, 1: the levels 1/4 and 3/4 meet it at 1 and 10.
    assert start_centroids(histogram, 2, Start.DENSITY, random).tolist() == [1, 10]
    forgy = start_centroids(histogram, 3, Start.FORGY, random)
    assert len(set(forgy.tolist())) == 3
    assert set(forgy.tolist()) <= {0.0, 1.0, 2.0, 10.0}


def test_forgy_draws_weights_as_often_as_they_occur() -> None:
    histogram = Histogram.of(np.repeat([0.0, 1.0], [1, 9]))
    random = np.random.default_rng(5)
    drawn = [start_centroids(histogram, 1, Start.FORGY, random)[0] for _ in range(400)]
    assert abs(np.mean(drawn) - 0.9) < 0.06  # four standard errors of 400 draws: 4 * sqrt(0.09 / 400)


def test_histogram_keeps_count_and_mean() -> None:
    weights = np.random.default_rng(3).normal(size=50_000)
    histogram = Histogram.of(weights, bins=256)
    assert len(histogram.values) <= 256
    assert histogram.counts.sum() == 50_000
    assert np.average(histogram.values, weights=histogram.counts) == pytest.approx(weights.mean(), abs=1e-12)


def test_histogram_optimum_is_close_to_the_optimum_of_all_weights() -> None:
    weights = np.random.default_rng(4).laplace(size=20_000)
    exact = Histogram.of(weights, bins=20_000)
    coarse = optimal_centroids(Histogram.of(weights), 8)
    assert distortion(exact, coarse) <= 1.001 * distortion(exact, optimal_centroids(exact, 8))


@given(weights_lists, st.integers(1, 6))
def test_assignment_is_the_nearest(values: list[float], k: int) -> None:
    centroids = start_centroids(Histogram.of(values), k, Start.LINEAR, np.random.default_rng(0))
    chosen = np.abs(np.array(values) - centroids[assign(values, centroids)])
    assert np.allclose(chosen, np.abs(np.array(values)[:, None] - centroids).min(axis=1))


def test_no_weights_is_an_error() -> None:
    with pytest.raises(FieldError, match="at least one value"):
        Histogram.of(np.zeros(0))
