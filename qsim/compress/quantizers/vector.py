"""Vector quantisation of neighbouring weights: one codebook, one for each segment of the columns, or several that are added up.

======= ====================================================================================================================
method  codebooks of a layer
======= ====================================================================================================================
vq      one of ``entries`` vectors of ``length`` weights, for all vectors of all rows (k-means VQ; Stock et al., arXiv:1907.05686)
pq      one of ``entries`` vectors for each of the row's segments of ``length`` weights (product quantisation; Gong et al.,
        arXiv:1412.6115, section 3.3)
rvq     ``stages`` of them, each for what those before leave over (residual quantisation; Gong et al., section 3.3)
======= ====================================================================================================================

Where ``length`` does not divide a layer's inputs, the largest divisor below it is taken. The form has no mask, so nothing must be pruned.
Machines run it on dense PEs, from the 16-bit weights that the vectors stand for.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qsim.compress.quantizers.scalar import check_entries
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.compress.through import Share, ThroughTraining, quantise_layers
from qsim.compress.vectors import VectorWeights, cluster
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorKMeans(ThroughTraining):
    """One codebook of ``entries`` vectors of ``length`` neighbouring weights."""

    entries: int
    length: int
    iterations: int = 25

    def __post_init__(self) -> None:
        ThroughTraining.__post_init__(self)
        check_entries(self.entries)
        for name in ("length", "iterations"):
            if getattr(self, name) < 1:
                raise RecipeError(path=f"quantise.{name}", rule="at least 1", value=getattr(self, name))

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Cluster each layer's vectors."""
        return quantise_layers(self, given)

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the clustering of one layer, of which nothing may be pruned."""

        def share(place: int, weight: Tensor) -> VectorWeights:
            self.check_kept(given, place)
            return self.share(weight.numpy(), given.random)

        return share

    @staticmethod
    def check_kept(given: QuantizerInput, place: int) -> None:
        """Raise :class:`RecipeError` where something of the layer ``place`` is pruned."""
        if not given.kept(place).all():
            rule = "none where vectors are quantised, whose form has no mask"
            raise RecipeError(path="prune.method", rule=rule, value="pruned layers")

    def share(self, weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]], random: np.random.Generator) -> VectorWeights:
        """Return the shared weights of one layer [outputs, inputs]."""
        rows, cols = weight.shape
        found = cluster(weight.reshape(-1, self.width(cols)), self.entries, self.iterations, random)
        return VectorWeights(found.vectors[None], found.indices[None], (rows, cols), 1)

    def width(self, cols: int) -> int:
        """Return the largest divisor of ``cols`` up to ``length``."""
        return max(width for width in range(1, min(self.length, cols) + 1) if cols % width == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductQuantisation(VectorKMeans):
    """A codebook of ``entries`` vectors of its own for each segment of ``length`` columns."""

    def share(self, weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]], random: np.random.Generator) -> VectorWeights:
        """Cluster each segment's vectors, one a row."""
        rows, cols = weight.shape
        width = self.width(cols)
        segments = cols // width
        parts = [cluster(part, self.entries, self.iterations, random) for part in weight.reshape(rows, segments, width).transpose(1, 0, 2)]
        size = max(len(part.vectors) for part in parts)
        codebooks = np.concatenate([np.pad(part.vectors, ((0, size - len(part.vectors)), (0, 0))) for part in parts])
        indices = np.stack([part.indices for part in parts], axis=1).reshape(-1)
        return VectorWeights(codebooks[None], indices[None], (rows, cols), segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualQuantisation(VectorKMeans):
    """``stages`` codebooks; the weights are the sums of one vector of each."""

    stages: int = 2

    def __post_init__(self) -> None:
        VectorKMeans.__post_init__(self)
        if not 1 <= self.stages <= 16:
            raise RecipeError(path="quantise.stages", rule="1 to 16", value=self.stages)

    def share(self, weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]], random: np.random.Generator) -> VectorWeights:
        """Cluster what is left, stage after stage."""
        rows, cols = weight.shape
        rest = weight.reshape(-1, self.width(cols)).copy()
        parts = []
        for _ in range(self.stages):
            parts.append(cluster(rest, self.entries, self.iterations, random))
            rest -= parts[-1].vectors[parts[-1].indices]
        size = max(len(part.vectors) for part in parts)
        codebooks = np.stack([np.pad(part.vectors, ((0, size - len(part.vectors)), (0, 0))) for part in parts])
        return VectorWeights(codebooks, np.stack([part.indices for part in parts]), (rows, cols), 1)
