"""K-means over vectors of neighbouring weights whose errors count by what they do to the results of the layer.

A vector v of a row meets the inputs x of its segment. Replaced by c, it moves the result by ``x (v - c)``, so the expected squared error is
``(v - c)^T G (v - c)`` with the segment's second moments ``G = E[x x^T]``, as long as the errors of different segments of a row add up.
Clustering takes them so; it is expectation-maximisation as in Stock et al. (arXiv:1907.05686, section 3.2):

- E: each vector goes to the centroid of least weighted error;
- M: each centroid becomes the minimiser ``(sum G)^-1 sum G v`` over its vectors (least squares).

Stock et al. use one G for all segments of a layer, the mean of these; then M is the plain mean.

Neighbouring pixels are alike, so errors of different segments do not add up: :func:`settle` then chooses every vector again with the
others of its row as they are (coordinate descent), so that they make up for one another.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from qsim.compress.vectors import BLOCK, Codebook, IndexArray, Vectors

Moments = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float64]
DAMPING = 0.01  # of the mean diagonal: an input that is always zero leaves its weight free


def cluster_weighted(points: Vectors, moments: Moments, entries: int, iterations: int, random: np.random.Generator) -> Codebook:
    """Return at most ``entries`` centroids of ``points`` [s, n, d] of s segments with ``moments`` [s, d, d]; indices are [s * n].

    The error weighted with the damped moments never rises but where a centroid loses its last point: that is put where the error is
    largest. In float64, since errors are small differences of large products where inputs are alike.
    """
    moments = _damped(moments)
    pulled = points @ moments
    flat, weighted = points.reshape(-1, points.shape[2]), pulled.reshape(-1, points.shape[2])
    centroids = random.permutation(np.unique(flat, axis=0))[:entries].astype(np.float64)
    for _ in range(iterations):
        indices = _assign(pulled, moments, centroids)
        moved = _minimisers(indices.reshape(points.shape[:2]), moments, weighted, centroids)
        empty = np.flatnonzero(np.bincount(indices, minlength=len(centroids)) == 0)
        if len(empty):
            rest = points - centroids[indices].reshape(points.shape)
            errors = np.einsum("snd,sde,sne->sn", rest, moments, rest, optimize=True).ravel()
            moved[empty] = flat[np.argsort(-errors, kind="stable")[: len(empty)]]
        if np.allclose(moved, centroids, rtol=1e-6, atol=1e-9):
            break
        centroids = moved
    return Codebook(centroids.astype(np.float32), _assign(pulled, moments, centroids))


def settle(weight: Rows, moments: Moments, vectors: Vectors, indices: IndexArray, sweeps: int) -> IndexArray:
    """Return ``indices`` [rows, segments] chosen anew, one segment after the other, for the least error of whole rows.

    ``weight`` [rows, columns] is what the rows should be, ``moments`` [columns, columns] are those of the inputs, ``vectors`` [k, d] the
    centroids. The error by the damped moments never rises; a part of the rows ends early once nothing in it changes.
    """
    moments, books = _damped(moments[None])[0], vectors.astype(np.float64)
    parts = (slice(start, start + BLOCK) for start in range(0, len(weight), BLOCK))
    return np.concatenate([_settle(weight[part], moments, books, indices[part].copy(), sweeps) for part in parts])


def _settle(weight: Rows, moments: Moments, books: Rows, chosen: IndexArray, sweeps: int) -> IndexArray:
    width = books.shape[1]
    rest = books[chosen].reshape(weight.shape) - weight
    pulled = rest @ moments
    for _ in range(sweeps):
        changes = 0
        for segment in range(chosen.shape[1]):
            part = slice(segment * width, (segment + 1) * width)
            block = moments[part, part]
            wanted = weight[:, part] @ block - (pulled[:, part] - rest[:, part] @ block)
            best = np.argmin(0.5 * np.einsum("kd,de,ke->k", books, block, books) - wanted @ books.T, axis=1)
            moved = books[best] - books[chosen[:, segment]]
            changes += int(np.count_nonzero(best != chosen[:, segment]))
            rest[:, part] += moved
            pulled += moved @ moments[part]
            chosen[:, segment] = best
        if not changes:
            break
    return chosen


def _damped(moments: Moments) -> Moments:
    """Return ``moments`` with a share of their mean diagonal added to every diagonal."""
    width = moments.shape[1]
    level = float(np.einsum("sdd->", moments)) / (len(moments) * width)
    damped: Moments = moments + max(DAMPING * level, 1e-12) * np.eye(width)
    return damped


def _assign(pulled: Rows, moments: Moments, centroids: npt.NDArray[np.float64]) -> IndexArray:
    """Return the centroid of least error for every vector [s * n]; ``v^T G v`` is alike for all of them and left out."""
    half = 0.5 * np.einsum("kd,sde,ke->sk", centroids, moments, centroids, optimize=True)
    found = np.empty(pulled.shape[:2], dtype=np.int64)
    for segments, rows in _parts(len(pulled), pulled.shape[1]):
        found[segments, rows] = np.argmin(half[segments, None] - pulled[segments, rows] @ centroids.T, axis=2)
    return found.ravel()


def _minimisers(indices: IndexArray, moments: Moments, weighted: Rows, before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the centroids [k, d] of least error; those without a vector stay as ``before``."""
    size, segments = len(before), len(moments)
    cells = (indices + size * np.arange(segments)[:, None]).ravel()
    counts = np.bincount(cells, minlength=size * segments).reshape(segments, size)
    left = np.einsum("sk,sde->kde", counts, moments, optimize=True)
    flat = indices.ravel()
    right = np.stack([np.bincount(flat, weights=column, minlength=size) for column in weighted.T], axis=1)
    used = counts.sum(axis=0) > 0
    moved = before.copy()
    moved[used] = np.linalg.solve(left[used], right[used, :, None])[:, :, 0]
    return moved


def _parts(segments: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Cut ``segments`` times ``rows`` vectors into parts of at most BLOCK of them."""
    step, height = max(1, BLOCK // max(1, rows)), min(BLOCK, max(1, rows))
    for start in range(0, segments, step):
        for top in range(0, rows, height):
            yield slice(start, start + step), slice(top, top + height)
