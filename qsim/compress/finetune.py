"""Fine-tuning what the weights share: centroids, scales and biases follow their summed gradients.

Adam (Kingma and Ba, ICLR 2015) suits numbers whose gradients differ by orders of magnitude: a centroid sums those of
thousands of weights, a bias has one. After each epoch the errors on the validation split are counted; the epoch with the
fewest is kept, the start included, so that fine-tuning never makes that count worse.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qsim.compress.network import Backpropagation, Layout, Samples, error_count, relabelled
from qsim.compress.shared import Quantised
from qsim.compress.teacher import Teacher
from qsim.compress.train import MAX_SHIFT, batches, random_shift, training_arithmetic
from qsim.errors import RecipeError
from qsim.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """``epochs`` of Adam; 0 leaves everything as it is. ``shift`` is the most pixels a batch is moved.

    ``teacher_weight`` is the share of the float network's answers in what is asked for, at ``temperature``; at 1 no label is read.
    """

    epochs: int = 0
    batch: int = 128
    learning_rate: float = 1e-3
    shift: int = 0
    teacher_weight: float = 0.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise RecipeError(path="finetune.epochs", rule="at least 0", value=self.epochs)
        if self.batch < 1:
            raise RecipeError(path="finetune.batch", rule="at least 1", value=self.batch)
        if not self.learning_rate > 0:
            raise RecipeError(path="finetune.learning_rate", rule="positive", value=self.learning_rate)
        if not 0 <= self.shift <= MAX_SHIFT:
            raise RecipeError(path="finetune.shift", rule=f"0 to {MAX_SHIFT}", value=self.shift)
        if not 0 <= self.teacher_weight <= 1:
            raise RecipeError(path="finetune.teacher_weight", rule="0 to 1", value=self.teacher_weight)
        if not self.temperature > 0:
            raise RecipeError(path="finetune.temperature", rule="positive", value=self.temperature)

    def teacher(self, original: Tensor) -> Teacher | None:
        """Return the float network with flat parameters ``original`` as a teacher; None where it is not asked."""
        return Teacher(original, self.teacher_weight, self.temperature) if self.teacher_weight else None


class Adam:
    """Adam on several tensors, changed in place; the usual decay rates 0.9 and 0.999."""

    def __init__(self, tensors: list[Tensor], rate: float) -> None:
        self._tensors, self._rate, self._step = tensors, rate, 0
        self._first = [torch.zeros_like(tensor) for tensor in tensors]
        self._second = [torch.zeros_like(tensor) for tensor in tensors]

    def step(self, gradients: list[Tensor], factor: float) -> None:
        """Apply one step at ``factor`` times the learning rate."""
        self._step += 1
        first_bias, second_bias = 1 - 0.9**self._step, 1 - 0.999**self._step
        for tensor, gradient, first, second in zip(self._tensors, gradients, self._first, self._second, strict=True):
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            denominator = (second / second_bias).sqrt_().add_(1e-8)
            tensor.addcdiv_(first, denominator, value=-self._rate * factor / first_bias)


def effective(layout: Layout, quantised: Quantised) -> Tensor:
    """Return the flat vector of the weights and biases that ``quantised`` stands for."""
    return torch.cat([*(layer.weights().reshape(-1) for layer in quantised.layers), quantised.biases])


def finetune(
    how: FineTuning,
    layout: Layout,
    quantised: Quantised,
    samples: Samples,
    validation: Samples,
    generator: torch.Generator,
    progress: Progress = silent,
    teacher: Teacher | None = None,
) -> int:
    """Tune ``quantised`` in place on ``samples``; return the errors it then makes on ``validation``.

    The epoch kept is that with the fewest of them; where no label is read, that which differs from the teacher least often.
    """
    judge = validation if teacher is None or teacher.weight < 1 else relabelled(layout, teacher.parameters, validation)
    tuned = [*(layer.trainable for layer in quantised.layers), quantised.biases]
    best, kept = error_count(layout, effective(layout, quantised), judge), [tensor.clone() for tensor in tuned]
    propagate = Backpropagation(layout, samples, min(how.batch, len(samples)), teacher)
    optimiser, gradient = Adam(tuned, how.learning_rate), torch.empty(layout.parameter_count)
    for epoch in range(how.epochs):
        with training_arithmetic():
            for _, chosen in batches(len(samples), how.batch, 1, generator):
                propagate(effective(layout, quantised), chosen, gradient, random_shift(how.shift, generator))
                pulled = [layer.pull_back(part) for layer, part in zip(quantised.layers, layout.weights(gradient), strict=True)]
                optimiser.step([*pulled, gradient[layout.weight_count :]], 1.0 - epoch / how.epochs)
        errors = error_count(layout, effective(layout, quantised), judge)
        if errors < best:
            best, kept = errors, [tensor.clone() for tensor in tuned]
        progress("finetune", epoch + 1, how.epochs)
    for tensor, value in zip(tuned, kept, strict=True):
        tensor.copy_(value)
    return best if judge is validation else error_count(layout, effective(layout, quantised), validation)
