"""Which weights matter, by what training says of them: scores that gather from the gradients.

========= ========================================================================================================================
score     of a weight w with the gradient g of the loss at the network computed with, step by step
========= ========================================================================================================================
magnitude none is gathered: LAMP of the weights (:mod:`qsim.compress.masks`)
movement  the sum of ``-rate * g * w``: high where the steps carry a weight away from zero (Sanh et al., Movement pruning, NeurIPS 2020).
          As there, a dropped weight rests while its score goes on, and comes back with the value it had
taylor    the running mean of ``(g * w)^2``, the square of what the loss would change by without the weight, to first order (Molchanov
          et al., Importance estimation for neural network pruning, CVPR 2019)
========= ========================================================================================================================

Gathered scores are compared over all layers; the best weight of every layer is kept whatever it scores.
"""

from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from qsim.compress.journal import Tensors
from qsim.compress.masks import BoolArray, largest
from qsim.compress.network import Layout

MOMENTUM = 0.99  # of the running mean: the last hundred steps count


class Score(StrEnum):
    """The scores."""

    MAGNITUDE = "magnitude"
    MOVEMENT = "movement"
    TAYLOR = "taylor"


class GatheredScore:
    """The movement or Taylor score of the weights of ``parameters``, the flat vector that is being trained in place."""

    def __init__(self, kind: Score, layout: Layout, parameters: Tensor) -> None:
        self._kind, self._layout, self._parameters = kind, layout, parameters
        self._scores, self._kept = torch.zeros(layout.weight_count), torch.ones(layout.weight_count)
        self.steps = 0

    def __call__(self, gradient: Tensor, rate: float) -> None:
        """Gather from the ``gradient`` (flat) of one step of learning rate ``rate``."""
        count = self._layout.weight_count
        products = gradient[:count] * self._parameters[:count]
        if self._kind is Score.MOVEMENT:
            self._scores.sub_(products, alpha=rate)
            gradient[:count].mul_(self._kept)  # a dropped weight rests; only its score goes on
        else:
            self._scores.mul_(MOMENTUM).add_(products.square_(), alpha=1 - MOMENTUM)
        self.steps += 1

    def mask(self, count: int) -> BoolArray:
        """Return the flat mask of exactly ``count`` weights of highest score (at least one a layer)."""
        scores = self._scores.numpy().copy()
        ends = np.cumsum(self._layout.sizes)
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            scores[start + int(np.argmax(scores[start:end]))] = np.inf
        mask = largest(scores, max(count, len(ends)))
        self._kept = torch.from_numpy(mask.astype(np.float32))
        return mask

    def state(self) -> dict[str, Tensor]:
        """Return what has been gathered."""
        return {"scores": self._scores, "score mask": self._kept, "score steps": torch.tensor(self.steps)}

    def restore(self, kept: Tensors) -> None:
        """Take up what :meth:`state` gave."""
        self._scores.copy_(kept["scores"])
        self._kept.copy_(kept["score mask"])
        self.steps = int(kept["score steps"])
