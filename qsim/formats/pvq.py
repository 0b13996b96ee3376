"""Pyramid vector quantisation: points with integer coordinates whose absolute values sum to K.

P(N, K) is the set of integer vectors of N coordinates with ``sum |y_i| = K``: the surface of an N-dimensional pyramid. Sources:
Fischer, "A pyramid vector quantizer", IEEE Trans. Inf. Theory 32, 1986; Liguori, arXiv:1704.02681 (a product with such a point
needs only additions).
"""

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.formats.fixed import FloatArray, IntArray

MAX_PULSES = 1 << 24  # far below where the rounding of a scaled row could add up to a whole pulse


def count_points(dimensions: int, pulses: int) -> int:
    """Return the number of points of P(N, K), exactly.

    Fischer's recurrence ``V(N, K) = V(N-1, K) + V(N, K-1) + V(N-1, K-1)`` with ``V(N, 0) = 1`` and ``V(0, K) = 0`` for K > 0.
    """
    _check(dimensions, pulses)
    row = [1] + [0] * pulses
    for _ in range(dimensions):
        following = [1]
        for k in range(1, pulses + 1):
            following.append(row[k] + following[k - 1] + row[k - 1])
        row = following
    return row[pulses]


def index_bits(dimensions: int, pulses: int) -> int:
    """Return the bits that number all points of P(N, K)."""
    return max(0, count_points(dimensions, pulses) - 1).bit_length()


def count_table(dimensions: int, pulses: int) -> tuple[tuple[int, ...], ...]:
    """Return V(n, k) for n = 0 to ``dimensions`` - 1 and k = 0 to ``pulses``: what :func:`point_of` looks up, and an RTL decoder holds."""
    _check(dimensions, pulses)
    rows = [(1,) + (0,) * pulses]
    for _ in range(dimensions - 1):
        row = [1]
        for k in range(1, pulses + 1):
            row.append(rows[-1][k] + row[k - 1] + rows[-1][k - 1])
        rows.append(tuple(row))
    return tuple(rows)


def index_of(point: npt.ArrayLike) -> int:
    """Return the number of an integer ``point`` [N] among those of P(N, K), K the sum of its absolute values.

    The points are in order of their first coordinate, taken as 0, 1, -1, 2, -2, ...; those with the same first one in order of the
    second, and so on. So the number is the sum, over the coordinates, of the V(n, k) of all values that come before the coordinate's, with
    n coordinates and k pulses left behind it (Fischer 1986, section IV, with the signs interleaved).
    """
    coordinates = [int(value) for value in np.asarray(point, dtype=np.int64)]
    left = sum(map(abs, coordinates))
    _check(len(coordinates), left)
    table = count_table(len(coordinates), left)
    index = 0
    for place, value in enumerate(coordinates):
        counts = table[len(coordinates) - 1 - place]
        if value:
            index += counts[left] + 2 * sum(counts[left - size] for size in range(1, abs(value)))
            index += counts[left - abs(value)] * (value < 0)
        left -= abs(value)
    return index


def point_of(index: int, dimensions: int, pulses: int) -> IntArray:
    """Return point ``index`` [N] of P(N, K), the exact inverse of :func:`index_of`.

    One comparison a step: a step either settles a coordinate or raises its magnitude by one, so there are exactly N + K steps, whatever the
    index. Raises :class:`FieldError` for an index outside 0 to V(N, K) - 1.
    """
    total = count_points(dimensions, pulses)
    if not 0 <= index < total:
        raise FieldError(path="pvq.index", rule=f"0 to {total - 1}", value=index)
    table = count_table(dimensions, pulses)
    point: IntArray = np.zeros(dimensions, dtype=np.int64)
    place, size, left = 0, 0, pulses  # ``left``: pulses that are left behind a coordinate of magnitude ``size``
    while place < dimensions:
        count = table[dimensions - 1 - place][left]
        signs = 1 if size == 0 else 2
        if index >= count * signs:
            index -= count * signs
            size, left = size + 1, left - 1
            continue
        negative = index >= count
        index -= count if negative else 0
        point[place] = -size if negative else size
        place, size = place + 1, 0
    return point


def nearest_points(values: npt.ArrayLike, pulses: int) -> IntArray:
    """Return for each row of real ``values`` [rows, N] the nearest point of P(N, K) to the row scaled onto the pyramid.

    The row is scaled so that its absolute values sum to K; the result [rows, N] has the least Euclidean distance to that: every
    coordinate is rounded down and the pulses still missing go to the largest remainders (lowest column on ties), which is exact because
    the squared error is convex in each coordinate. A row of zeros has no direction and yields zeros.
    """
    real: FloatArray = np.asarray(values, dtype=np.float64)
    if real.ndim != 2 or not np.all(np.isfinite(real)):
        raise FieldError(path="pvq.values", rule="finite numbers in rows and columns", value=f"shape {list(real.shape)}")
    _check(real.shape[1], pulses)
    peak = np.max(np.abs(real), axis=1, keepdims=True, initial=0.0)
    shares = np.abs(real) / np.where(peak > 0, peak, 1.0)  # first, so that tiny and huge rows neither vanish nor overflow
    totals = shares.sum(axis=1, keepdims=True)
    targets = shares * (pulses / np.where(totals > 0, totals, 1.0))
    points = np.floor(targets).astype(np.int64)
    missing = np.where(totals[:, 0] > 0, pulses - points.sum(axis=1), 0)
    rank = np.argsort(np.argsort(points - targets, axis=1, kind="stable"), axis=1, kind="stable")
    points += rank < missing[:, None]
    return np.where(real < 0, -points, points)


def best_scales(values: npt.ArrayLike, points: IntArray) -> FloatArray:
    """Return the scale [rows] of each point that brings it nearest to its row of ``values`` [rows, N]; 0 for a zero point."""
    real = np.asarray(values, dtype=np.float64)
    norms = np.sum(points.astype(np.float64) ** 2, axis=1)
    scales: FloatArray = np.sum(real * points, axis=1) / np.where(norms > 0, norms, 1.0)
    return scales


def _check(dimensions: int, pulses: int) -> None:
    if dimensions < 1:
        raise FieldError(path="pvq.dimensions", rule="at least 1", value=dimensions)
    if not 0 <= pulses <= MAX_PULSES:
        raise FieldError(path="pvq.pulses", rule=f"0 to {MAX_PULSES}", value=pulses)
