"""Supervised growing neural gas: A. Jirayusakul, S. Auwatanamongkol, Neurocomputing 71 (2007)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.lvq.classifier import Batch
from qsim.lvq.glvq import GLVQ, relative_difference
from qsim.lvq.start import JITTER, start_prototypes

GROWTH = 0.7  # of the training in which prototypes are added


@dataclass(kw_only=True, eq=False, repr=False)
class SGNG(GLVQ):
    """GLVQ with a graph of neighbours in each class that grows from one prototype a class to ``prototypes_per_class``.

    The two prototypes of the sample's class that are nearest are joined; an edge of the nearest that was not renewed for ``oldest`` samples
    is dropped. Neighbours of the nearest learn ``neighbour_weight`` as much. During the first part of the training, prototypes are added
    between the one with the largest share of the cost and its neighbour with the largest, as in growing neural gas (Fritzke 1995).
    """

    oldest: int = 50
    neighbour_weight: float = 0.1

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        starts, self._labels = start_prototypes(inputs, targets, 1, random)
        self._values = {"prototypes": starts.requires_grad_()}
        self._random = np.random.RandomState(random.randint(2**31 - 1))
        count = len(self._labels)
        self._errors = torch.zeros(count, dtype=torch.float64)
        self._ages = torch.full((count, count), -1, dtype=torch.int64)  # -1: not joined

    def _cost(self, batch: Batch) -> Tensor:
        own = batch.distances.detach().masked_fill(~batch.same, torch.inf)
        nearest, second = own.argsort(dim=1)[:, :2].T
        self._join(nearest, second, own)
        weights = torch.where(self._ages[nearest] >= 0, self.neighbour_weight, 0.0)
        weights[torch.arange(len(nearest)), nearest] = 1.0
        weights = weights * batch.same
        _, wrong = batch.nearest()
        costs = torch.sigmoid(self.steepness * relative_difference(batch.distances, wrong[:, None]))
        self._errors.index_add_(0, nearest, costs.detach().gather(1, nearest[:, None])[:, 0])
        return (weights * costs).sum(dim=1)

    def _join(self, nearest: Tensor, second: Tensor, own: Tensor) -> None:
        """Renew the edges between the two nearest, let the others of the nearest age, drop the oldest."""
        wins = torch.bincount(nearest, minlength=len(self._labels))
        self._ages = torch.where(self._ages >= 0, self._ages + wins[:, None] + wins, self._ages)
        there = torch.isfinite(own.gather(1, second[:, None])[:, 0])
        self._ages[nearest[there], second[there]] = 0
        self._ages[second[there], nearest[there]] = 0
        self._ages[self._ages > self.oldest] = -1

    def _epoch_ends(self, part: float) -> bool:
        wanted = 1 + round((self.prototypes_per_class - 1) * min(1.0, part / GROWTH))
        changed = False
        while True:
            counts = torch.bincount(self._labels)
            short = counts[self._labels] < wanted
            if not bool(short.any()):
                return changed
            self._insert(int(torch.where(short, self._errors, -1.0).argmax()))
            changed = True

    def _insert(self, worst: int) -> None:
        """Add a prototype between ``worst`` and its worst neighbour, whose edge it takes over; those of a class stay together."""
        values = self._values["prototypes"].detach()
        neighbours = (self._ages[worst] >= 0).nonzero()[:, 0]
        joined = [worst]
        if len(neighbours):
            other = int(neighbours[self._errors[neighbours].argmax()])
            self._ages[worst, other] = self._ages[other, worst] = -1
            joined.append(other)
            new = 0.5 * (values[worst] + values[other])
        else:
            new = values[worst] + 10.0 * JITTER * torch.from_numpy(self._random.standard_normal(values.shape[1]))
        place = worst + 1
        self._values = {"prototypes": torch.cat((values[:place], new[None], values[place:])).requires_grad_()}
        self._labels = torch.cat((self._labels[:place], self._labels[worst : worst + 1], self._labels[place:]))
        self._errors[worst] *= 0.5
        self._errors = torch.cat((self._errors[:place], self._errors[worst : worst + 1], self._errors[place:]))
        order = torch.cat((torch.arange(place), torch.tensor([len(values)]), torch.arange(place, len(values))))
        ages = torch.full((len(values) + 1, len(values) + 1), -1, dtype=torch.int64)
        ages[:-1, :-1] = self._ages
        ages[-1, joined] = ages[joined, -1] = 0
        self._ages = ages[order][:, order]
