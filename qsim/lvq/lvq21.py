"""LVQ2.1: T. Kohonen, "Improved versions of learning vector quantization", IJCNN 1990."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.lvq import distances
from qsim.lvq.classifier import Batch, PrototypeClassifier


@dataclass(kw_only=True, eq=False, repr=False)
class LVQ21(PrototypeClassifier):
    """Moves the nearest prototype of the sample's class to it and the nearest of another away, if the sample lies in a window between them:
    ``min(d+/d-, d-/d+) > (1 - window) / (1 + window)`` with distances that are not squared. (The review prints "<", which would be all but
    the window; Kohonen also asks that these two be the nearest of all.)

    The step ``rate * (x - w)`` is the gradient of ``(d+ - d-) / 2``, descended without momentum and added up over a batch. There is no
    bound below that cost: prototypes leave the data if trained for long, which the review reports too.
    """

    batch_size: int = 8
    learning_rate: float = 0.01
    window: float = 0.3

    def _optimiser(self) -> torch.optim.Optimizer:
        groups = [{"params": [value], "lr": self.learning_rate, "initial_lr": self.learning_rate} for value in self._values.values()]
        return torch.optim.SGD(groups)

    def _distances(self, inputs: Tensor) -> Tensor:
        return distances.euclidean(inputs, self._values["prototypes"])

    def _cost(self, batch: Batch) -> Tensor:
        right, wrong = batch.nearest()
        ratio = torch.minimum(right / wrong, wrong / right).nan_to_num(nan=1.0)
        inside = ratio.detach().sqrt() > (1.0 - self.window) / (1.0 + self.window)
        return 0.5 * len(right) * inside * (right - wrong)
