"""Generalised matrix LVQ: P. Schneider, M. Biehl, B. Hammer, Neural Computation 21 (2009); limited rank: K. Bunte et al., Neural
Networks 26 (2012).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.errors import RecipeError
from qsim.lvq import distances
from qsim.lvq.glvq import GLVQ


@dataclass(kw_only=True, eq=False, repr=False)
class GMLVQ(GLVQ):
    """GLVQ with a matrix: ``d = |(x - w) omega|^2``, the diagonal of ``omega omega^T`` adds up to 1.

    ``rank``: columns of omega, at most as many as features; None: as many. It starts as the identity, or with fewer columns as the
    principal directions of the inputs. ``omega_`` [features, rank]. ``metric_rate``: learning rate of the metric.
    """

    rank: int | None = None
    metric_rate: float = 0.01

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.rank is not None and self.rank < 1:
            raise RecipeError(path=f"{type(self).__name__}.rank", rule="at least 1, or None", value=self.rank)

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        super()._begin(inputs, targets, random)
        features = inputs.shape[1]
        omega = torch.eye(features, dtype=torch.float64)
        if self.rank is not None and self.rank < features:
            omega = torch.linalg.eigh(inputs.T @ inputs).eigenvectors[:, -self.rank :].contiguous()
        self._values["omega"] = self._one_or_each(omega).clone().requires_grad_()

    def _one_or_each(self, omega: Tensor) -> Tensor:
        return omega

    def _rate(self, name: str) -> float:
        return self.metric_rate if name == "omega" else self.learning_rate

    def _distances(self, inputs: Tensor) -> Tensor:
        return distances.projected(inputs, self._values["prototypes"], distances.normalised_matrix(self._values["omega"]))

    def _finish(self) -> None:
        super()._finish()
        self.omega_ = distances.normalised_matrix(self._values["omega"]).numpy()
