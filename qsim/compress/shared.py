"""What a quantizer returns: a few trainable numbers that stand for all the weights of a layer."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from qsim.compress.journal import NO_JOURNAL, Journal
from qsim.compress.masks import BoolArray
from qsim.compress.network import Layout, Samples
from qsim.errors import RecipeError
from qsim.formats.layer import Form
from qsim.progress import Progress

CALIBRATION_SAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatLimits:
    """How fine a layer's integers may be: their widths, and the largest fraction at which the accumulator still fits.

    ``gain`` is the positive factor by which folded normalisation multiplies the weights of the first layer.
    """

    weight_bits: int
    scale_bits: int
    largest_fraction: int
    gain: float


class SharedWeights(Protocol):
    """A layer's weights as a function of few numbers."""

    @property
    def trainable(self) -> Tensor:
        """The numbers, float32 [t]; fine-tuning changes them in place. Empty where there is nothing to tune."""

    def weights(self) -> Tensor:
        """Return the weights they stand for, float32 [outputs, inputs]."""

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return the gradient [t] that belongs to ``gradient`` [outputs, inputs] of the weights."""

    def form(self, limits: FormatLimits) -> Form:
        """Return the integers the hardware stores for the weights times ``limits.gain``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizerInput:
    """A pruned float network and all a quantizer may use: flat ``parameters``, ``masks`` by layer, training data, randomness.

    ``validation`` is what choices are made on; where it is None, they are made on the training data. ``calibration`` are inputs without
    labels; where it is None, the first training samples serve. ``journal`` keeps what training
    through the quantizer gave.

    Raises :class:`RecipeError` for parameters that are not finite and for a layer without a weight.
    """

    layout: Layout
    parameters: Tensor
    masks: tuple[BoolArray, ...] | None
    samples: Samples
    generator: torch.Generator
    random: np.random.Generator
    progress: Progress
    validation: Samples | None = None
    calibration: Samples | None = None
    journal: Journal = NO_JOURNAL

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.parameters).all()):
            raise RecipeError(path="weights", rule="finite numbers", value="NaN or infinity")
        for place, name in enumerate(self.layout.names):
            if not self.kept(place).any():
                raise RecipeError(path=f"{name}.weights", rule="at least one that is not pruned", value="none")

    @property
    def unlabelled(self) -> Samples:
        """Inputs to calibrate with; their labels mean nothing."""
        return self.samples.first(CALIBRATION_SAMPLES) if self.calibration is None else self.calibration

    def kept(self, layer: int) -> BoolArray:
        """Return the mask [outputs, inputs] of a layer; all true where nothing was pruned."""
        return np.ones(self.layout.shapes[layer], dtype=np.bool_) if self.masks is None else self.masks[layer]


@dataclass(frozen=True, slots=True)
class Quantised:
    """The shared weights of every layer, and the biases as one float32 vector."""

    layers: tuple[SharedWeights, ...]
    biases: Tensor
