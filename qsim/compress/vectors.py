"""K-means over vectors of neighbouring weights, and the shared weights that its codebooks stand for.

Rows are cut into vectors of ``d`` weights. Distances are one matrix product a block: ``|x - c|^2 = |x|^2 - 2 x c + |c|^2``, of which the
first term does not matter for the nearest.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qsim.compress.shared import FormatLimits
from qsim.formats.fixed import FixedFormat, best_fraction
from qsim.formats.layer import VectorCoded

Vectors = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
BLOCK = 1 << 14  # vectors whose distances are held at a time
SAMPLE = 256  # vectors a centroid that are enough to find it; the others are only assigned


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """``vectors`` [k, d] and the index of the nearest of them for every vector that was clustered, ``indices`` [n]."""

    vectors: Vectors
    indices: IndexArray


def nearest(points: Vectors, centroids: Vectors) -> IndexArray:
    """Return the index of the nearest of ``centroids`` [k, d] for each of ``points`` [n, d]; the lowest on ties."""
    half = 0.5 * np.sum(centroids**2, axis=1)
    blocks = range(0, len(points), BLOCK)
    return np.concatenate([np.argmin(half - points[start : start + BLOCK] @ centroids.T, axis=1) for start in blocks])


def cluster(points: Vectors, entries: int, iterations: int, random: np.random.Generator) -> Codebook:
    """Return at most ``entries`` centroids of ``points`` [n, d] after Lloyd's iteration from points drawn at random.

    A centroid that loses its last point is put where the error is largest.
    """
    few = points if len(points) <= SAMPLE * entries else random.choice(points, SAMPLE * entries, replace=False)
    centroids = random.permutation(np.unique(few, axis=0))[:entries]
    for _ in range(iterations):
        indices = nearest(few, centroids)
        counts = np.bincount(indices, minlength=len(centroids))
        sums = np.stack([np.bincount(indices, weights=column, minlength=len(centroids)) for column in few.T], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centroids).astype(np.float32)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            errors = np.sum((few - centroids[indices]) ** 2, axis=1)
            moved[empty] = few[np.argsort(-errors, kind="stable")[: len(empty)]]
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return Codebook(centroids, nearest(points, centroids))


class VectorWeights:
    """Weights [rows, cols] as sums over stages of codebook vectors [stages, segments * k, d]; all vectors are trainable.

    ``indices`` [stages, rows * cols / d] are below k; the vectors of a row's segment s use the k entries from s * k on.
    """

    def __init__(self, codebooks: Vectors, indices: IndexArray, shape: tuple[int, int], segments: int) -> None:
        self._shape, self._segments, self._indices = shape, segments, indices
        self._codebooks = torch.from_numpy(codebooks.copy())
        per_row = shape[1] // codebooks.shape[2]
        offsets = (np.arange(indices.shape[1]) % per_row) // (per_row // segments) * (codebooks.shape[1] // segments)
        self._places = torch.from_numpy(indices + offsets)

    @property
    def trainable(self) -> Tensor:
        """All codebook vectors, flat."""
        return self._codebooks.view(-1)

    def weights(self) -> Tensor:
        """Return the sums of the vectors."""
        parts = [book.index_select(0, places) for book, places in zip(self._codebooks, self._places, strict=True)]
        return torch.stack(parts).sum(0).view(self._shape)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return for every vector the sum of ``gradient`` [rows, cols] over its places; alike in every stage."""
        members = gradient.reshape(-1, self._codebooks.shape[2])
        pulled = torch.zeros_like(self._codebooks)
        for stage, places in zip(pulled, self._places, strict=True):
            stage.index_add_(0, places, members)
        return pulled.view(-1)

    def form(self, limits: FormatLimits) -> VectorCoded:
        """Return indices and integer codebooks in a format that holds every vector and every sum of them."""
        values = self._codebooks.double().numpy() * limits.gain
        sums = self.weights().double().numpy() * limits.gain
        largest = 1.001 * max(float(np.abs(values).max()), float(np.abs(sums).max()))  # sums of rounded vectors are a little larger
        fraction = min(best_fraction(np.array([largest]), limits.weight_bits), limits.largest_fraction)
        weight_format = FixedFormat(limits.weight_bits, fraction)
        return VectorCoded(
            indices=self._indices.astype(np.uint16),
            codebooks=weight_format.quantise(values),
            rows=self._shape[0],
            cols=self._shape[1],
            weight_format=weight_format,
            segments=self._segments,
        )
