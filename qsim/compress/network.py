"""A chain of layers on flat buffers, with the gradient of fully connected ones written out by hand.

All weights of all layers lie one after the other in one float32 vector, then all biases. One vector makes every
element-wise operation of an optimiser, a mask or a schedule a single pass over memory; for networks of this size, those
passes and not the matrix products would otherwise take most of the time. The backward pass is the textbook one:

    z_l = W_l h_(l-1) + b_l,  h_l = max(z_l, 0) or z_l,  loss = mean cross-entropy of softmax(z_last)
    dz_last = (softmax(z_last) - onehot) / n,  dW_l = dz_l^T h_(l-1),  dz_(l-1) = (dz_l W_l) where h_(l-1) > 0

Networks with convolutions use the same vectors and PyTorch's automatic differentiation (:mod:`qsim.compress.convolution`): there the
arithmetic takes the time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.compress import convolution
from qsim.compress.convolution import Window
from qsim.compress.task import FloatState, LayerLike, NormalisationLike, SplitLike
from qsim.compress.teacher import Teacher
from qsim.errors import RecipeError
from qsim.model.graph import Activation


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw inputs uint8 [n, features], labels int64 [n], and the map ``scale * raw + offset`` to what training sees.

    Inputs stay bytes until a batch needs them: a quarter of the memory traffic of floats.
    """

    raw: Tensor
    labels: Tensor
    scale: float
    offset: float

    @classmethod
    def of(cls, split: SplitLike, normalisation: NormalisationLike) -> "Samples":
        """Wrap a split of raw inputs."""
        scale = normalisation.gain * normalisation.input_format.lsb
        return cls(torch.from_numpy(split.images.copy()), torch.from_numpy(split.labels.copy()), scale, normalisation.offset)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Samples":
        """Return the first ``count`` samples, or all there are."""
        return Samples(self.raw[:count], self.labels[:count], self.scale, self.offset)

    def normalised(self, part: slice) -> Tensor:
        """Return a part of the inputs as training sees them, float32 [., features]."""
        return self.raw[part].float().mul_(self.scale).add_(self.offset)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each layer's weights [rows, columns] and biases [rows] lie in the flat vector; ``relu`` says what follows each layer.

    ``windows`` holds the convolution and pool of each layer; it is empty for a chain of fully connected layers.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    relu: tuple[bool, ...]
    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, layers: Sequence[LayerLike]) -> "Layout":
        """Lay out the layers of a workload.

        Raises :class:`RecipeError` for an activation that is not trained.
        """
        for layer in layers:
            if layer.activation is Activation.CLIP:
                raise RecipeError(path=f"{layer.name}.activation", rule="none or relu where weights are trained", value=layer.activation)
        windows = tuple(Window(convolution=layer.geometry, pool=layer.pool) for layer in layers)
        return cls(
            tuple(layer.name for layer in layers),
            tuple((layer.rows, layer.columns) for layer in layers),
            tuple(layer.activation is Activation.RELU for layer in layers),
            windows if any(window != Window() for window in windows) else (),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each layer."""
        return tuple(rows * cols for rows, cols in self.shapes)

    @property
    def weight_count(self) -> int:
        """Weights of all layers: the length of the first part of the flat vector."""
        return sum(self.sizes)

    @property
    def parameter_count(self) -> int:
        """Length of the flat vector."""
        return self.weight_count + sum(rows for rows, _ in self.shapes)

    def weights(self, flat: Tensor) -> list[Tensor]:
        """Return each layer's weights [rows, columns] as views of ``flat`` (with or without the biases behind)."""
        parts = torch.split_with_sizes(flat[: self.weight_count], self.sizes)
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def biases(self, flat: Tensor) -> list[Tensor]:
        """Return each layer's biases [rows] as views of ``flat``."""
        return list(torch.split_with_sizes(flat[self.weight_count :], [rows for rows, _ in self.shapes]))

    def pack(self, state: FloatState) -> Tensor:
        """Return the flat vector of a float state."""
        arrays = [state[f"{name}.{part}"] for part in ("weight", "bias") for name in self.names]
        return torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays]).astype(np.float32))

    def unpack(self, flat: Tensor) -> FloatState:
        """Return the float state of a flat vector; the arrays are copies."""
        state: FloatState = {}
        for name, weight, bias in zip(self.names, self.weights(flat), self.biases(flat), strict=True):
            state[f"{name}.weight"] = weight.numpy().copy()
            state[f"{name}.bias"] = bias.numpy().copy()
        return state


def forward(layout: Layout, parameters: Tensor, inputs: Tensor, outside: float = 0.0) -> list[Tensor]:
    """Return the inputs of every layer and, last, the logits, for ``inputs`` [n, features].

    ``outside`` is what the padding of a first convolution reads: the normalised value of a raw zero.
    """
    if layout.windows:
        return convolution.forward(layout.windows, layout.weights(parameters), layout.biases(parameters), layout.relu, inputs, outside)
    values = [inputs]
    for weight, bias, relu in zip(layout.weights(parameters), layout.biases(parameters), layout.relu, strict=True):
        result = torch.mm(values[-1], weight.t()).add_(bias)
        values.append(result.relu_() if relu else result)
    return values


def results_and_logits(layout: Layout, parameters: Tensor, inputs: Tensor, outside: float = 0.0) -> tuple[list[Tensor], Tensor]:
    """Return the flat results of every layer before its activation, and the logits; differentiable where :func:`forward` may not be."""
    results, value = list[Tensor](), inputs
    windows = layout.windows or (Window(),) * len(layout.names)
    for window, weight, bias, relu in zip(windows, layout.weights(parameters), layout.biases(parameters), layout.relu, strict=True):
        results.append(convolution.results_of(window, weight, bias, value, 0.0 if results else outside))
        value = convolution.follow(window, results[-1], relu)
    return results, value


