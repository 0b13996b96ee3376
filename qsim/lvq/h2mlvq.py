"""Harmonic-to-minimum LVQ: A. K. Qin, P. N. Suganthan, "Initialization insensitive LVQ algorithm based on cost-function adaptation",
Pattern Recognition 38 (2005).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.lvq.classifier import Batch
from qsim.lvq.glvq import GLVQ, SMALLEST, relative_difference


def power_mean(distances: Tensor, chosen: Tensor, power: float) -> Tensor:
    """Return ``mean(d ** -power) ** (-1 / power)`` [n] over the ``chosen`` of ``distances`` [n, p]: their harmonic mean with power 1, ever
    nearer to the smallest as it rises.
    """
    logs = -power * torch.log(distances + SMALLEST)
    counts = chosen.sum(dim=1).to(distances.dtype)
    return torch.exp(-(torch.logsumexp(logs.masked_fill(~chosen, -math.inf), dim=1) - counts.log()) / power)


@dataclass(kw_only=True, eq=False, repr=False)
class H2MLVQ(GLVQ):
    """GLVQ on harmonic means of the distances to all prototypes of the sample's class and to all others, which become minima during the
    training: where prototypes started does not decide which of them ever learn.

    The mean is that of the squared distances; its power rises geometrically from 1 to ``last_power`` over the
    training, a schedule of our own.
    """

    last_power: float = 16.0

    def _cost(self, batch: Batch) -> Tensor:
        power = self.last_power**batch.part
        right, wrong = (power_mean(batch.distances, chosen, power) for chosen in (batch.same, ~batch.same))
        return torch.sigmoid(self.steepness * relative_difference(right, wrong))
