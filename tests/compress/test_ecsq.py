"""Does entropy-constrained quantisation assign as its definition says, trade error for bits, and beat what ignores entropy?"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.clusters import assign_between, distortion, optimal_centroids
from qsim.compress.ecsq import _envelope, at_rate, constrain, sweep
from qsim.compress.histogram import Histogram
from qsim.formats.symbols import entropy_bits

WEIGHTS = np.random.default_rng(0).laplace(size=20_000)
HISTOGRAM = Histogram.of(WEIGHTS)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0, 2))
def test_edges_give_every_weight_the_centroid_of_least_cost(seed: int, entries: int, price: float) -> None:
    weights = np.random.default_rng(seed).normal(size=200)
    histogram = Histogram.of(weights)
    point = constrain(histogram, entries, price)
    shares = np.bincount(assign_between(weights, point.edges), minlength=len(point.centroids)) / len(weights)
    costs = (weights[:, None] - point.centroids) ** 2 - price * np.log2(shares)
    edges = _envelope(point, histogram, histogram.running_sums()[1])
    # The least cost over all centroids is what the winners of the lower envelope cost, each in its interval.
    chosen = np.array([np.flatnonzero(costs[place] <= costs[place].min() + 1e-9)[0] for place in range(len(weights))])
    found = assign_between(weights, edges)
    for interval in np.unique(found):
        assert len(np.unique(chosen[found == interval])) == 1


def test_a_higher_price_means_fewer_bits_and_more_error() -> None:
    points = sweep(HISTOGRAM, 32, np.geomspace(1e-4, 1, 9))
    assert all(after.bits < before.bits and after.error > before.error for before, after in pairwise(points))


@pytest.mark.parametrize("bits", [0.5, 1.0, 2.0, 3.0])
def test_the_rate_is_met_and_measured(bits: float) -> None:
    point = at_rate(HISTOGRAM, 64, bits)
    codes = assign_between(WEIGHTS, point.edges)
    assert bits - 0.1 < point.bits <= bits
    assert point.bits == pytest.approx(entropy_bits(np.bincount(codes)) / len(WEIGHTS))
    assert point.error == pytest.approx(np.mean((WEIGHTS - point.centroids[codes]) ** 2))


def test_less_error_than_kmeans_at_the_same_entropy() -> None:
    """Choi et al., section 4: with entropy coding the optimum of squared error alone is not the optimum."""
    for entries in (4, 8, 16):
        centroids = optimal_centroids(HISTOGRAM, entries)
        codes = assign_between(WEIGHTS, (centroids[1:] + centroids[:-1]) / 2)
        bits = entropy_bits(np.bincount(codes)) / len(WEIGHTS)
        assert at_rate(HISTOGRAM, 64, bits).error < 0.95 * distortion(HISTOGRAM, centroids) / len(WEIGHTS)
