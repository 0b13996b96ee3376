"""Structured pruning: training under a mask of a pattern that hardware can use (:mod:`qsim.compress.structured`), with regrowth."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qsim.compress.journal import Epochs
from qsim.compress.masked import RenewedMask, Retraining, by_layer, check_density, falling
from qsim.compress.masks import BoolArray, FloatArray
from qsim.compress.prune import Pruned, PruningInput
from qsim.compress.structured import Pattern, blocks, n_of_m, units
from qsim.compress.train import descend
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredPruning(Retraining):
    """A mask of ``pattern`` (:mod:`qsim.compress.structured`) over ``ramp`` of ``epochs``, renewed every ``interval`` steps.

    ``kept`` of ``group`` neighbours for "n:m"; ``density`` of the blocks (``height`` x ``width``) or units of each layer for the others, to
    which it falls as in gradual pruning.
    """

    pattern: Pattern
    kept: int = 2
    group: int = 4
    height: int = 4
    width: int = 4
    density: float = 0.25
    ramp: float = 0.6
    interval: int = 20

    def __post_init__(self) -> None:
        Retraining.__post_init__(self)
        check_density("prune.density", self.density)
        for name in ("kept", "group", "height", "width", "interval"):
            if getattr(self, name) < 1:
                raise RecipeError(path=f"prune.{name}", rule="at least 1", value=getattr(self, name))
        if self.kept > self.group:
            raise RecipeError(path="prune.kept", rule=f"at most the group of {self.group}", value=self.kept)
        if not 0 < self.ramp <= 1:
            raise RecipeError(path="prune.ramp", rule="above 0, at most 1", value=self.ramp)

    def masks(self, weights: list[FloatArray], part: float) -> list[BoolArray]:
        """Return each layer's mask when ``part`` (0 to 1) of the training is done."""
        density = falling(part, self.ramp, 1.0, self.density)
        match self.pattern:
            case Pattern.N_OF_M:
                return [n_of_m(weight, self.kept, self.group) for weight in weights]
            case Pattern.BLOCK:
                return [blocks(weight, self.height, self.width, density) for weight in weights]
            case Pattern.UNIT:
                return units(weights, density)

    def prune(self, given: PruningInput) -> Pruned:
        """Train under the pattern."""
        layout, parameters = given.layout, given.parameters

        def mask(part: float, current: Tensor) -> BoolArray:
            weights: list[FloatArray] = [weight.numpy() for weight in layout.weights(current)]
            return np.concatenate([found.reshape(-1) for found in self.masks(weights, part)])

        masked = RenewedMask(layout, mask, self.interval, self.ramp)
        epochs = Epochs(given.journal, "prune pass 0", masked)
        descend(
            layout, parameters, given.samples, self.descent, given.generator,
            transform=masked, stage="prune", progress=given.progress, epochs=epochs,
        )  # fmt: skip
        return Pruned(masked.settle(parameters), by_layer(layout, masked.mask))
