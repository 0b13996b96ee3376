"""Float networks with convolutions and max pools: forward pass and gradients, by PyTorch's own operations.

Weights are matrices [out_channels, columns] in the order of :mod:`qsim.model.geometry`, so that the flat vector of a network, its masks and
its shared weights look as for fully connected layers. That order is what PyTorch calls channels last, and its kernels take it as it is.
Activations are rounded to bfloat16 in training, where the processor computes with it: on one with matrix tiles an epoch of LeNet-5
takes a third of the time. Errors are counted in full precision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.model.geometry import ImageGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What slides over an image in a layer: its ``convolution`` (None: fully connected) and the max ``pool`` behind it (None: none)."""

    convolution: ImageGeometry | None = None
    pool: ImageGeometry | None = None


def forward(
    windows: Sequence[Window], weights: Sequence[Tensor], biases: Sequence[Tensor], relu: Sequence[bool], inputs: Tensor, outside: float
) -> list[Tensor]:
    """Return the inputs of every layer and, last, the logits, flat [n, .] and channels last, for ``inputs`` [n, features].

    Padding of the first layer reads ``outside``, what training sees for a raw zero; that of the others reads 0.
    """
    values = [inputs]
    for window, weight, bias, positive in zip(windows, weights, biases, relu, strict=True):
        values.append(follow(window, results_of(window, weight, bias, values[-1], outside if len(values) == 1 else 0.0), positive))
    return values


def results_of(window: Window, weight: Tensor, bias: Tensor, value: Tensor, outside: float) -> Tensor:
    """Return the flat results [n, outputs] of a layer for its inputs ``value`` [n, inputs], whose padding reads ``outside``."""
    if window.convolution is None:
        return f.linear(value, weight, bias)
    return _convolve(value, window.convolution, weight, bias, outside)


def follow(window: Window, result: Tensor, positive: bool) -> Tensor:
    """Return what the next layer reads: the rectified ``result`` if ``positive``, after the pool if there is one."""
    result = result.relu() if positive else result
    return result if window.pool is None else _pool(result, window.pool)


def write_gradient(
    windows: Sequence[Window],
    parameters: tuple[Sequence[Tensor], Sequence[Tensor]],
    relu: Sequence[bool],
    inputs: Tensor,
    outside: float,
    loss_of: Callable[[Tensor], Tensor],
    into: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> None:
    """Write the gradient of a loss by weights and biases ``parameters`` ``into`` tensors of their shapes.

    ``loss_of`` maps the logits of ``inputs`` [n, features] to the loss.
    """
    weights, biases = ([part.detach().requires_grad_() for part in parts] for parts in parameters)
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16()):
        logits = forward(windows, weights, biases, relu, inputs, outside)[-1]
        loss = loss_of(logits.float())
    found = torch.autograd.grad(loss, [*weights, *biases])
    for target, gradient in zip([*into[0], *into[1]], found, strict=True):
        target.copy_(gradient)


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 numbers itself."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _convolve(flat: Tensor, geometry: ImageGeometry, weight: Tensor, bias: Tensor, outside: float) -> Tensor:
    if geometry.channels == 1 and geometry.dilation == (1, 1):
        # One matrix product over all windows takes 11 ms for LeNet-5's first layer, forward and back, where conv2d takes 27 (128 images).
        return f.linear(_windows(planes_of(flat, geometry, outside), geometry), weight, bias).view(len(flat), -1)
    kernel = weight.view(-1, *geometry.kernel, geometry.group_channels).permute(0, 3, 1, 2)
    planes = planes_of(flat, geometry, outside)
    return _flat(f.conv2d(planes, kernel, bias, geometry.stride, dilation=geometry.dilation, groups=geometry.groups))


def _windows(planes: Tensor, geometry: ImageGeometry) -> Tensor:
    """Return the windows [n * pixels, taps] of images [n, 1, height, width]."""
    sliding = planes[:, 0].unfold(1, geometry.kernel[0], geometry.stride[0]).unfold(2, geometry.kernel[1], geometry.stride[1])
    return sliding.reshape(-1, geometry.taps)


def _pool(flat: Tensor, geometry: ImageGeometry) -> Tensor:
    return _flat(f.max_pool2d(planes_of(flat, geometry, -torch.inf), geometry.kernel, geometry.stride, dilation=geometry.dilation))


def planes_of(flat: Tensor, geometry: ImageGeometry, outside: float) -> Tensor:
    """Return flat images as [n, channels, height, width], channels last in memory, padded with ``outside``."""
    top, left, bottom, right = geometry.padding
    planes = flat.view(-1, *geometry.input_shape).permute(0, 3, 1, 2)
    return f.pad(planes, (left, right, top, bottom), value=outside) if any(geometry.padding) else planes


def _flat(planes: Tensor) -> Tensor:
    return planes.permute(0, 2, 3, 1).reshape(len(planes), -1)
