"""Training through a quantiser: the network computes with quantised weights, the gradient goes to the float ones behind them.

That is the straight-through estimator (Bengio et al., arXiv:1308.3432; Courbariaux et al., BinaryConnect, NIPS 2015). With ``noise``
below 1, each weight is quantised with that chance only and the others pass as they are (Fan et al., Quant-Noise, ICLR 2021). Weights are
quantised anew every ``interval`` steps; a slow quantiser wants more than one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qsim.compress.journal import random_states, restore_random
from qsim.compress.network import Layout
from qsim.compress.shared import Quantised, QuantizerInput, SharedWeights
from qsim.compress.train import Descent, descend
from qsim.errors import RecipeError

Share = Callable[[int, Tensor], SharedWeights]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughTraining:
    """``epochs`` of training through the quantiser before its result is kept; 0 quantises the weights as they are."""

    epochs: int = 0
    interval: int = 1
    noise: float = 1.0
    batch: int = 128
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    shift: int = 0

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise RecipeError(path="quantise.interval", rule="at least 1", value=self.interval)
        if not 0 < self.noise <= 1:
            raise RecipeError(path="quantise.noise", rule="above 0, at most 1", value=self.noise)
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How to train."""
        return Descent(
            epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate, weight_decay=self.weight_decay, shift=self.shift
        )

    @property
    def training(self) -> "ThroughTraining":
        """These settings."""
        return self


class Quantizer(Protocol):
    """A dataclass of settings that knows what to do with them."""

    @property
    def training(self) -> ThroughTraining:
        """How to train through it."""

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return what turns one layer's weights into shared ones; ``parameters`` are the trained ones, None while they are trained."""

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Return few numbers that stand for all weights."""


class QuantisedParameters:
    """A transform that computes with the quantised weights, renewed every ``interval`` steps; pruned ones stay zero."""

    def __init__(self, how: ThroughTraining, given: QuantizerInput, share: Share) -> None:
        self._how, self._layout, self._share, self._generator = how, given.layout, share, given.generator
        self._kept = [torch.from_numpy(given.kept(place)) for place in range(len(given.layout.names))]
        self._effective = torch.empty(given.layout.parameter_count)

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the quantised weights and the current biases; the buffer is reused."""
        if step % self._how.interval == 0:
            self._renew(parameters)
        count = self._layout.weight_count
        self._effective[count:] = parameters[count:]
        return self._effective

    def _renew(self, parameters: Tensor) -> None:
        layers = zip(self._layout.weights(parameters), self._layout.weights(self._effective), strict=True)
        for place, (weight, target) in enumerate(layers):
            target.copy_(self._share(place, weight).weights())
            if self._how.noise < 1:
                passed = torch.rand(target.shape, generator=self._generator) >= self._how.noise
                target.copy_(torch.where(passed & self._kept[place], weight, target))


def resume_through(given: QuantizerInput, parameters: Tensor) -> bool:
    """Put ``parameters`` and the generators to the end of a training that is in the journal; return whether there is one."""
    kept = given.journal.read("through")
    if kept is None:
        return False
    parameters.copy_(kept["parameters"])
    restore_random(kept, given.generator, given.random)
    return True


def keep_through(given: QuantizerInput, parameters: Tensor) -> None:
    """Write down what the training gave."""
    given.journal.write("through", {"parameters": parameters, **random_states(given.generator, given.random)})


def train_through(how: ThroughTraining, given: QuantizerInput, share: Share) -> Tensor:
    """Return a copy of the given flat parameters after training through ``share``, which quantises one layer's weights."""
    parameters = given.parameters.clone()
    if how.epochs and not resume_through(given, parameters):
        transform = QuantisedParameters(how, given, share)
        descend(
            given.layout, parameters, given.samples, how.descent, given.generator,
            transform=transform, stage="quantise", progress=given.progress,
        )  # fmt: skip
        keep_through(given, parameters)
    return parameters


def quantise_layers(quantizer: Quantizer, given: QuantizerInput) -> Quantised:
    """Train through ``quantizer`` and quantise each layer with it."""
    parameters = train_through(quantizer.training, given, quantizer.sharing(given))
    share, layers = quantizer.sharing(given, parameters), []
    for place, weight in enumerate(given.layout.weights(parameters)):
        layers.append(share(place, weight))
        given.progress("quantise", place + 1, len(given.layout.names))
    return Quantised(tuple(layers), biases_of(given.layout, parameters))


def biases_of(layout: Layout, parameters: Tensor) -> Tensor:
    """Return a copy of all biases as one vector."""
    return torch.cat(layout.biases(parameters)).clone()
