"""Training through affine quantisation with steps that learn: LSQ (Esser et al., ICLR 2020, arXiv:1902.08153).

With ``q = clip(round(w / s), low, high)``, the network computes with ``s q``. The gradient by the step s is ``q - w / s`` where w is in
range, ``low`` or ``high`` where it is not, summed over the weights of the step and divided by ``sqrt(weights * high)`` (section 2.2); the
gradient by w passes in range only. Steps follow it with the momentum and the learning rate of the weights.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qsim.compress.grid import Grid
from qsim.compress.shared import QuantizerInput
from qsim.compress.through import ThroughTraining
from qsim.compress.train import descend

LEAST = 1e-6  # a step stays positive


def train_with_steps(how: ThroughTraining, given: QuantizerInput, grids: Sequence[Grid]) -> tuple[Tensor, tuple[Grid, ...]]:
    """Return the flat parameters after training through ``grids``, one a layer, and the grids with the steps that were learned."""
    parameters, learned = given.parameters.clone(), LearnedSteps(given, grids, how.descent.momentum)
    descend(
        given.layout, parameters, given.samples, how.descent, given.generator,
        transform=learned, backward=learned.backward, stage="quantise", progress=given.progress,
    )  # fmt: skip
    return parameters, learned.grids


class LearnedSteps:
    """A transform that computes with the steps of now, and moves them by the gradient that comes back."""

    def __init__(self, given: QuantizerInput, grids: Sequence[Grid], momentum: float) -> None:
        self._layout, self._grids, self._momentum = given.layout, grids, momentum
        self._kept = [torch.from_numpy(given.kept(place)) for place in range(len(grids))]
        self._scales = [torch.from_numpy(grid.scale).float() for grid in grids]
        self._velocities = [torch.zeros_like(scale) for scale in self._scales]
        self._effective = torch.empty(given.layout.parameter_count)
        self._ratios: list[Tensor] = []

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids with the steps of now."""
        return tuple(replace(grid, scale=scale.double().numpy()) for grid, scale in zip(self._grids, self._scales, strict=True))

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the quantised weights and the current biases; the buffer is reused."""
        count, targets = self._layout.weight_count, self._layout.weights(self._effective)
        self._effective[count:] = parameters[count:]
        self._ratios = []
        for place, weight in enumerate(self._layout.weights(parameters)):
            self._ratios.append(weight / self._scales[place].clamp_min(LEAST))
            low, high = self._limits(place)
            targets[place].copy_(self._ratios[-1].round().clamp(low, high) * self._scales[place] * self._kept[place])
        return self._effective

    def backward(self, gradient: Tensor, rate: float) -> None:
        """Move the steps along ``gradient``, that of the flat effective parameters; stop it where weights are out of range."""
        for place, part in enumerate(self._layout.weights(gradient)):
            ratio, (low, high), scale = self._ratios[place], self._limits(place), self._scales[place]
            inside = (ratio >= low) & (ratio <= high)
            slope = torch.where(inside, ratio.round() - ratio, ratio.clamp(low, high)) * self._kept[place]
            total = (part * slope).sum(1, keepdim=True)
            total = total if len(scale) > 1 else total.sum().reshape(1, 1)
            weights = part.numel() / len(scale)
            self._velocities[place].mul_(self._momentum).add_(total / math.sqrt(weights * high))
            scale.sub_(self._velocities[place], alpha=rate).clamp_min_(LEAST)
            part.mul_(inside)

    def _limits(self, place: int) -> tuple[int, int]:
        grid = self._grids[place]
        return grid.low - grid.zero, max(1, grid.high - grid.zero)
