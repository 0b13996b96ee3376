"""Training under masks: transforms that compute with some weights only, and the exact counts that pruning ends at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.journal import Tensors
from qsim.compress.masks import BoolArray
from qsim.compress.network import Layout
from qsim.compress.scores import GatheredScore
from qsim.compress.train import Descent
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """The settings of every pruning that trains."""

    epochs: int = 10
    batch: int = 128
    learning_rate: float = 0.05
    weight_decay: float = 1e-4
    shift: int = 0
    max_norm: float = 0.0

    def __post_init__(self) -> None:
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How one training goes."""
        return Descent(
            epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate, weight_decay=self.weight_decay,
            shift=self.shift, max_norm=self.max_norm,
        )  # fmt: skip


class MaskedParameters:
    """A transform that computes with the masked weights; biases pass."""

    def __init__(self, layout: Layout, mask: Tensor) -> None:
        self._factor = torch.ones(layout.parameter_count)
        self._factor[: layout.weight_count] = mask
        self._effective = torch.empty(layout.parameter_count)

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the masked vector; the buffer is reused."""
        return torch.mul(parameters, self._factor, out=self._effective)


class RenewedMask:
    """A transform whose mask is computed anew every ``interval`` steps until ``ramp`` of the training is done."""

    def __init__(self, layout: Layout, rule: Callable[[float, Tensor], BoolArray], interval: int, ramp: float) -> None:
        self._layout, self._rule, self._interval, self._ramp = layout, rule, interval, ramp
        self._settled = False
        self.mask: BoolArray = np.ones(layout.weight_count, dtype=np.bool_)
        self._masked = MaskedParameters(layout, torch.from_numpy(self.mask))

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the masked vector at ``step``."""
        part = step / steps
        if part >= self._ramp:
            self.settle(parameters)
        elif step % self._interval == 0:
            self._renew(part, parameters)
        return self._masked(step, steps, parameters)

    def settle(self, parameters: Tensor) -> Tensor:
        """Fix the mask at the final density, once, and return a copy of the masked vector."""
        if not self._settled:
            self._renew(1.0, parameters)
            self._settled = True
        return self._masked(0, 1, parameters).clone()

    def state(self) -> dict[str, Tensor]:
        """Return the mask and whether it stays."""
        return {"mask": torch.from_numpy(self.mask), "settled": torch.tensor(self._settled)}

    def restore(self, kept: Tensors) -> None:
        """Take up a mask that :meth:`state` gave."""
        self.mask, self._settled = kept["mask"].numpy(), bool(kept["settled"])
        self._masked = MaskedParameters(self._layout, kept["mask"])

    def _renew(self, part: float, parameters: Tensor) -> None:
        self.mask = self._rule(part, parameters)
        self._masked = MaskedParameters(self._layout, torch.from_numpy(self.mask))


class ScoredMask(RenewedMask):
    """A renewed mask whose rule asks a score that gathers while the network is trained; the journal keeps both."""

    def __init__(
        self, layout: Layout, rule: Callable[[float, Tensor], BoolArray], interval: int, ramp: float, score: GatheredScore
    ) -> None:
        super().__init__(layout, rule, interval, ramp)
        self._score = score

    def state(self) -> dict[str, Tensor]:
        """Return the mask, whether it stays, and the score."""
        return {**super().state(), **self._score.state()}

    def restore(self, kept: Tensors) -> None:
        """Take up what :meth:`state` gave."""
        super().restore(kept)
        self._score.restore(kept)


def falling(part: float, ramp: float, start: float, end: float) -> float:
    """Return the density when ``part`` (0 to 1) is done: cubic from ``start`` to ``end`` over ``ramp`` (arXiv:1710.01878)."""
    return end + (start - end) * max(0.0, 1.0 - part / ramp) ** 3


def flat_weights(layout: Layout, parameters: Tensor) -> list[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]:
    """Return each layer's weights, flat."""
    return [weight.numpy().reshape(-1) for weight in layout.weights(parameters)]


def by_layer(layout: Layout, mask: BoolArray) -> tuple[BoolArray, ...]:
    """Return the mask [outputs, inputs] of each layer from a flat one."""
    parts = np.split(mask, np.cumsum(layout.sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, layout.shapes, strict=True))


def check_density(path: str, density: float) -> None:
    """Raise :class:`RecipeError` for a density that keeps nothing or more than there is."""
    if not 0 < density <= 1:
        raise RecipeError(path=path, rule="above 0, at most 1", value=density)
