"""No sharing: every weight rounded to the fixed-point format of its layer. The baseline others are measured against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput, SharedWeights
from qsim.compress.through import Share, ThroughTraining
from qsim.formats.fixed import FixedFormat, best_fraction
from qsim.formats.layer import Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPointWeights:
    """Dense weights of ``fixed_point.weight_bits``; pruned ones are stored as zeros."""

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Take the weights as they are; rounding happens when the formats are chosen."""
        layers = tuple(DenseWeights(weight.clone()) for weight in given.layout.weights(given.parameters))
        given.progress("quantise", len(layers), len(layers))
        return Quantised(layers, torch.cat(given.layout.biases(given.parameters)).clone())

    @property
    def training(self) -> ThroughTraining:
        """None: these weights are the trained ones."""
        return ThroughTraining()

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the weights of a layer that are kept, as they are."""

        def share(place: int, weight: Tensor) -> SharedWeights:
            return DenseWeights(weight * torch.from_numpy(given.kept(place)))

        return share


class DenseWeights:
    """Weights [outputs, inputs] that are not shared; fine-tuning adapts the biases only."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights

    @property
    def trainable(self) -> Tensor:
        """Nothing: an empty vector."""
        return self._weights.new_empty(0)

    def weights(self) -> Tensor:
        """Return the weights."""
        return self._weights

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return an empty vector."""
        return gradient.new_empty(0)

    def form(self, limits: FormatLimits) -> Dense:
        """Return the rounded weights."""
        values = self._weights.double().numpy() * limits.gain
        weight_format = FixedFormat(limits.weight_bits, min(best_fraction(values, limits.weight_bits), limits.largest_fraction))
        return Dense(values=weight_format.quantise(values), weight_format=weight_format)
