"""Integer inference in PyTorch: a second implementation of the number semantics, to compare the first one with.

It shares no arithmetic with the numpy definition: formats are read as widths and fractions only, and shifts, rounding and
saturation are written out again here on int64 tensors; windows come from PyTorch's own ``unfold`` and ``max_pool2d``. For each layer,
in order of the columns j, ``acc = clamp(acc + w[:, j] * a[j])``; then ``(acc * scale + bias)`` is shifted right with rounding half up,
clamped, and passed through ReLU or clip.
"""

from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Pyramid
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation, Convolution, FullyConnected, MaxPool

LARGEST_EXACT = 2**53  # integers up to here are exact in a double, and so are products and sums below it


class TorchReference:
    """Integer inference of a compressed model. Calling it maps raw inputs [n, features] to integer logits [n, classes]."""

    def __init__(self, model: CompressedModel) -> None:
        self._steps = [_step(step) for step in model.steps]

    def activations(self, inputs: npt.NDArray[np.integer]) -> list[Tensor]:
        """Return the int64 inputs of every node and, last, the logits, for integer ``inputs`` [n, features]."""
        values = [torch.from_numpy(np.array(inputs, dtype=np.int64))]
        for step in self._steps:
            values.append(step(values[-1]))
        return values

    def __call__(self, inputs: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the integer logits [n, classes]."""
        logits: npt.NDArray[np.int64] = self.activations(inputs)[-1].numpy()
        return logits


def _step(step: QuantisedLayer | MaxPool) -> "_IntegerLayer | _IntegerConvolution | _IntegerPool":
    if isinstance(step, MaxPool):
        return _IntegerPool(step.geometry)
    match step.node:
        case FullyConnected():
            return _IntegerLayer(step)
        case Convolution():
            return _IntegerConvolution(step, step.node.geometry)
        case _:
            assert_never(step.node)


class _IntegerLayer:
    """Matrix-vector products with all that follows: [n, columns] to [n, rows]."""

    def __init__(self, layer: QuantisedLayer) -> None:
        form, node = layer.form, layer.node
        self._weights = torch.from_numpy(np.array(form.reconstruct(), dtype=np.int64))
        self._low, self._high = _limits(node.accumulator_format)
        self._out_low, self._out_high = _limits(node.output_format)
        fraction = node.input_format.fraction + form.weight_format.fraction
        self._scales = None
        if isinstance(form, Pyramid):
            self._scales = torch.from_numpy(np.array(form.scales, dtype=np.int64))
            fraction += form.scale_format.fraction
        self._bias = torch.from_numpy(np.array(layer.bias, dtype=np.int64)) * 2 ** (fraction - node.bias_format.fraction)
        self._shift = fraction - node.output_format.fraction
        self._least = None if node.activation is Activation.NONE else 0
        self._most = node.limit

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.drain(self.accumulate(inputs.double(), 0, len(self._weights)))

    def drain(self, sums: Tensor) -> Tensor:
        """Return the outputs for the accumulators [n, rows]."""
        if self._scales is not None:
            sums = sums * self._scales
        sums = sums + self._bias
        if self._shift > 0:
            sums = torch.div(sums + 2 ** (self._shift - 1), 2**self._shift, rounding_mode="floor")
        else:
            sums = sums * 2**-self._shift
        result = sums.clamp(self._out_low, self._out_high)
        result = result if self._least is None else torch.where(result < self._least, self._least, result)
        return result if self._most is None else torch.where(result > self._most, self._most, result)

    def accumulate(self, inputs: Tensor, first: int, last: int) -> Tensor:
        """Return the accumulators [n, last - first] of the rows from ``first`` to before ``last`` for integers held in doubles."""
        weights = self._weights[first:last]
        # Where no partial sum can leave the accumulator, nor the integers that a double holds exactly, order does not matter.
        # The bound is itself rounded, by far less than the margin.
        bounds = torch.mm(inputs.abs(), weights.double().abs().t())
        unproven = (bounds > min(self._high, LARGEST_EXACT) * (1 - 1e-9)).any(1)
        sums = torch.mm(inputs, weights.double().t()).long()
        if bool(unproven.any()):
            sums[unproven] = self._one_by_one(inputs[unproven].long(), weights)
        return sums

    def _one_by_one(self, inputs: Tensor, weights: Tensor) -> Tensor:
        sums = torch.zeros(len(inputs), len(weights), dtype=torch.int64)
        for j in range(inputs.shape[1]):
            sums = (sums + inputs[:, j, None] * weights[None, :, j]).clamp(self._low, self._high)
        return sums


class _IntegerConvolution:
    def __init__(self, layer: QuantisedLayer, geometry: ImageGeometry) -> None:
        self._layer, self._geometry, self._rows = _IntegerLayer(layer), geometry, layer.node.rows

    def __call__(self, inputs: Tensor) -> Tensor:
        geometry = self._geometry
        taken = f.unfold(_planes(inputs, geometry, 0.0), geometry.kernel, geometry.dilation, stride=geometry.stride)
        windows = taken.view(len(inputs), geometry.groups, -1, geometry.taps, geometry.pixels).permute(1, 0, 4, 3, 2)
        per_group = self._rows // geometry.groups
        sums = [
            self._layer.accumulate(own.reshape(-1, geometry.columns), group * per_group, (group + 1) * per_group)
            for group, own in enumerate(windows)
        ]
        return self._layer.drain(torch.cat(sums, 1)).view(len(inputs), -1)


class _IntegerPool:
    def __init__(self, geometry: ImageGeometry) -> None:
        self._geometry = geometry

    def __call__(self, inputs: Tensor) -> Tensor:
        geometry = self._geometry
        planes = _planes(inputs, geometry, -torch.inf)
        largest = f.max_pool2d(planes, geometry.kernel, geometry.stride, dilation=geometry.dilation)
        return largest.permute(0, 2, 3, 1).reshape(len(inputs), -1).long()


def _planes(inputs: Tensor, geometry: ImageGeometry, outside: float) -> Tensor:
    """Return images [n, channels, height, width], padded with ``outside``, as doubles."""
    top, left, bottom, right = geometry.padding
    images = inputs.double().view(-1, geometry.height, geometry.width, geometry.channels).permute(0, 3, 1, 2)
    return f.pad(images, (left, right, top, bottom), value=outside)


def _limits(form: FixedFormat) -> tuple[int, int]:
    return (-(2 ** (form.width - 1)), 2 ** (form.width - 1) - 1) if form.signed else (0, 2**form.width - 1)
