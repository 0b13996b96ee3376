"""Distillation: the float network teaches the compressed one what it would answer.

With logits z of the student and t of the teacher, temperature T and weight a, the loss is
``(1 - a) cross_entropy(z, label) + a T^2 cross_entropy(softmax(z / T), softmax(t / T))`` (Hinton et al., arXiv:1503.02531, section 2); its
gradient by z is ``(1 - a) (softmax(z) - onehot) + a T (softmax(z / T) - softmax(t / T))``. With a = 1 no label is read.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as f
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """The flat ``parameters`` of a network of the student's layout, the ``weight`` of its answers (0 to 1) and the ``temperature``."""

    parameters: Tensor
    weight: float
    temperature: float

    def loss(self, logits: Tensor, answers: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of ``logits`` [n, classes], given the teacher's, ``answers`` [n, classes], and ``labels`` [n]."""
        soft = f.cross_entropy(logits / self.temperature, torch.softmax(answers / self.temperature, 1))
        return (1 - self.weight) * f.cross_entropy(logits, labels) + self.weight * self.temperature**2 * soft

    def gradient(self, logits: Tensor, answers: Tensor, onehot: Tensor) -> Tensor:
        """Return the gradient of that loss by ``logits``; ``onehot`` [n, classes] are the labels."""
        hard = torch.softmax(logits, 1) - onehot
        soft = torch.softmax(logits / self.temperature, 1) - torch.softmax(answers / self.temperature, 1)
        return hard.mul_(1 - self.weight).add_(soft, alpha=self.weight * self.temperature).div_(len(logits))
