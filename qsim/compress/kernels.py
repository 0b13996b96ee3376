"""Compiled loops over all weights of a layer, each a single pass, and the dynamic programme over their histogram."""

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@njit(cache=True)
def limits(weights: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return the smallest and largest of ``weights`` [n], n >= 1; NaN for both where one of them is NaN or infinite."""
    low = high = weights[0]
    bad = False
    for weight in weights:
        bad |= not np.isfinite(weight)
        low = min(low, weight)
        high = max(high, weight)
    return (np.nan, np.nan) if bad else (float(low), float(high))


@njit(cache=True)
def sum_bins(weights: npt.NDArray[np.floating], low: float, scale: float, counts: FloatArray, sums: FloatArray) -> None:
    """Add every weight to ``counts`` and ``sums`` [bins] of bin ``(weight - low) * scale``, the last one for those above."""
    last = len(counts) - 1
    for weight in weights:
        place = min(last, int((weight - low) * scale))
        counts[place] += 1.0
        sums[place] += weight


@njit(cache=True)
def sum_weighted_bins(
    weights: npt.NDArray[np.floating],
    importance: npt.NDArray[np.floating],
    low: float,
    scale: float,
    counts: FloatArray,
    sums: FloatArray,
) -> None:
    """As :func:`sum_bins`, every weight counted as often as its ``importance`` says."""
    last = len(counts) - 1
    for weight, share in zip(weights, importance):  # noqa: B905  # numba's zip has no strict
        place = min(last, int((weight - low) * scale))
        counts[place] += share
        sums[place] += share * weight


@njit(cache=True)
def look_up(
    weights: npt.NDArray[np.floating], low: float, scale: float, table: npt.NDArray[np.int32], edges: FloatArray, codes: IndexArray
) -> None:
    """Write the number of ``edges`` below each weight into ``codes``; ``table`` [bins] has that number at the start of each bin."""
    last = len(table) - 1
    for place in range(len(weights)):
        weight = weights[place]
        code = table[min(last, max(0, int((weight - low) * scale)))]
        while code < len(edges) and edges[code] < weight:
            code += 1
        codes[place] = code


@njit(cache=True)
def cut_optimally(weight: FloatArray, linear: FloatArray, square: FloatArray, clusters: int) -> npt.NDArray[np.int32]:
    """Return the first bin of the last cluster, [clusters, bins + 1], for every number of clusters and of leading bins.

    ``weight``, ``linear`` and ``square`` [bins + 1] are running sums of 1, v and v^2 over the bins, so that a run of bins has error
    ``square - linear^2 / weight``. The best first bin does not fall as bins are added, so each row is filled by halving: the middle
    is searched between the answers of its neighbours.
    """
    bins = len(weight) - 1
    cuts = np.zeros((clusters, bins + 1), dtype=np.int32)
    cost = square - linear**2 / np.maximum(weight, 1e-300)
    following = cost.copy()
    for row in range(1, clusters):
        step = 1
        while step <= bins:
            step *= 2
        while step >= 1:
            for stop in range(step, bins + 1, 2 * step):
                first = cuts[row, stop - step]
                last = cuts[row, stop + step] if stop + step <= bins else stop - 1
                best, place = np.inf, first
                for start in range(first, min(last, stop - 1) + 1):
                    share = weight[stop] - weight[start]
                    along = linear[stop] - linear[start]
                    total = cost[start] + square[stop] - square[start] - along * along / max(share, 1e-300)
                    if total < best:
                        best, place = total, start
                cuts[row, stop] = place
                following[stop] = best
            step //= 2
        cost[:] = following
    return cuts


@njit(cache=True)
def merge_neighbours(values: FloatArray, counts: FloatArray, linkage: int) -> tuple[FloatArray, IndexArray]:
    """Return for the gap behind each of the ascending ``values`` [n] the height and the turn [n - 1] at which it closes.

    Clusters are runs of values. Wherever two are each other's nearest neighbour they are merged; a chain of ever nearer neighbours
    finds the next such pair in constant time, so the whole takes O(n). ``linkage``: 0 Ward, 1 complete, 2 average, 3 single.
    """
    n = len(values)
    heights, turns = np.zeros(n - 1), np.zeros(n - 1, dtype=np.int64)
    members, means = counts.copy(), values.copy()
    first, last = values.copy(), values.copy()
    before, after = np.arange(n) - 1, np.arange(n) + 1  # neighbouring clusters, each named by its first value
    tail = np.arange(n)  # the last value of a cluster
    current, turn = 0, 0
    while turn < n - 1:
        left, right = before[current], after[current]
        near, far = np.inf, np.inf
        if left >= 0:
            far = _distance(members, means, first, last, left, current, linkage)
        if right < n:
            near = _distance(members, means, first, last, current, right, linkage)
        other = left if far <= near else right
        height = min(far, near)
        low, high = min(current, other), max(current, other)
        beyond = before[other] if other == left else after[other]
        rival = np.inf
        if 0 <= beyond < n:
            rival = _distance(members, means, first, last, min(beyond, other), max(beyond, other), linkage)
        if rival < height or (rival == height and other == left):
            current = other  # its own nearest neighbour is further on
            continue
        gap = tail[low]
        heights[gap], turns[gap] = height, turn
        turn += 1
        total = members[low] + members[high]
        means[low] = (members[low] * means[low] + members[high] * means[high]) / total
        members[low], last[low], tail[low] = total, last[high], tail[high]
        after[low] = after[high]
        if after[high] < n:
            before[after[high]] = low
        current = low
    return heights, turns


@njit(cache=True, inline="always")
def _distance(members: FloatArray, means: FloatArray, first: FloatArray, last: FloatArray, low: int, high: int, linkage: int) -> float:
    if linkage == 0:
        return float(members[low] * members[high] / (members[low] + members[high]) * (means[high] - means[low]) ** 2)
    if linkage == 1:
        return float(last[high] - first[low])
    if linkage == 2:
        return float(means[high] - means[low])
    return float(first[high] - last[low])
