"""The lottery ticket: prune what a training ends at, go back to its random start, train again (Frankle and Carbin, ICLR 2019).

Each of several rounds trains, drops the smallest weights of every layer and rewinds the survivors to what they were before training, or
after its first epochs (Frankle et al., Linear mode connectivity and the lottery ticket hypothesis, ICML 2020). The density of hidden
layers falls geometrically; of the last layer half as large a part is dropped a round, as in the paper. The given weights are not used:
the start comes from the recipe's seed. ``start = "random"`` draws new starts instead, the control of the paper.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from qsim.compress.masked import MaskedParameters, Retraining, by_layer, check_density, flat_weights
from qsim.compress.masks import BoolArray, kept_count, magnitude_mask
from qsim.compress.prune import Pruned, PruningInput
from qsim.compress.train import descend, initial_parameters, steps_in
from qsim.errors import RecipeError


class Start(StrEnum):
    """Where the survivors of a round begin."""

    REWIND = "rewind"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class LotteryPruning(Retraining):
    """``rounds`` down to ``density`` of the hidden layers, ``epochs`` of training each, rewound to ``rewind_epochs`` of the first."""

    density: float
    rounds: int = 6
    epochs: int = 6
    rewind_epochs: int = 0
    start: Start = Start.REWIND

    def __post_init__(self) -> None:
        Retraining.__post_init__(self)
        check_density("prune.density", self.density)
        if self.rounds < 1:
            raise RecipeError(path="prune.rounds", rule="at least 1", value=self.rounds)
        if not 0 <= self.rewind_epochs < max(self.epochs, 1):
            raise RecipeError(path="prune.rewind_epochs", rule=f"0 to {max(self.epochs, 1) - 1}", value=self.rewind_epochs)

    def density_of(self, last: bool, finished: int) -> float:
        """Density of a layer after ``finished`` rounds; ``last``: of the layer that gives the classes."""
        a_round = self.density ** (1 / self.rounds)
        return float(((1 + a_round) / 2 if last else a_round) ** finished)

    def prune(self, given: PruningInput) -> Pruned:
        """Find the ticket and train it."""
        layout, generator, journal = given.layout, given.generator, given.journal
        mask: BoolArray = np.ones(layout.weight_count, dtype=np.bool_)
        kept = journal.read("prune rounds")
        if kept is None:
            parameters = initial_parameters(layout, generator)
            beginning = self._train(given, parameters, mask, 0)
        else:
            parameters, beginning, mask = kept["parameters"].clone(), kept["beginning"].clone(), kept["mask"].numpy()
            generator.set_state(kept["torch random"])
        for finished in range(int(kept["rounds"]) if kept else 0, self.rounds):
            last = len(layout.sizes) - 1
            densities = [self.density_of(layer == last and layer > 0, finished + 1) for layer in range(len(layout.sizes))]
            counts = [kept_count(size, density) for size, density in zip(layout.sizes, densities, strict=True)]
            mask = magnitude_mask(flat_weights(layout, MaskedParameters(layout, torch.from_numpy(mask))(0, 1, parameters)), counts)
            parameters = beginning.clone() if self.start is Start.REWIND else initial_parameters(layout, generator)
            self._train(given, parameters, mask, finished + 1)
            state = {"parameters": parameters, "beginning": beginning, "mask": torch.from_numpy(mask), "rounds": torch.tensor(finished + 1)}
            journal.write("prune rounds", {**state, "torch random": generator.get_state()})
        return Pruned(MaskedParameters(layout, torch.from_numpy(mask))(0, 1, parameters).clone(), by_layer(layout, mask))

    def _train(self, given: PruningInput, parameters: Tensor, mask: BoolArray, number: int) -> Tensor:
        """Train ``parameters`` in place under ``mask`` and return what they were after ``rewind_epochs``."""
        beginning = Remembered(
            MaskedParameters(given.layout, torch.from_numpy(mask)), steps_in(given.samples, self.batch, self.rewind_epochs), parameters
        )

        def report(stage: str, done: int, total: int) -> None:
            given.progress(stage, number * self.epochs + done, (self.rounds + 1) * total)

        descend(given.layout, parameters, given.samples, self.descent, given.generator, transform=beginning, stage="prune", progress=report)
        return beginning.parameters


class Remembered:
    """A transform that keeps a copy of what was trained before step ``at``."""

    def __init__(self, masked: MaskedParameters, at: int, parameters: Tensor) -> None:
        self._masked, self._at = masked, at
        self.parameters = parameters.clone()

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the masked vector."""
        if step == self._at:
            self.parameters = parameters.clone()
        return self._masked(step, steps, parameters)
