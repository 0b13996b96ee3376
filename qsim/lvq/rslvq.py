"""Robust soft LVQ: S. Seo, K. Obermayer, Neural Computation 15 (2003)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.lvq import distances
from qsim.lvq.classifier import Batch, PrototypeClassifier


def likelihood_ratio(batch: Batch, variance: float) -> Tensor:
    """Return ``-log p(x, y) / p(x)`` [n] of Gaussians of that ``variance`` around the prototypes."""
    exponents = -batch.distances / (2.0 * variance)
    return torch.logsumexp(exponents, dim=1) - torch.logsumexp(exponents.masked_fill(~batch.same, -torch.inf), dim=1)


@dataclass(kw_only=True, eq=False, repr=False)
class RSLVQ(PrototypeClassifier):
    """Maximises the likelihood of the class given the input under a mixture of Gaussians around the prototypes.

    Their variance is ``softness`` times the mean squared distance of the samples from the nearest prototype of their class at the start;
    ``variance_`` holds it, in the squared units of the inputs.
    """

    softness: float = 0.2

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        super()._begin(inputs, targets, random)
        self._set_variance(inputs, targets)

    def _set_variance(self, inputs: Tensor, targets: Tensor) -> None:
        """Measure the distances at the start."""
        with torch.no_grad():
            right, _ = Batch(self._distances(inputs), targets[:, None] == self._labels, 0.0).nearest()
        self._variance = max(self.softness * float(right.mean()), 1e-9)
        self.variance_ = self._variance * self._scale**2

    def _distances(self, inputs: Tensor) -> Tensor:
        return distances.euclidean(inputs, self._values["prototypes"])

    def _cost(self, batch: Batch) -> Tensor:
        return likelihood_ratio(batch, self._variance)
