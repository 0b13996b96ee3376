"""Weight sharing: every kept weight of a layer becomes one of a few centroids. What all such quantisers have in common.

The loss depends on a centroid through all the weights it stands for, so its gradient is the sum of theirs (Deep Compression, section 3).
A quantiser only has to say which centroids, and which of them stands for each weight.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.clusters import FloatArray, IndexArray, assign_between
from qsim.compress.histogram import AnyFloatArray
from qsim.compress.masks import BoolArray
from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput
from qsim.compress.through import Share, ThroughTraining, quantise_layers
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, best_fraction
from qsim.formats.layer import MAX_CODEBOOK, ScalarCoded


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """``centroids`` [k] in ascending order and the index of its own for every weight, ``codes`` [n]."""

    centroids: FloatArray
    codes: IndexArray

    @classmethod
    def between(cls, weights: AnyFloatArray, centroids: FloatArray, edges: FloatArray) -> "Shared":
        """Give each weight the centroid of its interval; ``edges`` [k - 1] in ascending order."""
        return cls(centroids, assign_between(weights, edges))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarQuantizer(ThroughTraining, ABC):
    """A quantiser that shares the weights of each layer on its own, after training through itself if it has ``epochs``."""

    @abstractmethod
    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Return the centroids of ``weights`` [n]; ``importance`` [n] is how much each counts, None for all alike."""

    def importance(self, given: QuantizerInput, parameters: Tensor) -> list[AnyFloatArray] | None:
        """Return how much each weight of each layer [outputs, inputs] counts at ``parameters``; None for all alike."""
        return None

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Share the kept weights of each layer."""
        return quantise_layers(self, given)

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the sharing of one layer; all weights count alike until ``parameters`` are final."""
        counts = None if parameters is None else self.importance(given, parameters)

        def share(place: int, weight: Tensor) -> CodebookWeights:
            kept = given.kept(place)
            found = self.share(weight.numpy()[kept], None if counts is None else counts[place][kept], given.random)
            return CodebookWeights(found.codes, kept, found.centroids, None if given.masks is None else kept)

        return share


def check_entries(entries: int, least: int = 1, most: int = MAX_CODEBOOK) -> None:
    """Raise :class:`RecipeError` unless a layer may have so many centroids."""
    if not least <= entries <= most:
        raise RecipeError(path="quantise.entries", rule=f"{least} to {most}", value=entries)


class CodebookWeights:
    """Weights [outputs, inputs] that share ``centroids``; zero where ``kept`` is false.

    ``codes`` [kept weights] are indices into ``centroids``. ``mask`` is what the form stores: None where the layer is dense. A centroid of
    exactly zero stays zero.
    """

    def __init__(self, codes: IndexArray, kept: BoolArray, centroids: FloatArray, mask: BoolArray | None) -> None:
        self._shape, self._mask = kept.shape, mask
        self._places = torch.from_numpy(np.flatnonzero(kept))
        self._codes = torch.from_numpy(codes)
        self._centroids = torch.from_numpy(centroids.astype(np.float32))
        self._free = torch.from_numpy((centroids != 0).astype(np.float32))
        self._flat = torch.zeros(kept.size)

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
