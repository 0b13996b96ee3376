"""No sharing: every weight rounded to the fixed-point format of its layer. The baseline others are measured against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput
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
