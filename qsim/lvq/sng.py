"""Supervised neural gas: B. Hammer, M. Strickert, T. Villmann, Neural Processing Letters 21 (2005)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.lvq.classifier import Batch
from qsim.lvq.glvq import GLVQ, relative_difference

LAST_RANGE = 0.01  # of the neighbourhood: only the nearest prototype is left


@dataclass(kw_only=True, eq=False, repr=False)
class SNG(GLVQ):
    """GLVQ in which all prototypes of the sample's class learn, the nearest most: weight ``exp(-rank / range)``.

    The range falls geometrically from half the prototypes of a class, so that where they started matters less.
    """

    def _cost(self, batch: Batch) -> Tensor:
        own = batch.distances.detach().masked_fill(~batch.same, torch.inf)
        ranks = own.argsort(dim=1).argsort(dim=1)
        first = max(self.prototypes_per_class / 2.0, LAST_RANGE)
        reach = first * (LAST_RANGE / first) ** batch.part
        weights = torch.exp(-ranks / reach) * batch.same
        _, wrong = batch.nearest()
        costs = torch.sigmoid(self.steepness * relative_difference(batch.distances, wrong[:, None]))
        return (weights * costs).sum(dim=1) / weights.sum(dim=1)
