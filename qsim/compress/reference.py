"""Integer inference in PyTorch: a second implementation of the number semantics, to compare the first one with.

It shares no arithmetic with the numpy definition: formats are read as widths and fractions only, and shifts, rounding and
saturation are written out again here on int64 tensors. For each layer, in order of the inputs j,
``acc = clamp(acc + w[:, j] * a[j])``; then ``(acc * scale + bias) `` is shifted right with rounding half up, clamped, and
passed through ReLU or clip.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Pyramid
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation


class TorchReference:
    """Integer inference of a compressed model. Calling it maps raw inputs [n, features] to integer logits [n, classes]."""

    def __init__(self, model: CompressedModel) -> None:
        self._layers = [_IntegerLayer(layer) for layer in model.layers]

    def activations(self, inputs: npt.NDArray[np.integer]) -> list[Tensor]:
        """Return the int64 inputs of every layer and, last, the logits, for integer ``inputs`` [n, features]."""
        values = [torch.from_numpy(np.array(inputs, dtype=np.int64))]
        for layer in self._layers:
            values.append(layer(values[-1]))
        return values

    def __call__(self, inputs: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the integer logits [n, classes]."""
        logits: npt.NDArray[np.int64] = self.activations(inputs)[-1].numpy()
        return logits


class _IntegerLayer:
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
        self._row_sum = int(self._weights.abs().sum(1).max())

    def __call__(self, inputs: Tensor) -> Tensor:
        sums = self._accumulate(inputs)
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

    def _accumulate(self, inputs: Tensor) -> Tensor:
        largest = int(inputs.abs().max()) if inputs.numel() else 0
        if self._row_sum * largest <= min(self._high, 2**53):
            # No partial sum can leave the accumulator, nor the integers that a double holds exactly: order does not matter.
            return torch.mm(inputs.double(), self._weights.double().t()).long()
        sums = torch.zeros(len(inputs), len(self._weights), dtype=torch.int64)
        for j in range(inputs.shape[1]):
            sums = (sums + inputs[:, j, None] * self._weights[None, :, j]).clamp(self._low, self._high)
        return sums


def _limits(form: FixedFormat) -> tuple[int, int]:
    return (-(2 ** (form.width - 1)), 2 ** (form.width - 1) - 1) if form.signed else (0, 2**form.width - 1)
