"""Uniform affine quantisation: ``w = scale * (q - zero)`` with ``bits`` bits of q, integer arithmetic only.

The scale becomes dyadic, ``b / 2^c`` with integer b (Yao et al., HAWQ-V3, arXiv:2011.10680). With one scale a layer, the integers
``b (q - zero)`` are the layer's codebook, so codebook and sparse machines run it, any zero point included. With one scale a row, its q are
small integers that are scaled at the drain, which is the pyramid form, so pvq machines run it; it is symmetric, since a zero point of a row
would need the sum of the activations. The step is trained by fine-tuning (Esser et al., LSQ, ICLR 2020, but for its gradient scale), the
weights by ``epochs`` of training through the quantiser.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from qsim.compress.histogram import AnyFloatArray, Histogram
from qsim.compress.masks import BoolArray
from qsim.compress.quantizers.pvq import PyramidWeights
from qsim.compress.ranges import Range, range_of
from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput, SharedWeights
from qsim.compress.through import Share, ThroughTraining, quantise_layers
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, IntArray, best_fraction
from qsim.formats.layer import ScalarCoded


class Granularity(StrEnum):
    """How many weights share a scale."""

    TENSOR = "tensor"
    ROW = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine(ThroughTraining):
    """``bits`` a weight, in the range that a rule finds (:mod:`qsim.compress.ranges`); symmetric ranges have their zero in the middle."""

    bits: int
    symmetric: bool = True
    granularity: Granularity = Granularity.TENSOR
    range: Range = Range.MSE

    def __post_init__(self) -> None:
        ThroughTraining.__post_init__(self)
        if not 2 <= self.bits <= 8:
            raise RecipeError(path="quantise.bits", rule="2 to 8", value=self.bits)
        if self.granularity is Granularity.ROW and not self.symmetric:
            raise RecipeError(path="quantise.symmetric", rule="true with one scale a row", value=False)

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Quantise each layer."""
        return quantise_layers(self, given)

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the rounding of one layer to its steps."""

        def share(place: int, weight: Tensor) -> SharedWeights:
            kept = given.kept(place)
            if self.granularity is Granularity.ROW:
                return self._by_row(weight.numpy(), kept)
            scale, zero, steps = self.steps(weight.numpy()[kept])
            return AffineWeights(steps, zero, scale, kept, None if given.masks is None else kept)

        return share

    def steps(self, weights: AnyFloatArray) -> tuple[float, int, IntArray]:
        """Return scale, zero point and the integers q, 0 to ``2^bits - 1``, of ``weights`` [n]; q is 1 or more where symmetric."""
        low, high = range_of(self.range, Histogram.of(weights), self.bits)
        top = (1 << self.bits) - 1
        if self.symmetric:
            zero, scale = 1 << (self.bits - 1), max(-low, high) / ((1 << (self.bits - 1)) - 1)
        else:
            scale = (high - low) / top
            zero = int(np.rint(-low / scale)) if scale else 0
        near = np.rint(weights / scale).astype(np.int64) + zero if scale else np.full(weights.shape, zero, dtype=np.int64)
        return scale, zero, np.clip(near, int(self.symmetric), top)

    def _by_row(self, weight: AnyFloatArray, kept: BoolArray) -> PyramidWeights:
        points, scales = np.zeros(weight.shape, dtype=np.int64), np.zeros(len(weight))
        for row, mask in enumerate(kept):
            if mask.any():
                scales[row], zero, steps = self.steps(weight[row, mask])
                points[row, mask] = steps - zero
        return PyramidWeights(points, scales)


class AffineWeights:
    """Integers ``steps`` [kept weights] and one trainable scale; zero where ``kept`` is false."""

    def __init__(self, steps: IntArray, zero: int, scale: float, kept: BoolArray, mask: BoolArray | None) -> None:
        self._mask = mask
        self._levels = np.zeros(kept.shape, dtype=np.int64)
        self._levels[kept] = steps - zero
        self._values = torch.from_numpy(self._levels.astype(np.float32))
        self._scale = torch.tensor([scale], dtype=torch.float32)

    @property
    def trainable(self) -> Tensor:
        """The scale [1]."""
        return self._scale

    def weights(self) -> Tensor:
        """Return the scaled integers."""
        return self._values * self._scale

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return the gradient along the integers."""
        return torch.sum(gradient * self._values).reshape(1)

    def form(self, limits: FormatLimits) -> ScalarCoded:
        """Return the levels in use as a codebook of multiples of the dyadic scale; of weights that are kept, zero is one of them."""
        kept = np.ones(self._levels.shape, dtype=np.bool_) if self._mask is None else self._mask
        used, codes = np.unique(self._levels[kept], return_inverse=True)
        values = used * float(self._scale) * limits.gain
        fraction = min(best_fraction(values, limits.weight_bits), limits.largest_fraction)
        multiple = int(np.floor(float(self._scale) * limits.gain * 2.0**fraction + 0.5))
        weight_format = FixedFormat(limits.weight_bits, fraction)
        placed = np.zeros(self._levels.shape, dtype=np.uint16)
        placed[kept] = codes
        return ScalarCoded(codes=placed, codebook=weight_format.fit(multiple * used), weight_format=weight_format, mask=self._mask)
