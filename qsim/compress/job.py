"""The stages of a compression that take long: done once, or taken from the journal of a run that was interrupted."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.finetune import finetune
from qsim.compress.journal import Journal, random_states, restore_random
from qsim.compress.network import Layout, Samples
from qsim.compress.order import order_units
from qsim.compress.prune import Pruned, prune
from qsim.compress.recipe import Recipe
from qsim.compress.shared import Quantised
from qsim.compress.teacher import Teacher
from qsim.progress import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe, and all that its stages need."""

    recipe: Recipe
    layout: Layout
    samples: Samples
    generator: torch.Generator
    random: np.random.Generator
    progress: Progress
    journal: Journal

    def prune(self, parameters: Tensor) -> Pruned:
        """Return the pruned network, its units in order if the recipe says so."""
        kept = self.journal.read("prune")
        if kept is not None:
            restore_random(kept, self.generator, self.random)
            self.progress("prune", 1, 1)
            places = range(len(self.layout.names))
            return Pruned(
                kept["parameters"].clone(), tuple(kept[f"mask {place}"].numpy() for place in places) if "mask 0" in kept else None
            )
        pruned = prune(self.recipe.prune, self.layout, parameters, self.samples, self.generator, self.progress, self.journal)
        pruned = order_units(self.layout, pruned) if self.recipe.order_units else pruned
        masks = {f"mask {place}": torch.from_numpy(mask) for place, mask in enumerate(pruned.masks or ())}
        self.journal.write("prune", {"parameters": pruned.parameters, **masks, **random_states(self.generator, self.random)}, "prune")
        return pruned

    def finetune(self, quantised: Quantised, validation: Samples, teacher: Teacher | None = None) -> int:
        """Tune ``quantised`` in place, by ``teacher`` too if there is one; return the errors it then makes on ``validation``."""
        tuned = [*(layer.trainable for layer in quantised.layers), quantised.biases]
        kept = self.journal.read("finetune")
        if kept is not None:
            for place, tensor in enumerate(tuned):
                tensor.copy_(kept[f"tuned {place}"])
            self.progress("finetune", 1, 1)
            return int(kept["errors"])
        how = self.recipe.finetune
        errors = finetune(how, self.layout, quantised, self.samples, validation, self.generator, self.progress, teacher)
        self.journal.write("finetune", {"errors": torch.tensor(errors), **{f"tuned {place}": value for place, value in enumerate(tuned)}})
        return errors
