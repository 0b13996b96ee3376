"""Do the range rules find what their sources say, and is affine quantisation integer arithmetic with a dyadic scale?"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from qsim.compress.histogram import Histogram
from qsim.compress.quantizers.affine import Affine, AffineWeights, Granularity
from qsim.compress.ranges import Range, aciq, range_of
from qsim.compress.shared import FormatLimits

RANDOM = np.random.default_rng(0)
LAPLACE, NORMAL = RANDOM.laplace(size=60_000), RANDOM.normal(size=60_000)
LIMITS = FormatLimits(weight_bits=16, scale_bits=16, largest_fraction=30, gain=0.7)


# Banner et al., NeurIPS 2019: optimal clip values for 2, 3 and 4 bits, in units of b and of the deviation.
@pytest.mark.parametrize(
    ("weights", "published"), [(LAPLACE, {2: 2.83, 3: 3.89, 4: 5.03}), (NORMAL, {2: 1.71, 3: 2.15, 4: 2.55})], ids=["laplace", "normal"]
)
def test_aciq_clips_where_the_paper_does(weights: np.ndarray, published: dict[int, float]) -> None:
    for bits, clip in published.items():
        assert aciq(Histogram.of(weights), bits) == pytest.approx(clip, rel=0.02)


@pytest.mark.parametrize("rule", Range)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_ranges_lie_within_the_weights_around_zero(rule: Range, bits: int) -> None:
    for weights in (LAPLACE, NORMAL + 0.3, np.abs(NORMAL), np.zeros(5), np.array([2.0])):
        low, high = range_of(rule, Histogram.of(weights), bits)
        assert min(0.0, weights.min()) <= low <= 0 <= high <= max(0.0, weights.max())


def nearest(how: Affine, weights: np.ndarray) -> np.ndarray:
    """The weights [n] as ``how`` quantises them."""
    grid = how.grid(weights[None], np.ones((1, len(weights)), dtype=bool))
    return grid.scale[0] * (grid.nearest(weights[None])[0] - grid.zero)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_rule_of_least_error_has_the_least_error(bits: int) -> None:
    def error(rule: Range) -> float:
        return float(np.mean((nearest(Affine(bits=bits, range=rule), LAPLACE) - LAPLACE) ** 2))

    best = error(Range.MSE)
    assert all(best <= 1.05 * error(rule) for rule in Range)
    assert best < 0.5 * error(Range.MINMAX)


def test_asymmetric_steps_use_all_levels_of_a_lopsided_range() -> None:
    weights = np.abs(NORMAL)
    errors = []
    for symmetric in (True, False):
        errors.append(np.mean((nearest(Affine(bits=3, symmetric=symmetric, range=Range.MINMAX), weights) - weights) ** 2))
    assert errors[1] < 0.3 * errors[0]


def test_codebook_is_a_dyadic_scale_times_integers() -> None:
    kept = RANDOM.random((6, 9)) < 0.7
    steps = RANDOM.integers(0, 16, int(kept.sum()))
    weights = AffineWeights(steps, 5, 0.037, kept, kept)
    form = weights.form(LIMITS)
    levels = np.unique(steps - 5)
    multiple = form.codebook[levels == 1][0]
    assert np.array_equal(form.codebook, multiple * levels)
    assert multiple * form.weight_format.lsb == pytest.approx(0.037 * LIMITS.gain, rel=1e-3)
    assert np.allclose(form.weight_format.dequantise(form.reconstruct()), weights.weights().numpy() * LIMITS.gain, atol=1e-3)


def test_gradient_of_the_step_is_that_of_autograd() -> None:
    kept = np.ones((4, 5), dtype=bool)
    weights = AffineWeights(RANDOM.integers(0, 8, 20), 3, 0.1, kept, None)
    upstream = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    scale = weights.trainable.clone().requires_grad_()
    (weights.weights() / weights.trainable * scale * upstream).sum().backward()
    assert torch.allclose(weights.pull_back(upstream), scale.grad, atol=1e-5)


def test_a_group_has_a_scale_of_its_own_and_all_are_multiples_of_one() -> None:
    """Groups whose spreads differ by powers of two are rounded as each alone would be; one 64 times smaller is zeros at any scale."""
    spreads = np.repeat([1.0, 0.5, 0.25, 0.125, 1 / 64], 40)
    weights = np.tile(RANDOM.normal(size=40).astype(np.float32), 5) * spreads.astype(np.float32)
    how = Affine(bits=3, granularity=Granularity.GROUP, group=40)
    grid = how.grid(weights[None], np.ones((1, 200), dtype=bool))
    ratios = grid.scale[0, ::40] / grid.scale[0, 0]
    assert np.allclose(ratios[:4], [1, 0.5, 0.25, 0.125])
    alone = Affine(bits=3).grid(weights[None, :40], np.ones((1, 40), dtype=bool))
    assert np.allclose(grid.scale[0, 0], alone.scale[0, 0])
    rounded = grid.scale[0] * (grid.nearest(weights[None])[0] - grid.zero)
    assert np.allclose(rounded[:160] / spreads[:160], np.tile(rounded[:40], 4), rtol=1e-6)


def test_groups_err_less_than_rows_on_weights_whose_spread_varies_along_the_row() -> None:
    weights = (RANDOM.normal(size=(8, 96)) * 2.0 ** -RANDOM.integers(0, 4, (8, 12)).repeat(8, axis=1)).astype(np.float32)

    def error(granularity: Granularity) -> float:
        how = Affine(bits=3, granularity=granularity, group=8)
        grid = how.grid(weights, np.ones(weights.shape, dtype=bool))
        return float(np.mean((grid.scale * (grid.nearest(weights) - grid.zero) - weights) ** 2))

    assert error(Granularity.GROUP) < 0.7 * min(error(Granularity.ROW), error(Granularity.TENSOR))


@pytest.mark.parametrize("rule", [Range.MSE, Range.MINMAX])
def test_the_error_of_groups_falls_with_every_bit(rule: Range) -> None:
    """By about a quarter a bit, up to 8: no clipping is left that more bits would not take away; and never above one scale for all."""
    weights = RANDOM.laplace(size=(16, 256)).astype(np.float32)

    def error(granularity: Granularity, bits: int) -> float:
        how = Affine(bits=bits, granularity=granularity, group=32, range=rule)
        grid = how.grid(weights, np.ones(weights.shape, dtype=bool))
        return float(np.mean((grid.scale * (grid.nearest(weights) - grid.zero) - weights) ** 2))

    errors = [error(Granularity.GROUP, bits) for bits in range(3, 9)]
    assert all(after < 0.45 * before for before, after in pairwise(errors)), errors
    assert all(found <= 1.001 * error(Granularity.TENSOR, bits) for bits, found in zip(range(3, 9), errors, strict=True))


@pytest.mark.parametrize(("bits", "weight_bits"), [(6, 8), (8, 10), (8, 16), (4, 6)])
def test_narrow_weights_round_the_entries_one_by_one(bits: int, weight_bits: int) -> None:
    """The codebook is within half a unit of the format of the weights that it stands for, and not zero."""
    weights = RANDOM.laplace(size=(16, 64)).astype(np.float32)
    how = Affine(bits=bits, granularity=Granularity.GROUP, group=16)
    kept = np.ones(weights.shape, dtype=bool)
    grid = how.grid(weights, kept)
    levels = (grid.nearest(weights) - grid.zero) * np.rint(grid.scale / grid.scale.max() * 8).astype(int)
    shared = AffineWeights(levels.ravel(), 0, float(grid.scale.max()) / 8, kept, None)
    form = shared.form(replace(LIMITS, weight_bits=weight_bits))
    real = form.weight_format.dequantise(form.reconstruct())
    assert np.abs(real - shared.weights().numpy() * LIMITS.gain).max() <= form.weight_format.lsb * 0.5001
    assert np.any(real != 0)


def test_a_layer_of_zeros_has_groups_too() -> None:
    grid = Affine(bits=3, granularity=Granularity.GROUP, group=4).grid(np.zeros((2, 8), dtype=np.float32), np.ones((2, 8), dtype=bool))
    assert not (grid.scale * (grid.nearest(np.zeros((2, 8))) - grid.zero)).any()
