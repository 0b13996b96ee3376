"""Hierarchical clustering: nearest neighbours on the line merge until few clusters are left (Hu and Rao, slides, 2019)."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.dendrogram import Dendrogram, Linkage
from qsim.compress.histogram import AnyFloatArray
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared, check_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchical(ScalarQuantizer):
    """``entries`` clusters of each layer by ``linkage``; a weight becomes the mean of its cluster."""

    entries: int
    linkage: Linkage = Linkage.WARD

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        check_entries(self.entries)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Cut the dendrogram."""
        tree = Dendrogram.of(weights, self.linkage)
        edges = tree.edges(self.entries)
        return Shared.between(weights, tree.means(edges), edges)
