"""Gradual pruning with regrowth: all weights stay trainable, the network computes with those that score highest.

The gradient goes to all of them, so a weight dropped too early grows back (Guo et al., Dynamic network surgery, NIPS 2016). The density
follows the cubic schedule of Zhu and Gupta (arXiv:1710.01878), ``d(t) = d + (1 - d) (1 - t / T)^3``, over the first part of the training;
then the mask stays. Scores: :mod:`qsim.compress.scores`.
"""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from qsim.compress.journal import Epochs
from qsim.compress.masked import RenewedMask, Retraining, ScoredMask, by_layer, check_density, falling, flat_weights
from qsim.compress.masks import BoolArray, kept_count, lamp_mask
from qsim.compress.network import Layout
from qsim.compress.prune import Pruned, PruningInput
from qsim.compress.scores import GatheredScore, Score
from qsim.compress.train import Descent, descend
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class GradualPruning(Retraining):
    """Fall to ``density`` of all weights over ``ramp`` (0 to 1) of ``epochs``; renew the mask by ``score`` every ``interval`` steps.

    With ``second_epochs``, a second training of that many begins from the pruned network, at the full learning rate, and falls to
    ``second_density`` in the same way.
    """

    density: float
    score: Score = Score.MAGNITUDE
    epochs: int = 40
    ramp: float = 0.6
    interval: int = 20
    second_density: float = 0.0
    second_epochs: int = 0

    def __post_init__(self) -> None:
        Retraining.__post_init__(self)
        check_density("prune.density", self.density)
        if self.second_epochs < 0:
            raise RecipeError(path="prune.second_epochs", rule="at least 0", value=self.second_epochs)
        if self.second_epochs and not 0 < self.second_density <= self.density:
            raise RecipeError(path="prune.second_density", rule=f"above 0, at most {self.density}", value=self.second_density)
        if not 0 < self.ramp <= 1:
            raise RecipeError(path="prune.ramp", rule="above 0, at most 1", value=self.ramp)
        if self.interval < 1:
            raise RecipeError(path="prune.interval", rule="at least 1", value=self.interval)

    @property
    def passes(self) -> tuple[tuple[float, float, Descent], ...]:
        """Density at the start and the end of each training, and how it goes."""
        first = (1.0, self.density, self.descent)
        second = (self.density, self.second_density, replace(self.descent, epochs=self.second_epochs))
        return (first, second) if self.second_epochs else (first,)

    def density_at(self, part: float, start: float, end: float) -> float:
        """Density when ``part`` (0 to 1) of a training from density ``start`` to ``end`` is done."""
        return falling(part, self.ramp, start, end)

    def prune(self, given: PruningInput) -> Pruned:
        """Train under the masks."""
        layout, parameters = given.layout, given.parameters
        mask = np.ones(layout.weight_count, dtype=np.bool_)
        finished, epochs = 0, self.epochs + self.second_epochs
        later = given.journal.read("prune pass 1") is not None  # holds all that the first pass left
        for number, (start, end, descent) in enumerate(self.passes):
            if later and number == 0:
                finished += descent.epochs
                continue

            def report(stage: str, done: int, total: int, before: int = finished) -> None:
                given.progress(stage, before + done, epochs)

            masked, gathered = self._masked(layout, parameters, start, end)
            kept = Epochs(given.journal, f"prune pass {number}", masked)
            descend(
                layout, parameters, given.samples, descent, given.generator,
                transform=masked, backward=gathered, stage="prune", progress=report, epochs=kept,
            )  # fmt: skip
            parameters, mask, finished = masked.settle(parameters), masked.mask, finished + descent.epochs
        return Pruned(parameters, by_layer(layout, mask))

    def _masked(self, layout: Layout, parameters: Tensor, start: float, end: float) -> tuple[RenewedMask, GatheredScore | None]:
        """Return the mask of a training from density ``start`` to ``end``, and what must see its gradients."""
        gathered = None if self.score is Score.MAGNITUDE else GatheredScore(self.score, layout, parameters)

        def rule(part: float, current: Tensor) -> BoolArray:
            count = kept_count(layout.weight_count, self.density_at(part, start, end))
            if gathered is None or not gathered.steps:  # nothing is known of the gradients yet
                return lamp_mask(flat_weights(layout, current), count)
            return gathered.mask(count)

        if gathered is None:
            return RenewedMask(layout, rule, self.interval, self.ramp), None
        return ScoredMask(layout, rule, self.interval, self.ramp, gathered), gathered
