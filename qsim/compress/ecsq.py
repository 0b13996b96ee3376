"""Entropy-constrained scalar quantisation: least ``D + price * H``, error and bits after entropy coding traded at a price.

Choi et al., arXiv:1612.01543, section 4.2 and appendix A.2, after Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989: a weight w goes to
the centroid c_j of least ``(w - c_j)^2 - price * log2 p_j``, with p_j the share of the weights that c_j has; centroids move to the mean of
their weights; repeat. Each centroid's cost is a parabola over w and all have the same opening, so the winners are neighbours on the lower
envelope and clusters stay intervals: a step costs O(k log bins).
"""

from dataclasses import dataclass

import numpy as np

from qsim.compress.clusters import FloatArray, interval_means
from qsim.compress.histogram import Histogram

ITERATIONS = 60
BISECTIONS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatePoint:
    """A quantiser at one ``price`` (squared error a bit): ``centroids`` [k], the ``edges`` [k - 1] between them, and what they cost:
    ``bits`` of entropy and ``error`` squared, both a weight.
    """

    price: float
    centroids: FloatArray
    edges: FloatArray
    bits: float
    error: float


def constrain(histogram: Histogram, entries: int, price: float) -> RatePoint:
    """Return the quantiser to which the iteration leads from ``entries`` equal steps over the range."""
    origin, sums = histogram.running_sums()
    edges = np.linspace(histogram.values[0], histogram.values[-1], entries + 1)[1:-1]
    point = _measured(histogram, sums, origin, edges, price)
    for _ in range(ITERATIONS):
        following = _measured(histogram, sums, origin, _envelope(point, histogram, sums), price)
        settled = len(following.centroids) == len(point.centroids) and np.allclose(following.edges, point.edges, rtol=1e-9, atol=1e-12)
        point = following
        if settled:
            break
    return point


def sweep(histogram: Histogram, entries: int, prices: FloatArray) -> list[RatePoint]:
    """Return the quantiser at every price."""
    return [constrain(histogram, entries, float(price)) for price in prices]


def at_rate(histogram: Histogram, entries: int, bits: float) -> RatePoint:
    """Return the quantiser of least price whose entropy is at most ``bits`` a weight, by halving the price's logarithm."""
    free = constrain(histogram, entries, 0.0)
    if free.bits <= bits:
        return free
    variance = float(np.average((histogram.values - np.average(histogram.values, weights=histogram.counts)) ** 2, weights=histogram.counts))
    low, high = np.log(variance * 1e-9), np.log(variance * 64)  # at the upper end one centroid is left
    best = constrain(histogram, entries, float(np.exp(high)))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        point = constrain(histogram, entries, float(np.exp(middle)))
        if point.bits <= bits:
            best, high = point, middle
        else:
            low = middle
    return best


def _measured(histogram: Histogram, sums: FloatArray, origin: float, edges: FloatArray, price: float) -> RatePoint:
    bounds = np.searchsorted(histogram.values, edges, side="right")
    used, means = interval_means(sums, bounds, origin)
    inner = edges[used[:-1]][: int(used.sum()) - 1]
    cuts = np.concatenate([[0], np.searchsorted(histogram.values, inner, side="right"), [len(histogram.values)]])
    weight, linear, square = np.diff(sums[:, cuts], axis=1)
    share = weight / sums[0, -1]
    error = float(np.sum(square - linear**2 / weight)) / float(sums[0, -1])
    return RatePoint(price=price, centroids=means[used], edges=inner, bits=float(-np.sum(share * np.log2(share))), error=error)


def _envelope(point: RatePoint, histogram: Histogram, sums: FloatArray) -> FloatArray:
    """Return the edges between the centroids whose parabolas form the lower envelope."""
    cuts = np.concatenate([[0], np.searchsorted(histogram.values, point.edges, side="right"), [len(histogram.values)]])
    share = np.diff(sums[0, cuts]) / sums[0, -1]
    heights = point.centroids**2 - point.price * np.log2(share)
    chain: list[int] = []
    edges: list[float] = []
    for place, centre in enumerate(point.centroids):
        while chain:
            before = chain[-1]
            edge = float(heights[place] - heights[before]) / float(2 * (centre - point.centroids[before]))
            if not edges or edge > edges[-1]:
                edges.append(edge)
                break
            chain.pop()
            edges.pop()
        chain.append(place)
    return np.array(edges, dtype=np.float64)
