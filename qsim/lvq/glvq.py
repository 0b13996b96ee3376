"""Generalised LVQ: A. Sato, K. Yamada, NIPS 1995."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.lvq import distances
from qsim.lvq.classifier import Batch, PrototypeClassifier

SMALLEST = 1e-12  # so that a sample on two prototypes divides by something


def relative_difference(right: Tensor, wrong: Tensor) -> Tensor:
    """Return ``(d+ - d-) / (d+ + d-)``, -1 to 1, negative where the sample is classified correctly."""
    return (right - wrong) / (right + wrong + SMALLEST)


@dataclass(kw_only=True, eq=False, repr=False)
class GLVQ(PrototypeClassifier):
    """Minimises ``sigmoid(steepness * mu)`` with ``mu = (d+ - d-) / (d+ + d-)``: d+ to the nearest prototype of the sample's class, d- to
    the nearest of another.
    """

    steepness: float = 4.0

    def _distances(self, inputs: Tensor) -> Tensor:
        return distances.euclidean(inputs, self._values["prototypes"])

    def _cost(self, batch: Batch) -> Tensor:
        return torch.sigmoid(self.steepness * relative_difference(*batch.nearest()))
