"""Hierarchical clustering of weights on a line: the whole dendrogram in one run, every number of clusters read from it.

Hu and Rao (slides, 2019): weights are sorted, pairs that are each other's nearest neighbour are merged until the wanted number of clusters
is left. On a line clusters are intervals, so a merge closes one gap between neighbouring weights; the dendrogram is a height for every gap,
and k clusters are what remains when all but the k - 1 highest gaps are closed. After the sort, merging takes O(n).

======== ==========================================================================================
linkage  distance of neighbouring clusters A below B
======== ==========================================================================================
ward     ``|A| |B| / (|A| + |B|) (mean B - mean A)^2``: the rise of the squared error
complete largest of B less smallest of A
average  mean B less mean A, which is the mean distance of all pairs, since all of B are above all of A
single   smallest of B less largest of A
======== ==========================================================================================
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from qsim.compress.clusters import FloatArray, IndexArray
from qsim.compress.histogram import flat_weights


class Linkage(StrEnum):
    """How far apart two clusters are."""

    WARD = "ward"
    COMPLETE = "complete"
    AVERAGE = "average"
    SINGLE = "single"


@dataclass(frozen=True, slots=True, eq=False)
class Dendrogram:
    """Distinct ``values`` [n] in ascending order, ``counts`` [n] of each, and for each gap between neighbours its ``heights`` [n - 1] and
    ``turns`` [n - 1], the order of merging.
    """

    values: FloatArray
    counts: FloatArray
    heights: FloatArray
    turns: IndexArray

    @classmethod
    def of(cls, weights: npt.ArrayLike, linkage: Linkage) -> "Dendrogram":
        """Merge ``weights`` (any shape) until one cluster is left; equal weights are one from the start."""
        from qsim.compress.kernels import merge_neighbours

        distinct, counts = np.unique(flat_weights(weights), return_counts=True)
        values, shares = distinct.astype(np.float64), counts.astype(np.float64)
        return cls(values, shares, *merge_neighbours(values, shares, tuple(Linkage).index(linkage)))

    def edges(self, clusters: int) -> FloatArray:
        """Return the borders [clusters - 1] of that many clusters, halfway between neighbours; fewer where there are fewer values."""
        order = np.lexsort((self.turns, self.heights))
        gaps = np.sort(order[max(0, len(order) - clusters + 1) :])
        halfway: FloatArray = (self.values[gaps] + self.values[gaps + 1]) / 2
        return halfway

    def means(self, edges: FloatArray) -> FloatArray:
        """Return the means of the clusters between ``edges``."""
        cluster = np.searchsorted(edges, self.values)
        weight = np.bincount(cluster, weights=self.counts)
        found: FloatArray = np.bincount(cluster, weights=self.counts * self.values) / weight
        return found
