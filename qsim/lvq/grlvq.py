"""Generalised relevance LVQ: B. Hammer, T. Villmann, Neural Networks 15 (2002)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.lvq import distances
from qsim.lvq.glvq import GLVQ


@dataclass(kw_only=True, eq=False, repr=False)
class GRLVQ(GLVQ):
    """GLVQ with a relevance for each feature: ``d = sum_i r_i (x_i - w_i)^2``, ``sum_i r_i = 1``.

    ``relevances_`` [features]. ``metric_rate``: learning rate of the metric.
    """

    metric_rate: float = 0.01

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        super()._begin(inputs, targets, random)
        self._values["roots"] = torch.ones(self._metric_shape(inputs.shape[1]), dtype=torch.float64).requires_grad_()

    def _metric_shape(self, features: int) -> tuple[int, ...]:
        return (features,)

    def _rate(self, name: str) -> float:
        return self.metric_rate if name == "roots" else self.learning_rate

    def _distances(self, inputs: Tensor) -> Tensor:
        return distances.weighted(inputs, self._values["prototypes"], distances.normalised_relevances(self._values["roots"]))

    def _finish(self) -> None:
        super()._finish()
        self.relevances_ = distances.normalised_relevances(self._values["roots"]).numpy()
