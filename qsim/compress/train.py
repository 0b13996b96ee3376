"""Training by stochastic gradient descent with momentum and a cosine learning rate, reproducible from a seed.

``v = momentum v + (g + decay w);  w = w - rate v`` with ``rate = peak (1 + cos(pi t / T)) / 2`` over all T steps.

What the network computes with may differ from what is trained: a :class:`Transform` maps the trained vector to the
effective one (masked, projected), and the gradient at the effective point is applied to the trained one. That is the
straight-through estimator; it lets a pruned weight grow back.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qsim.compress.journal import Epochs
from qsim.compress.network import Backpropagation, Layout, Samples, error_count
from qsim.compress.task import DataLike, FloatState, TaskLike
from qsim.errors import RecipeError
from qsim.progress import Progress, silent

MAX_SHIFT = 4
DIVERGED = 1e4  # no weight of a network that learns on normalised inputs comes near this


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How to descend: ``learning_rate`` is the peak, ``batch`` samples a step, ``shift`` the most pixels a batch is moved.

    A gradient longer than ``max_norm`` is cut to that length (Pascanu et al., ICML 2013); 0: never.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    shift: int = 0
    max_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise RecipeError(path="epochs", rule="at least 0", value=self.epochs)
        if self.batch < 1:
            raise RecipeError(path="batch", rule="at least 1", value=self.batch)
        if not self.learning_rate > 0:
            raise RecipeError(path="learning_rate", rule="positive", value=self.learning_rate)
        if not 0 <= self.momentum < 1:
            raise RecipeError(path="momentum", rule="at least 0 and below 1", value=self.momentum)
        if self.weight_decay < 0:
            raise RecipeError(path="weight_decay", rule="at least 0", value=self.weight_decay)
        if not self.max_norm >= 0:
            raise RecipeError(path="max_norm", rule="at least 0", value=self.max_norm)
        if not 0 <= self.shift <= MAX_SHIFT:
            raise RecipeError(path="shift", rule=f"0 to {MAX_SHIFT}", value=self.shift)


class Transform(Protocol):
    """From the trained flat vector to the one the network computes with."""

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the effective vector at ``step`` of ``steps``; may be ``parameters`` itself."""


def identity(step: int, steps: int, parameters: Tensor) -> Tensor:
    """Compute with the trained vector itself."""
    return parameters


@contextmanager
def training_arithmetic() -> Iterator[None]:
    """Train on one thread, with matrix products of bfloat16 factors where the processor has them, and restore on exit.

    More threads would spin against other work. bfloat16 factors with float32 sums halve the time of a step on
    processors with matrix tiles and change nothing on others; errors are always counted in full precision.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.set_flush_denormal(False)


def batches(count: int, batch: int, epochs: int, generator: torch.Generator, finished: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Yield ``(epoch, chosen sample numbers [batch])`` in a new random order each epoch, the ``finished`` ones left out.

    A last partial batch is left out.
    """
    size = min(batch, count)
    for epoch in range(finished, epochs):
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - size + 1, size):
            yield epoch, order[start : start + size]


def random_shift(most: int, generator: torch.Generator) -> tuple[int, int]:
    """Return how far to move a batch down and right: whole pixels, uniform in ``-most`` to ``most``.

    Moving every image of a batch alike costs next to nothing and still teaches the network that place does not matter.
    """
    if most == 0:
        return 0, 0
    down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    return down, right


def steps_in(samples: Samples, batch: int, epochs: int) -> int:
    """Return how many steps :func:`batches` yields."""
    return epochs * (len(samples) // min(batch, len(samples)))


def descend(
    layout: Layout,
    parameters: Tensor,
    samples: Samples,
    how: Descent,
    generator: torch.Generator,
    *,
    transform: Transform = identity,
    backward: Callable[[Tensor, float], None] | None = None,
    stage: str = "train",
    progress: Progress = silent,
    epochs: Epochs | None = None,
) -> None:
    """Train ``parameters`` (flat vector, changed in place) on ``samples``; ``epochs`` is where finished epochs are written down.

    ``backward`` is called with each gradient at the effective point, which it may change, and the learning rate of the step.
    """
    gradient, velocity = torch.empty_like(parameters), torch.zeros_like(parameters)
    propagate = Backpropagation(layout, samples, min(how.batch, len(samples)))
    steps = steps_in(samples, how.batch, how.epochs)
    per_epoch = steps // how.epochs if how.epochs else 0
    finished = epochs.resume(parameters, velocity, generator) if epochs else 0
    with training_arithmetic():
        for step, (epoch, chosen) in enumerate(batches(len(samples), how.batch, how.epochs, generator, finished), finished * per_epoch):
            propagate(transform(step, steps, parameters), chosen, gradient, random_shift(how.shift, generator))
            rate = how.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            if backward is not None:
                backward(gradient, rate)
            if how.max_norm:
                gradient.mul_(min(1.0, how.max_norm / max(float(gradient.norm()), 1e-12)))
            gradient.add_(parameters, alpha=how.weight_decay)
            torch.add(gradient, velocity, alpha=how.momentum, out=velocity)
            parameters.add_(velocity, alpha=-rate)
            if (step + 1) % per_epoch == 0:
                if not bool(torch.isfinite(parameters).all()) or float(parameters.abs().max()) > DIVERGED:
                    raise RecipeError(path=f"{stage}: learning_rate", rule="lower, the training diverged", value=how.learning_rate)
                if epochs:
                    epochs.keep(epoch + 1, parameters, velocity, generator)
                progress(stage, epoch + 1, how.epochs)


def initial_parameters(layout: Layout, generator: torch.Generator) -> Tensor:
    """Return random weights, uniform with variance ``1 / (3 inputs)``, and biases of the same range."""
    flat = torch.empty(layout.parameter_count)
    for weight, bias in zip(layout.weights(flat), layout.biases(flat), strict=True):
        bound = 1.0 / math.sqrt(weight.shape[1])
        weight.uniform_(-bound, bound, generator=generator)
        bias.uniform_(-bound, bound, generator=generator)
    return flat


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedReference:
    """A trained float network and the errors it makes on the validation split."""

    state: FloatState
    validation_errors: int
    validation_count: int


def train_reference(task: TaskLike, data: DataLike, how: Descent, *, seed: int, progress: Progress = silent) -> TrainedReference:
    """Train the float network of ``task`` from ``seed``; the same seed on the same machine gives the same bits."""
    layout, generator = Layout.of(task.layers), torch.Generator().manual_seed(seed)
    parameters = initial_parameters(layout, generator)
    train = Samples.of(data.train, task.normalisation)
    descend(layout, parameters, train, how, generator, stage="train", progress=progress)
    validation = Samples.of(data.validation, task.normalisation)
    return TrainedReference(
        state=layout.unpack(parameters),
        validation_errors=error_count(layout, parameters, validation),
        validation_count=len(validation),
    )
