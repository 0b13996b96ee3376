"""Pruning and quantising a float matrix without retraining: for estimates of networks that are not trained here.

Magnitude pruning keeps the largest weights of the layer; then the kept ones share centroids (those of least squared error: nothing is
retrained, for which other starts are better), are rounded to fixed point, or become pulses (nearest point of the pyramid). Accuracy is
not measured: without retraining it falls, and what is estimated is what the network would cost.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from qsim.compress.clusters import assign, optimal_centroids
from qsim.compress.histogram import Histogram
from qsim.compress.masks import BoolArray, kept_count
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, best_fraction
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded
from qsim.formats.pvq import best_scales, nearest_points

WEIGHT_BITS = 16
PART = 1 << 22  # weights handled at a time
Weights = npt.NDArray[np.float32]


class Coding(StrEnum):
    """What the kept weights become."""

    FIXED = "fixed"
    CODEBOOK = "codebook"
    PULSES = "pulses"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTraining:
    """``bits`` of a code: 2**bits - 1 centroids and zero, or the largest pulse; of a fixed-point weight its width."""

    coding: Coding
    bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= WEIGHT_BITS:
            raise RecipeError(path="bits", rule=f"1 to {WEIGHT_BITS}", value=self.bits)

    def quantise(self, weights: Weights, density: float) -> Form:
        """Return the stored form of ``weights`` [rows, cols] at ``density`` (0 to 1)."""
        if not 0 < density <= 1:
            raise RecipeError(path="density", rule="above 0, at most 1", value=density)
        mask = kept(weights, density)
        match self.coding:
            case Coding.FIXED:
                return _fixed(weights, mask, self.bits)
            case Coding.CODEBOOK:
                return _codebook(weights, mask, self.bits)
            case Coding.PULSES:
                return _pulses(weights, mask, self.bits)
            case _:
                assert_never(self.coding)

    def covers(self, form: Form) -> bool:
        """Whether ``form`` is of this coding, its codes no wider than ``bits``: quantising it again would only lose."""
        match form:
            case Dense():
                return self.coding is Coding.FIXED and form.weight_format.width <= self.bits
            case ScalarCoded():
                return self.coding is Coding.CODEBOOK and len(form.codebook) < 1 << self.bits
            case Pyramid():
                return self.coding is Coding.PULSES and int(np.abs(form.pulses).max(initial=0)) < 1 << (self.bits - 1)
            case _:
                return False


def kept(weights: Weights, density: float) -> BoolArray:
    """Return the mask of the largest magnitudes, of equal ones the first; zeros are never kept."""
    nonzero: BoolArray = weights != 0
    count = kept_count(weights.size, density)
    if count >= np.count_nonzero(nonzero):
        return nonzero
    flat = np.ascontiguousarray(weights, dtype=np.float32).reshape(-1)
    threshold, ties = _threshold(flat, count)
    mask = (flat > threshold) | (flat < -threshold)
    mask[np.flatnonzero((flat == threshold) | (flat == -threshold))[:ties]] = True
    return mask.reshape(weights.shape)


def _threshold(flat: Weights, count: int) -> tuple[np.float32, int]:
    """Return the ``count``-th largest magnitude, and how many weights of exactly that magnitude are among them.

    A positive float orders as its bits do: counting the upper 16 bits, part after part, leaves few candidates, without a sorted copy.
    """
    parts = [slice(start, start + PART) for start in range(0, flat.size, PART)]
    upper = np.zeros(1 << 15, dtype=np.int64)
    for part in parts:
        upper += np.bincount((np.abs(flat[part]).view(np.uint32) >> 16).astype(np.int64), minlength=1 << 15)
    above = np.cumsum(upper[::-1])[::-1]  # weights of this bin or a larger one
    chosen = int(np.flatnonzero(above >= count)[-1])
    inside = np.concatenate([_within(np.abs(flat[part]), chosen) for part in parts])
    left = count - int(above[chosen] - upper[chosen])
    threshold = np.partition(inside, inside.size - left)[inside.size - left]
    return threshold, left - int(np.count_nonzero(inside > threshold))


def _within(magnitudes: Weights, upper: int) -> Weights:
    found: Weights = magnitudes[magnitudes.view(np.uint32) >> 16 == upper]
    return found


def real_weights(form: Form) -> Weights:
    """Return the float weights [rows, cols] that a form stands for, scales of rows applied."""
    if isinstance(form, ScalarCoded):
        real: Weights = (form.codebook * form.weight_format.lsb).astype(np.float32)[form.codes]
        if form.mask is not None:
            np.copyto(real, 0, where=~form.mask)
        return real
    if isinstance(form, Dense):  # at most as wide as the mantissa, so that the product is exact
        whole: Weights = np.multiply(form.values, np.float32(form.weight_format.lsb), dtype=np.float32, casting="unsafe")
        return whole
    values = form.reconstruct() * form.weight_format.lsb
    if isinstance(form, Pyramid):
        values = values * (form.scales * form.scale_format.lsb)[:, None]
    return values.astype(np.float32)


def _fixed(weights: Weights, mask: BoolArray, bits: int) -> Dense:
    weight_format = FixedFormat(max(2, bits), best_fraction(weights, max(2, bits)))
    values: npt.NDArray[np.int32] = np.empty(weights.shape, dtype=np.int32)
    rows = max(1, PART // max(1, weights.shape[1]))
    for part in (slice(start, start + rows) for start in range(0, len(weights), rows)):
        values[part] = weight_format.quantise(np.where(mask[part], weights[part], 0))
    values.setflags(write=False)
    return Dense(values=values, weight_format=weight_format)


def _codebook(weights: Weights, mask: BoolArray, bits: int) -> ScalarCoded:
    own = weights[mask]
    if not own.size:
        own = np.zeros(1, dtype=np.float32)
    histogram = Histogram.of(own)
    centroids = optimal_centroids(histogram, (1 << bits) - 1)
    weight_format = FixedFormat(WEIGHT_BITS, best_fraction(centroids, WEIGHT_BITS))
    codebook = np.unique(weight_format.quantise(centroids))
    codebook = codebook[codebook != 0] if np.any(codebook) else codebook
    codes = np.zeros(weights.shape, dtype=np.uint16)
    if mask.any():
        codes[mask] = assign(own, np.asarray(codebook * weight_format.lsb, dtype=np.float64)).astype(np.uint16)
    return ScalarCoded(codes=codes, codebook=codebook, weight_format=weight_format, mask=mask)


def _pulses(weights: Weights, mask: BoolArray, bits: int) -> Pyramid:
    """As many pulses a row as kept weights, at most so many that the largest fits ``bits``."""
    real = np.where(mask, weights, 0)
    points = nearest_points(real, max(1, round(float(mask.sum()) / len(weights))))
    limit = (1 << (bits - 1)) - 1
    points = np.clip(points, -limit, limit)
    scales = np.maximum(best_scales(real, points), 0.0)
    scale_format = FixedFormat(WEIGHT_BITS, best_fraction(scales, WEIGHT_BITS, signed=False), signed=False)
    return Pyramid(pulses=points, scales=scale_format.quantise(scales), scale_format=scale_format)
