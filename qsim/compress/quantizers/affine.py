"""Uniform affine quantisation: ``w = scale * (q - zero)`` with ``bits`` bits of q, integer arithmetic only.

The scale becomes dyadic, ``b / 2^c`` with integer b (Yao et al., HAWQ-V3, arXiv:2011.10680). With one scale a layer, the integers
``b (q - zero)`` are the layer's codebook, so codebook and sparse machines run it, any zero point included. With one scale a row, its q are
small integers that are scaled at the drain, which is the pyramid form, so pvq machines run it; it is symmetric, since a zero point of a row
would need the sum of the activations. With one scale for every ``group`` of neighbouring weights of a row, scales are the layer's largest
over 1, 2, 4, ... 2^OCTAVES, so that the weights are integers of one dyadic scale and again a codebook: a bit more than ``bits`` wide for
every halving that occurs, and entropy-coded. Fine-tuning trains the steps, ``epochs`` of training through the quantiser the weights, or
both with ``learned_steps``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import torch
from torch import Tensor

from qsim.compress.adaround import AdaptiveRounding
from qsim.compress.clusters import FloatArray
from qsim.compress.grid import Grid
from qsim.compress.histogram import AnyFloatArray, Histogram
from qsim.compress.layer_inputs import second_moments
from qsim.compress.learned_steps import train_with_steps
from qsim.compress.masks import BoolArray
from qsim.compress.quantizers.pvq import PyramidWeights
from qsim.compress.ranges import Range, range_of
from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput, SharedWeights
from qsim.compress.through import Share, ThroughTraining, biases_of, train_through
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, IntArray, best_fraction
from qsim.formats.layer import ScalarCoded

MAX_BITS = 8
LEAST_MULTIPLE = 64  # for a scale within 1 % of what it should be
OCTAVES = 3  # by which scales of groups differ at most


class Granularity(StrEnum):
    """How many weights share a scale."""

    TENSOR = "tensor"
    ROW = "row"
    GROUP = "group"


class Rounding(StrEnum):
    """To the nearest step, or to the one above or below by :mod:`qsim.compress.adaround`."""

    NEAREST = "nearest"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineSettings(ThroughTraining):
    """The range is found by a rule (:mod:`qsim.compress.ranges`); symmetric ranges have their zero in the middle.

    ``rounding`` is that of the final weights; training through the quantiser rounds to the nearest. With ``learned_steps``, that training
    starts from the range's steps and trains them too (:mod:`qsim.compress.learned_steps`); else it finds the range anew at every step.
    """

    symmetric: bool = True
    granularity: Granularity = Granularity.TENSOR
    group: int = 64
    range: Range = Range.MSE
    rounding: Rounding = Rounding.NEAREST
    learned_steps: bool = False

    def __post_init__(self) -> None:
        ThroughTraining.__post_init__(self)
        if self.granularity is not Granularity.TENSOR and not self.symmetric:
            raise RecipeError(path="quantise.symmetric", rule=f"true with one scale a {self.granularity}", value=False)
        if self.group < 1:
            raise RecipeError(path="quantise.group", rule="at least 1", value=self.group)
        if self.learned_steps and self.granularity is Granularity.GROUP:
            raise RecipeError(path="quantise.learned_steps", rule="false with one scale a group", value=True)
        if self.learned_steps and self.epochs == 0:
            raise RecipeError(path="quantise.epochs", rule="at least 1 where steps are learned", value=0)
        if self.learned_steps and (self.noise < 1 or self.interval > 1):
            raise RecipeError(path="quantise.learned_steps", rule="false with noise below 1 or an interval above 1", value=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine(AffineSettings):
    """``bits`` a weight."""

    bits: int

    def __post_init__(self) -> None:
        AffineSettings.__post_init__(self)
        if not 2 <= self.bits <= MAX_BITS:
            raise RecipeError(path="quantise.bits", rule=f"2 to {MAX_BITS}", value=self.bits)

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Quantise each layer."""
        return quantise_layers(self, given, [self] * len(given.layout.names))

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the rounding of one layer to its nearest steps, for a recipe whose layers have quantisers of their own.

        Raises :class:`RecipeError` for settings that need all layers.
        """
        if self.learned_steps or self.rounding is not Rounding.NEAREST:
            name, rule = ("learned_steps", "false") if self.learned_steps else ("rounding", f"{Rounding.NEAREST}")
            raise RecipeError(path=f"quantise.{name}", rule=f"{rule} where layers have quantisers of their own", value=getattr(self, name))
        return partial(self.share, given)

    def share(self, given: QuantizerInput, place: int, weight: Tensor) -> SharedWeights:
        """Return the ``weight`` [outputs, inputs] of the layer ``place`` with each element at the nearest step."""
        grid = self.grid(weight.numpy(), given.kept(place))
        return self.stored(given, place, grid, grid.nearest(weight.numpy()))

    def stored(self, given: QuantizerInput, place: int, grid: Grid, steps: IntArray) -> SharedWeights:
        """Return the layer ``place`` with the integers ``steps`` [outputs, inputs] of ``grid``."""
        kept = given.kept(place)
        if self.granularity is Granularity.ROW:
            return PyramidWeights(np.where(kept, steps - grid.zero, 0), grid.scale[:, 0])
        levels, scale = steps - grid.zero, float(grid.scale.max())
        if self.granularity is Granularity.GROUP and scale > 0:
            scale /= 1 << OCTAVES
            levels *= np.rint(grid.scale / scale).astype(np.int64)
        return AffineWeights(levels[kept], 0, scale, kept, None if given.masks is None else kept)

    def grid(self, weights: AnyFloatArray, kept: BoolArray) -> Grid:
        """Return the grid for the ``weights`` [outputs, inputs] that are ``kept``."""
        if self.granularity is Granularity.TENSOR:
            scale, zero = self._scale(weights[kept])
            return Grid(np.array([[scale]]), zero, int(self.symmetric), (1 << self.bits) - 1)
        columns = weights.shape[1]
        width = columns if self.granularity is Granularity.ROW else self.group
        starts = range(0, columns, width)
        groups = [slice(start, min(start + width, columns)) for start in starts]
        scales = np.array([[self._scale_of(row[part], mask[part]) for part in groups] for row, mask in zip(weights, kept, strict=True)])
        if self.granularity is Granularity.GROUP:
            octaves = _octaves(scales) if self.range is Range.MINMAX else self._best_octaves(weights, kept, float(scales.max()), starts)
            scales = (scales.max() / 2.0**octaves).repeat(np.diff([*starts, columns]), axis=1)
        return Grid(scales, 1 << (self.bits - 1), 1, (1 << self.bits) - 1)

    def _best_octaves(self, weights: AnyFloatArray, kept: BoolArray, largest: float, starts: Sequence[int]) -> IntArray:
        """Return for each group [rows, groups] by which power of two its scale is to be below ``largest`` for the least squared error."""
        most, real, errors = (1 << (self.bits - 1)) - 1, weights.astype(np.float64) * kept, []
        for octave in range(OCTAVES + 1):
            scale = (largest or 1.0) / 2.0**octave  # a layer of zeros has no scale
            rest = np.clip(np.rint(real / scale), -most, most) * scale - real
            errors.append(np.add.reduceat(rest**2, starts, axis=1))
        best: IntArray = np.argmin(errors, axis=0)
        return best

    def _scale_of(self, weights: AnyFloatArray, kept: BoolArray) -> float:
        return self._scale(weights[kept])[0] if kept.any() else 0.0

    def _scale(self, weights: AnyFloatArray) -> tuple[float, int]:
        """Return scale and zero point of ``weights`` [n]; the scale is 0 where all of them are."""
        low, high = range_of(self.range, Histogram.of(weights), self.bits)
        if self.symmetric:
            return max(-low, high) / ((1 << (self.bits - 1)) - 1), 1 << (self.bits - 1)
        scale = (high - low) / ((1 << self.bits) - 1)
        return scale, int(np.rint(-low / scale)) if scale else 0


def _octaves(scales: FloatArray) -> IntArray:
    """Return by which power of two, up to OCTAVES, the largest of ``scales`` can be divided for each of them so that nothing is clipped."""
    largest = float(scales.max())
    ratios = np.where(scales > 0, largest / np.where(scales > 0, scales, 1.0), 1.0)
    octaves: IntArray = np.clip(np.floor(np.log2(np.maximum(ratios, 1.0))), 0, OCTAVES).astype(np.int64)
    return octaves


def quantise_layers(how: AffineSettings, given: QuantizerInput, layers: Sequence[Affine]) -> Quantised:
    """Quantise each layer by its own settings in ``layers``, after training through them as ``how`` says."""
    parameters, grids = _trained(how, given, layers)
    effective, found = parameters.clone(), list[SharedWeights]()
    for place, (weight, grid) in enumerate(zip(given.layout.weights(parameters), grids, strict=True)):
        steps = grid.nearest(weight.numpy())
        if how.rounding is Rounding.ADAPTIVE:
            moments = second_moments(given.layout, parameters, effective, place, given.unlabelled)
            steps = AdaptiveRounding(grid, weight, given.kept(place), *moments).run().numpy()
        found.append(layers[place].stored(given, place, grid, steps))
        given.layout.weights(effective)[place].copy_(found[-1].weights())  # the layers behind learn of the errors
        given.progress("quantise", place + 1, len(layers))
    return Quantised(tuple(found), biases_of(given.layout, parameters))


def _trained(how: AffineSettings, given: QuantizerInput, layers: Sequence[Affine]) -> tuple[Tensor, tuple[Grid, ...]]:
    """Return the flat parameters after training through the quantiser, and the grid of each layer."""

    def grids(parameters: Tensor) -> tuple[Grid, ...]:
        weights = enumerate(given.layout.weights(parameters))
        return tuple(layers[place].grid(weight.numpy(), given.kept(place)) for place, weight in weights)

    if how.learned_steps:
        return train_with_steps(how, given, grids(given.parameters))
    parameters = train_through(how, given, lambda place, weight: layers[place].share(given, place, weight))
    return parameters, grids(parameters)


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
        """Return the levels in use as a codebook of multiples of the dyadic scale; of weights that are kept, zero is one of them.

        Where the weight format leaves fewer than LEAST_MULTIPLE integers to a level, entries are rounded one by one instead.
        """
        kept = np.ones(self._levels.shape, dtype=np.bool_) if self._mask is None else self._mask
        used, codes = np.unique(self._levels[kept], return_inverse=True)
        values = used * float(self._scale) * limits.gain
        fraction = min(best_fraction(values, limits.weight_bits), limits.largest_fraction)
        multiple = int(np.floor(float(self._scale) * limits.gain * 2.0**fraction + 0.5))
        weight_format = FixedFormat(limits.weight_bits, fraction)
        placed = np.zeros(self._levels.shape, dtype=np.uint16)
        placed[kept] = codes
        # A small multiple would be off by more than its entries rounded one by one: many levels, or narrow weights.
        integers = weight_format.fit(multiple * used) if multiple >= LEAST_MULTIPLE else weight_format.quantise(values)
        return ScalarCoded(codes=placed, codebook=integers, weight_format=weight_format, mask=self._mask)
