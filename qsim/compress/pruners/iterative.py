"""Iterative pruning (Han et al., Learning both weights and connections, NIPS 2015; the first stage of Deep Compression).

In each of several rounds, every layer drops its smallest weights for good, then the survivors are retrained. The density falls
geometrically, ``density_r = target^(r / rounds)``.
"""

from dataclasses import dataclass

import numpy as np
import torch

from qsim.compress.masked import MaskedParameters, Retraining, by_layer, check_density, flat_weights
from qsim.compress.masks import kept_count, magnitude_mask
from qsim.compress.prune import Pruned, PruningInput
from qsim.compress.train import descend
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class IterativePruning(Retraining):
    """Drop to ``densities`` (one a layer, 0 to 1) in ``rounds``, each followed by ``epochs`` of retraining."""

    densities: tuple[float, ...]
    rounds: int = 4
    epochs: int = 6
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        Retraining.__post_init__(self)
        for place, density in enumerate(self.densities):
            check_density(f"prune.densities[{place}]", density)
        if self.rounds < 1:
            raise RecipeError(path="prune.rounds", rule="at least 1", value=self.rounds)

    def density(self, layer: int, finished: int) -> float:
        """Density of ``layer`` after ``finished`` rounds."""
        return float(self.densities[layer] ** (finished / self.rounds))

    def prune(self, given: PruningInput) -> Pruned:
        """Drop and retrain, round after round."""
        layout, parameters, journal = given.layout, given.parameters, given.journal
        if len(self.densities) != len(layout.names):
            raise RecipeError(path="prune.densities", rule=f"{len(layout.names)} numbers, one a layer", value=len(self.densities))
        mask = np.ones(layout.weight_count, dtype=np.bool_)
        kept = journal.read("prune rounds")
        if kept is not None:
            parameters, mask = kept["parameters"].clone(), kept["mask"].numpy()
            given.generator.set_state(kept["torch random"])
        for finished in range(int(kept["rounds"]) if kept else 0, self.rounds):
            counts = [kept_count(size, self.density(layer, finished + 1)) for layer, size in enumerate(layout.sizes)]
            mask = magnitude_mask(flat_weights(layout, parameters), counts)
            masked = MaskedParameters(layout, torch.from_numpy(mask))

            def report(stage: str, done: int, total: int, before: int = finished * self.epochs) -> None:
                given.progress(stage, before + done, self.rounds * total)

            descend(layout, parameters, given.samples, self.descent, given.generator, transform=masked, stage="prune", progress=report)
            parameters = masked(0, 1, parameters).clone()  # what was dropped in this round stays dropped
            state = {"parameters": parameters, "mask": torch.from_numpy(mask), "rounds": torch.tensor(finished + 1)}
            journal.write("prune rounds", {**state, "torch random": given.generator.get_state()})
        return Pruned(parameters, by_layer(layout, mask))
