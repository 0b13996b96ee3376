"""Iterative pruning with a density a layer that follows from how sensitive the layer is (Han et al., NIPS 2015, section 3.1 and Fig. 6).

Each layer alone is pruned by magnitude, without retraining, to falling densities, and the rise of the loss is measured. The densities of
all layers are then those at which each layer alone costs the same rise, as high as keeps ``density`` of all weights. Pruning goes on as
in :mod:`qsim.compress.pruners.iterative`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch.nn.functional as f
from torch import Tensor

from qsim.compress.masked import Retraining, check_density, flat_weights
from qsim.compress.masks import kept_count, largest
from qsim.compress.network import Layout, Samples, forward
from qsim.compress.prune import Pruned, PruningInput
from qsim.compress.pruners.iterative import IterativePruning
from qsim.errors import RecipeError
from qsim.progress import Progress, silent

FloatArray = npt.NDArray[np.float64]
SCANNED = 2_000  # training samples whose loss is measured
BATCH = 500
BISECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityPruning(Retraining):
    """Keep ``density`` of all weights, in ``rounds``; the loss is measured at ``levels`` densities of every layer, down to density / 8."""

    density: float
    levels: int = 12
    rounds: int = 4
    epochs: int = 6
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        Retraining.__post_init__(self)
        check_density("prune.density", self.density)
        for name, least in (("levels", 2), ("rounds", 1)):
            if getattr(self, name) < least:
                raise RecipeError(path=f"prune.{name}", rule=f"at least {least}", value=getattr(self, name))

    @property
    def scanned(self) -> FloatArray:
        """The densities at which each layer is measured [levels], from 1 down to an eighth of ``density``."""
        return np.geomspace(1.0, self.density / 8, self.levels)

    def prune(self, given: PruningInput) -> Pruned:
        """Measure, choose the densities, then drop and retrain."""
        rises = sensitivities(given.layout, given.parameters, given.samples.first(SCANNED), self.scanned, given.progress)
        densities = equal_rise(rises, self.scanned, np.array(given.layout.sizes), self.density)
        rest = {name: getattr(self, name) for name in ("epochs", "batch", "learning_rate", "weight_decay", "shift", "max_norm")}
        return IterativePruning(densities=tuple(densities.tolist()), rounds=self.rounds, **rest).prune(given)


def sensitivities(layout: Layout, parameters: Tensor, samples: Samples, densities: FloatArray, progress: Progress = silent) -> FloatArray:
    """Return how much the mean cross-entropy of ``samples`` rises when a layer alone keeps each of ``densities``: [layers, levels].

    A curve never falls where the density does: a fall would be chance.
    """
    whole = _loss(layout, parameters, samples)
    rises = np.zeros((len(layout.names), len(densities)))
    for place, size in enumerate(layout.sizes):
        for level, density in enumerate(densities):
            pruned = parameters.clone()
            weight = flat_weights(layout, pruned)[place]
            weight *= largest(np.abs(weight), kept_count(size, float(density)))
            rises[place, level] = _loss(layout, pruned, samples) - whole
            progress("sensitivity", place * len(densities) + level + 1, rises.size)
    return np.maximum.accumulate(np.maximum(rises, 0.0), axis=1)


def equal_rise(rises: FloatArray, densities: FloatArray, sizes: npt.NDArray[np.int_], density: float) -> FloatArray:
    """Return the density of each layer [layers] at which ``rises`` [layers, levels] cost all the same and ``density`` of ``sizes`` is kept.

    Between levels (``densities`` [levels], falling) the rise is linear in the logarithm of the density.
    """
    steps = np.log(densities)

    def chosen(rise: float) -> FloatArray:
        found = np.empty(len(rises))
        for place, curve in enumerate(rises):
            above = int(np.searchsorted(curve, rise, side="right"))  # the first level that costs more
            if above == len(curve):
                found[place] = steps[-1]
                continue
            low, high = curve[above - 1], curve[above]
            found[place] = steps[above - 1] + (steps[above] - steps[above - 1]) * (rise - low) / (high - low)
        return np.exp(found)

    low, high = 0.0, float(rises.max())
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        kept = float(chosen(middle) @ sizes) / float(sizes.sum())
        low, high = (middle, high) if kept > density else (low, middle)
    return chosen(high)


def _loss(layout: Layout, parameters: Tensor, samples: Samples) -> float:
    total = 0.0
    for start in range(0, len(samples), BATCH):
        part = slice(start, start + BATCH)
        logits = forward(layout, parameters, samples.normalised(part), samples.offset)[-1]
        total += float(f.cross_entropy(logits, samples.labels[part], reduction="sum"))
    return total / len(samples)
