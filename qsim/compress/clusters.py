"""One-dimensional k-means on a histogram: Lloyd's iteration, three ways to start it, and the exact optimum.

Reading the weights once into bins (:mod:`qsim.compress.histogram`) makes the optimum cheaper than the usual iteration over all
weights, and an iteration costs O(k log bins): clusters are intervals, whose sums are differences of running sums.

Starts, from Deep Compression section 3.2, for k centroids:

======= ==============================================================================================
forgy   k of the weights, drawn at random without repetition
density the (i + 1/2) / k quantiles: equal steps on the vertical axis of the cumulative distribution
linear  equal steps from the smallest to the largest weight; keeps the few large weights well represented
optimal the global minimum of the squared error, by dynamic programming (Wang and Song, R Journal 2011)
======= ==============================================================================================
"""

from enum import StrEnum
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from qsim.compress.histogram import Histogram, flat_weights

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
COARSE = 1 << 14  # bins of the dynamic programme: 64 a cluster for 256 clusters
TABLE = 1 << 12  # bins of the look-up table for assignments
SMALL = 1 << 12  # values below which a binary search each is quicker than the table


class Start(StrEnum):
    """Where the centroids begin."""

    FORGY = "forgy"
    DENSITY = "density"
    LINEAR = "linear"
    OPTIMAL = "optimal"


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


def assign(values: npt.ArrayLike, centroids: FloatArray, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """Return for every value the index of the nearest of the ascending ``centroids`` (the lower one halfway)."""
    return assign_between(values, (centroids[1:] + centroids[:-1]) / 2, dtype)


def assign_between(values: npt.ArrayLike, edges: FloatArray, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """Return for every value (any shape) how many of the ascending ``edges`` lie below it."""
    found = np.asarray(values)
    if found.size < SMALL or len(edges) == 0 or edges[0] == edges[-1]:
        return np.searchsorted(edges, found).astype(dtype)
    from qsim.compress.kernels import look_up

    low, high = float(edges[0]), float(edges[-1])
    scale = TABLE / (high - low)
    # An edge counts from the bin after its own: what rounding does to a weight on a border of bins then does not matter.
    starts = low + (np.arange(TABLE) - 1) / scale
    codes = np.empty(found.size, dtype=dtype)
    look_up(flat_weights(found), low, scale, np.searchsorted(edges, starts).astype(np.int32), edges, codes)
    return codes.reshape(found.shape)


def distortion(histogram: Histogram, centroids: FloatArray) -> float:
    """Return the sum of squared distances of all weights to their nearest centroid."""
    return float(np.sum(histogram.counts * np.square(histogram.values - centroids[assign(histogram.values, centroids)])))


def lloyd(histogram: Histogram, centroids: FloatArray, iterations: int = 100) -> FloatArray:
    """Return ``centroids`` after moving each to the mean of its members until none moves; an empty one stays."""
    origin, sums = histogram.running_sums()
    current = np.sort(centroids)
    for _ in range(iterations):
        bounds = np.searchsorted(histogram.values, (current[1:] + current[:-1]) / 2, side="right")
        moved = np.where(*interval_means(sums, bounds, origin), current)
        if np.array_equal(moved, current):
            break
        current = np.sort(moved)
    return current


def interval_means(sums: FloatArray, bounds: IndexArray, origin: float) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return which of the intervals of bins between ``bounds`` [k - 1] have members, and the mean [k] of those."""
    edges = np.concatenate([np.zeros(1, dtype=np.int64), bounds, np.full(1, sums.shape[1] - 1)])
    weight, linear = np.diff(sums[:2, edges], axis=1)
    used = weight > 0
    return used, linear / np.where(used, weight, 1.0) + origin


def optimal_centroids(histogram: Histogram, k: int, bins: int = COARSE) -> FloatArray:
    """Return the k centroids of least squared error, fewer where there are fewer values.

    Optimal clusters are intervals, so the least error of the first j bins with c clusters is a minimum over the last cluster's first
    bin. Of more than ``bins`` bins, neighbours are first merged; then Lloyd's iteration on all of them settles the borders within a
    merged bin.
    """
    from qsim.compress.kernels import cut_optimally

    coarse = histogram.merged(bins)
    origin, sums = coarse.running_sums()
    cuts = cut_optimally(sums[0], sums[1], sums[2], min(k, len(coarse.values)))
    edges = [len(coarse.values)]
    for row in reversed(cuts[1:]):
        edges.append(int(row[edges[-1]]))
    used, means = interval_means(sums, np.array(edges[:0:-1], dtype=np.int64), origin)
    return means[used] if coarse is histogram else lloyd(histogram, means[used])
