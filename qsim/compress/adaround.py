"""Adaptive rounding: each weight goes up or down so that the *results* of its layer change least, not the weight itself.

AdaRound (Nagel et al., ICML 2020, arXiv:2004.10568). With inputs y of the quantised layer and x of the original one, minimise over h
``E |s (clip(floor(W / s) + h + zero) - zero) y - W x|^2``, where ``h = clip(1.2 sigmoid(V) - 0.1, 0, 1)`` starts at what floor cuts
off, plus ``weight * sum(1 - |2 h - 1|^beta)``, which drives h to 0 or 1 as beta falls from 20 to 2 (equations 21 to 25, without the
activation function). Layers are rounded one after the other, each knowing the errors of those before it. No label is read.

The squared error only depends on the second moments of x and y, so that a step costs one product of matrices, however many samples
there are, and has no noise: hundreds of steps do what the paper does in 10,000 with batches. Errors are counted in units of the square of
a step times the mean square of an input, which makes ``weight`` a pure number.
"""

import math

import torch
from torch import Tensor

from qsim.compress.grid import Grid
from qsim.compress.masks import BoolArray

STRETCH = 1.2, 0.1  # of the sigmoid: zeta - gamma and -gamma in the paper
STEPS, RATE = 200, 0.05
WEIGHT = 0.05
BETA = 20.0, 2.0
FREE = 0.2  # the share of the steps before the regulariser begins


class AdaptiveRounding:
    """The rounding of one layer's ``weights`` [rows, columns] onto ``grid``; ``gram`` and ``cross`` are its second moments."""

    def __init__(self, grid: Grid, weights: Tensor, kept: BoolArray, gram: Tensor, cross: Tensor) -> None:
        self._grid, self._kept = grid, torch.from_numpy(kept)
        self._scale = torch.from_numpy(grid.scale).float().expand(len(weights), -1)
        ratio = weights / torch.where(self._scale > 0, self._scale, 1.0)
        self._floor = ratio.floor()
        share = ((ratio - self._floor + STRETCH[1]) / STRETCH[0]).clamp(1e-4, 1 - 1e-4)
        self._logits = torch.logit(share)
        self._gram, self._target = gram, _products(weights, cross)
        self._unit = self._scale.square() * gram.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-12)

    def run(self) -> Tensor:
        """Return the integers q [rows, columns], within the grid."""
        first, second = torch.zeros_like(self._logits), torch.zeros_like(self._logits)
        for step in range(STEPS):
            gradient = self._gradient(step / STEPS)
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient.square(), 0.001)
            size = RATE * math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
            self._logits.addcdiv_(first, second.sqrt().add_(1e-10), value=-size)
        up = self._soft() > 0.5
        return (self._floor + up + self._grid.zero).clamp_(self._grid.low, self._grid.high).long()

    def _soft(self) -> Tensor:
        return torch.sigmoid(self._logits).mul_(STRETCH[0]).sub_(STRETCH[1]).clamp_(0, 1)

    def _gradient(self, along: float) -> Tensor:
        """Return the gradient by the logits, ``along`` from 0 to 1 of the way."""
        soft = self._soft()
        steps = self._floor + soft + self._grid.zero
        inside = (steps >= self._grid.low) & (steps <= self._grid.high) & self._kept
        levels = (steps.clamp(self._grid.low, self._grid.high) - self._grid.zero) * self._kept
        errors = _products(levels * self._scale, self._gram) - self._target
        gradient = 2 * errors * self._scale / torch.where(self._unit > 0, self._unit, 1.0) * inside
        if along >= FREE:
            gradient -= _regulariser(soft, (along - FREE) / (1 - FREE))
        slope = torch.sigmoid(self._logits)
        return gradient * (slope * (1 - slope)) * STRETCH[0] * ((soft > 0) & (soft < 1))


def _regulariser(soft: Tensor, along: float) -> Tensor:
    """Return ``d/dh`` of ``WEIGHT * |2 h - 1|^beta``."""
    beta = BETA[1] + 0.5 * (BETA[0] - BETA[1]) * (1 + math.cos(math.pi * along))
    away = 2 * soft - 1
    return 2 * WEIGHT * beta * away.abs().pow(beta - 1) * away.sign()


def _products(weights: Tensor, moments: Tensor) -> Tensor:
    """Return each row [columns] of ``weights`` times the ``moments`` [groups, columns, columns] of its group."""
    groups = len(moments)
    return (weights.view(groups, -1, weights.shape[1]) @ moments).view_as(weights)
