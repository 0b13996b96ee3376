"""Kernel robust soft LVQ: D. Hofmann, B. Hammer, ANNPR 2012."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.errors import RecipeError
from qsim.lvq.rslvq import RSLVQ
from qsim.lvq.start import start_prototypes

KERNELS = ("rbf", "linear")


@dataclass(kw_only=True, eq=False, repr=False)
class KRSLVQ(RSLVQ):
    """RSLVQ in the space of a kernel, where a prototype is a weighted sum of the training inputs: ``d = k(x, x) - 2 g k + g^T K g``.

    ``kernel``: "rbf", ``exp(-gamma |x - z|^2)``, or "linear". ``gamma``: in the units in which the inputs' variance is 1; None:
    1 / features. Memory grows with the square of the number of training inputs. A prototype starts as the mean of the samples of its class
    that are nearest to one of the class's cluster centres. ``coefficients_`` [prototypes, training inputs].
    """

    kernel: str = "rbf"
    gamma: float | None = None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.kernel not in KERNELS:
            raise RecipeError(path="KRSLVQ.kernel", rule="a kernel", value=self.kernel, legal=KERNELS)

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        starts, self._labels = start_prototypes(inputs, targets, self.prototypes_per_class, random)
        away = torch.cdist(inputs, starts).masked_fill(targets[:, None] != self._labels, torch.inf)
        members = (away.argmin(dim=1)[None] == torch.arange(len(starts))[:, None]).double()
        alone = members.sum(dim=1) == 0  # a centre that no sample is nearest to takes the nearest one
        members[alone] = torch.eye(len(inputs), dtype=torch.float64)[away.argmin(dim=0)[alone]]
        self._inputs, self._sizes = inputs, members.sum(dim=1, keepdim=True)
        self._gram = self._kernel(inputs, inputs)
        self._values = {"members": members.requires_grad_()}
        self._set_variance(inputs, targets)

    def _kernel(self, left: Tensor, right: Tensor) -> Tensor:
        products = left @ right.T
        if self.kernel == "linear":
            return products
        squares = left.square().sum(dim=1)[:, None] - 2.0 * products + right.square().sum(dim=1)
        return torch.exp(-(1.0 / left.shape[1] if self.gamma is None else self.gamma) * squares.clamp_min(0.0))

    def _distances(self, inputs: Tensor) -> Tensor:
        coefficients = self._values["members"] / self._sizes
        own = inputs.square().sum(dim=1) if self.kernel == "linear" else torch.ones(len(inputs), dtype=torch.float64)
        middle = ((coefficients @ self._gram) * coefficients).sum(dim=1)
        return (own[:, None] - 2.0 * self._kernel(inputs, self._inputs) @ coefficients.T + middle).clamp_min(0.0)

    def _width(self) -> int:
        return len(self._inputs)

    def _finish(self) -> None:
        self._values = {name: value.detach() for name, value in self._values.items()}
        self.coefficients_ = (self._values["members"] / self._sizes).numpy()
