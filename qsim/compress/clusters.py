"""One-dimensional k-means on a histogram: Lloyd's iteration, three ways to start it, and the exact optimum.

Weights are first summed into bins; every bin counts as its mean, as often as it has members. Where there are no more
distinct weights than bins, that is the weights themselves and nothing is lost. Reading the weights once and working on
bins makes the exact optimum cheaper than the usual iteration over all weights.

Starts, from Deep Compression section 3.2, for k centroids:

======= ==============================================================================================
forgy   k of the weights, drawn at random without repetition
density the (i + 1/2) / k quantiles: equal steps on the vertical axis of the cumulative distribution
linear  equal steps from the smallest to the largest weight; keeps the few large weights well represented
optimal the global minimum of the squared error, by dynamic programming (Wang and Song, R Journal 2011)
======= ==============================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Error = Callable[[IndexArray, IndexArray], FloatArray]
BINS = 8192


class Start(StrEnum):
    """Where the centroids begin."""

    FORGY = "forgy"
    DENSITY = "density"
    LINEAR = "linear"
    OPTIMAL = "optimal"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct ``values`` [b] in ascending order and how many weights each stands for, ``counts`` [b], all positive."""

    values: FloatArray
    counts: FloatArray

    @classmethod
    def of(cls, weights: npt.ArrayLike, bins: int = BINS) -> "Histogram":
        """Sum ``weights`` (any shape) into at most ``bins`` bins of equal width."""
        flat = np.asarray(weights, dtype=np.float64).reshape(-1)
        if flat.size == 0:
            raise FieldError(path="weights", rule="at least one value", value="none")
        values, counts = np.unique(flat, return_counts=True)
        if len(values) <= bins:
            return cls(values, counts.astype(np.float64))
        step = (values[-1] - values[0]) / bins
        place = np.minimum((values - values[0]) / step, bins - 1).astype(np.int64)
        members = np.bincount(place, weights=counts, minlength=bins)
        sums = np.bincount(place, weights=counts * values, minlength=bins)
        used = members > 0
        return cls(sums[used] / members[used], members[used].astype(np.float64))


def start_centroids(histogram: Histogram, k: int, start: Start, random: np.random.Generator) -> FloatArray:
    """Return ``min(k, bins)`` starting centroids in ascending order."""
    k = min(k, len(histogram.values))
    match start:
        case Start.FORGY:
            share = histogram.counts / histogram.counts.sum()
            return np.sort(random.choice(histogram.values, size=k, replace=False, p=share))
        case Start.DENSITY:
            cumulative = np.cumsum(histogram.counts) / histogram.counts.sum()
            levels = (np.arange(k) + 0.5) / k
            found: FloatArray = histogram.values[np.minimum(np.searchsorted(cumulative, levels), len(cumulative) - 1)]
            return found
        case Start.LINEAR:
            return np.linspace(histogram.values[0], histogram.values[-1], k)
        case Start.OPTIMAL:
            return optimal_centroids(histogram, k)
        case _:
            assert_never(start)


def assign(values: npt.ArrayLike, centroids: FloatArray) -> IndexArray:
    """Return for every value the index of the nearest of the ascending ``centroids`` (the lower one halfway)."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, np.asarray(values)).astype(np.int64)


def distortion(histogram: Histogram, centroids: FloatArray) -> float:
    """Return the sum of squared distances of all weights to their nearest centroid."""
    return float(np.sum(histogram.counts * np.square(histogram.values - centroids[assign(histogram.values, centroids)])))


def lloyd(histogram: Histogram, centroids: FloatArray, iterations: int = 100) -> FloatArray:
    """Return ``centroids`` after moving each to the mean of its members until none moves; an empty one stays."""
    current = np.sort(centroids)
    for _ in range(iterations):
        nearest = assign(histogram.values, current)
        members = np.bincount(nearest, weights=histogram.counts, minlength=len(current))
        sums = np.bincount(nearest, weights=histogram.counts * histogram.values, minlength=len(current))
        moved = np.where(members > 0, sums / np.where(members > 0, members, 1.0), current)
        if np.array_equal(moved, current):
            break
        current = np.sort(moved)
    return current


def optimal_centroids(histogram: Histogram, k: int) -> FloatArray:
    """Return the k centroids of least squared error.

    Optimal clusters are intervals. ``cost[j]``, the least error of the first j bins with c clusters, is the minimum over
    the last cluster's first bin i of ``cost_(c-1)[i] + error(i, j)``; the best i grows with j, so halving the range of j
    again and again leaves O(bins log bins) candidates a cluster, all of one depth evaluated together.
    """
    origin = np.average(histogram.values, weights=histogram.counts)  # centred sums lose fewer digits
    values, bins = histogram.values - origin, len(histogram.values)
    sums = np.zeros((3, bins + 1))
    np.cumsum([histogram.counts, histogram.counts * values, histogram.counts * values**2], axis=1, out=sums[:, 1:])

    def error(first: IndexArray, stop: IndexArray) -> FloatArray:
        weight, linear, square = sums[:, stop] - sums[:, first]
        found: FloatArray = square - linear**2 / np.maximum(weight, 1e-300)
        return found

    stops = np.arange(bins + 1)
    cost = error(np.zeros(bins + 1, dtype=np.int64), stops)
    cost[0] = 0.0
    cuts: list[IndexArray] = []
    for _ in range(1, min(k, bins)):
        best = _monotone_minima(cost, error, bins)
        cost = np.concatenate([[0.0], cost[best[1:]] + error(best[1:], stops[1:])])
        cuts.append(best)
    edges = [bins]
    for best in reversed(cuts):
        edges.append(int(best[edges[-1]]))
    bounds = np.array([0, *reversed(edges)])
    weight, linear = sums[0, bounds[1:]] - sums[0, bounds[:-1]], sums[1, bounds[1:]] - sums[1, bounds[:-1]]
    used = weight > 0
    centroids: FloatArray = linear[used] / weight[used] + origin
    return centroids


def _monotone_minima(cost: FloatArray, error: Error, bins: int) -> IndexArray:
    """For every j in 1..bins the i < j of least ``cost[i] + error(i, j)``, given that it does not fall as j rises."""
    best = np.zeros(bins + 1, dtype=np.int64)
    spans = [(1, bins, 0, bins - 1)]  # j from, j to, i from, i to; both inclusive
    while spans:
        low, high, first, last = np.array(spans, dtype=np.int64).T
        middle = (low + high) // 2
        upper = np.minimum(last, middle - 1)
        lengths = upper - first + 1
        begins = np.cumsum(lengths) - lengths
        owner = np.repeat(np.arange(len(spans)), lengths)
        candidates = np.arange(int(lengths.sum())) - begins[owner] + first[owner]
        totals = cost[candidates] + error(candidates, middle[owner])
        hits = np.flatnonzero(totals == np.minimum.reduceat(totals, begins)[owner])
        chosen = candidates[hits[np.searchsorted(owner[hits], np.arange(len(spans)))]]
        best[middle] = chosen
        left = [(a, m - 1, f, c) for a, m, f, c in zip(low, middle, first, chosen, strict=True) if a < m]
        right = [(m + 1, b, c, t) for m, b, c, t in zip(middle, high, chosen, last, strict=True) if m < b]
        spans = left + right
    return best
