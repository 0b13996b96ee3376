"""Weight sharing: every kept weight of a layer becomes one of ``entries`` centroids (Deep Compression, section 3).

The loss depends on a centroid through all the weights it stands for, so its gradient is the sum of theirs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.clusters import Histogram, Start, assign, lloyd, start_centroids
from qsim.compress.masks import BoolArray
from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, FloatArray, best_fraction
from qsim.formats.layer import MAX_CODEBOOK, ScalarCoded


@dataclass(frozen=True, slots=True, kw_only=True)
class KMeans:
    """``entries`` centroids a layer, found by Lloyd's iteration from ``start``.

    With ``zero``, one of them is held at exactly zero; machines whose table keeps a slot for zero can then use all
    their codes without pruning.
    """

    entries: int
    start: Start = Start.LINEAR
    iterations: int = 100
    zero: bool = False

    def __post_init__(self) -> None:
        least = 2 if self.zero else 1
        if not least <= self.entries <= MAX_CODEBOOK:
            raise RecipeError(path="quantise.entries", rule=f"{least} to {MAX_CODEBOOK}", value=self.entries)
        if self.iterations < 0:
            raise RecipeError(path="quantise.iterations", rule="at least 0", value=self.iterations)

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Cluster the kept weights of each layer on its own."""
        layers = []
        for place, weight in enumerate(given.layout.weights(given.parameters)):
            kept = given.kept(place)
            centroids = self.cluster(weight.numpy()[kept], given.random)
            layers.append(CodebookWeights(weight.numpy(), kept, centroids, None if given.masks is None else kept))
            given.progress("quantise", place + 1, len(given.layout.names))
        biases = torch.cat(given.layout.biases(given.parameters)).clone()
        return Quantised(tuple(layers), biases)

    def cluster(self, weights: FloatArray, random: np.random.Generator) -> FloatArray:
        """Return the centroids of ``weights`` in ascending order; at most ``entries``."""
        histogram = Histogram.of(weights)
        free = self.entries - int(self.zero)
        centroids = lloyd(histogram, start_centroids(histogram, free, self.start, random), self.iterations)
        return np.sort(np.append(centroids, 0.0)) if self.zero else centroids


class CodebookWeights:
    """Weights [outputs, inputs] that share ``centroids``; zero where ``kept`` is false.

    ``mask`` is what the form stores: None where the layer is dense. A centroid of exactly zero stays zero.
    """

    def __init__(self, weights: FloatArray, kept: BoolArray, centroids: FloatArray, mask: BoolArray | None) -> None:
        self._shape, self._mask = weights.shape, mask
        self._places = torch.from_numpy(np.flatnonzero(kept))
        self._codes = torch.from_numpy(assign(weights[kept], centroids))
        self._centroids = torch.from_numpy(centroids.astype(np.float32))
        self._free = torch.from_numpy((centroids != 0).astype(np.float32))
        self._flat = torch.zeros(weights.size)

    @property
    def trainable(self) -> Tensor:
        """The centroids [k]."""
        return self._centroids

    def weights(self) -> Tensor:
        """Return the weights; the buffer is reused."""
        self._flat.index_copy_(0, self._places, self._centroids.index_select(0, self._codes))
        return self._flat.view(self._shape)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return the sum over each centroid's members of ``gradient`` [outputs, inputs]."""
        members = gradient.reshape(-1).index_select(0, self._places)
        return torch.zeros_like(self._centroids).scatter_add_(0, self._codes, members).mul_(self._free)

    def form(self, limits: FormatLimits) -> ScalarCoded:
        """Return codes and the integer codebook; centroids that no weight uses are left out."""
        values = self._centroids.double().numpy() * limits.gain
        used, codes = np.unique(self._codes.numpy(), return_inverse=True)
        fraction = min(best_fraction(values[used], limits.weight_bits), limits.largest_fraction)
        weight_format = FixedFormat(limits.weight_bits, fraction)
        placed = np.zeros(self._shape, dtype=np.uint16)
        placed.reshape(-1)[self._places.numpy()] = codes
        return ScalarCoded(codes=placed, codebook=weight_format.quantise(values[used]), weight_format=weight_format, mask=self._mask)