class Backpropagation:
    """Gradients of batches of one size, in buffers that are allocated once; with a ``teacher``, of the loss of distillation.

    Fresh buffers of this size would come from the operating system page by page, which costs more than the arithmetic.
    """

    def __init__(self, layout: Layout, samples: Samples, batch: int, teacher: Teacher | None = None) -> None:
        self._layout, self._samples, self._teacher = layout, samples, teacher
        self._side = math.isqrt(samples.raw.shape[1])
        self._raw = torch.empty(batch, samples.raw.shape[1], dtype=torch.uint8)
        widths = [samples.raw.shape[1], *(() if layout.windows else (rows for rows, _ in layout.shapes))]
        self._values = [torch.empty(batch, width) for width in widths]
        self._deltas = [torch.empty(batch, width) for width in widths]
        self._positive = [torch.empty(batch, width, dtype=torch.bool) for width in widths]
        self._onehot = torch.zeros(len(samples), layout.shapes[-1][0]).scatter_(1, samples.labels[:, None], 1.0)

    def __call__(self, parameters: Tensor, chosen: Tensor, gradient: Tensor, shift: tuple[int, int] = (0, 0)) -> None:
        """Write the gradient of the mean cross-entropy on the samples ``chosen`` [batch] into ``gradient``.

        ``parameters`` and ``gradient`` are flat vectors. ``shift`` moves all images, which must then be square, down and
        to the right by so many pixels.
        """
        layout, samples = self._layout, self._samples
        weights, biases = layout.weights(parameters), layout.biases(parameters)
        into_weights, into_biases = layout.weights(gradient), layout.biases(gradient)
        self._load(chosen, *shift)
        if layout.windows:
            loss = self._loss(samples.labels.index_select(0, chosen))
            into = into_weights, into_biases
            convolution.write_gradient(layout.windows, (weights, biases), layout.relu, self._values[0], samples.offset, loss, into)
        else:
            self._forward(weights, biases)
            self._backward(weights, chosen, into_weights, into_biases)

    def _backward(self, weights: list[Tensor], chosen: Tensor, into_weights: list[Tensor], into_biases: list[Tensor]) -> None:
        delta, onehot = self._deltas[-1], self._onehot.index_select(0, chosen)
        if self._teacher is None:
            torch.softmax(self._values[-1], 1, out=delta)
            delta.sub_(onehot).div_(len(chosen))
        else:
            delta.copy_(self._teacher.gradient(self._values[-1], self._answers(self._teacher), onehot))
        for layer in reversed(range(len(weights))):
            delta, values = self._deltas[layer + 1], self._values[layer]
            torch.mm(delta.t(), values, out=into_weights[layer])
            torch.sum(delta, 0, out=into_biases[layer])
            if layer:
                torch.mm(delta, weights[layer], out=self._deltas[layer])
                if self._layout.relu[layer - 1]:
                    self._deltas[layer].mul_(torch.gt(values, 0, out=self._positive[layer]))

    def _loss(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the loss of the logits of the loaded batch."""
        teacher = self._teacher
        if teacher is None:
            return lambda logits: f.cross_entropy(logits, labels)
        answers = self._answers(teacher)
        return lambda logits: teacher.loss(logits, answers, labels)

    def _answers(self, teacher: Teacher) -> Tensor:
        return forward(self._layout, teacher.parameters, self._values[0], self._samples.offset)[-1]

    def _load(self, chosen: Tensor, down: int, right: int) -> None:
        torch.index_select(self._samples.raw, 0, chosen, out=self._raw)
        if down or right:
            if self._side**2 != self._raw.shape[1]:
                raise RecipeError(path="shift", rule="0 where inputs are not square images", value=max(abs(down), abs(right)))
            shape = len(chosen), self._side, self._side
            rows, columns = _overlap(down, self._side), _overlap(right, self._side)
            moved = self._values[0].zero_().view(shape)  # raw zero is the background
            moved[:, rows[0], columns[0]].copy_(self._raw.view(shape)[:, rows[1], columns[1]])
        else:
            self._values[0].copy_(self._raw)
        self._values[0].mul_(self._samples.scale).add_(self._samples.offset)

    def _forward(self, weights: list[Tensor], biases: list[Tensor]) -> None:
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            result = torch.mm(self._values[layer], weight.t(), out=self._values[layer + 1]).add_(bias)
            if self._layout.relu[layer]:
                result.relu_()


def _overlap(move: int, side: int) -> tuple[slice, slice]:
    """Where an axis moved by ``move`` still overlaps itself: the place it goes to, the place it comes from."""
    return slice(max(0, move), side + min(0, move)), slice(max(0, -move), side + min(0, -move))


def error_count(layout: Layout, parameters: Tensor, samples: Samples) -> int:
    """Return how many samples the float network gets wrong."""
    return int((classes(layout, parameters, samples) != samples.labels).sum())


def relabelled(layout: Layout, parameters: Tensor, samples: Samples) -> Samples:
    """Return ``samples`` with the classes that the float network gives them."""
    return Samples(samples.raw, classes(layout, parameters, samples), samples.scale, samples.offset)


def classes(layout: Layout, parameters: Tensor, samples: Samples) -> Tensor:
    """Return the class [n] that the float network gives each sample."""
    chunk = 500 if layout.windows else 5_000  # bounds the memory of the activations
    parts = (slice(start, start + chunk) for start in range(0, len(samples), chunk))
    return torch.cat([forward(layout, parameters, samples.normalised(part), samples.offset)[-1].argmax(1) for part in parts])
