"""Convolution and transposed convolution over any number of spatial axes.

A convolution copies the inputs under each window into a matrix (im2col), a strip of output rows at a time, and multiplies the
weights with it: the product runs in BLAS, the copy stays in cache. Depthwise ones are sums over the kernel's places.
"""

import math
from collections.abc import Sequence

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.kind import Call, Index, OperatorKind, placeholder
from qsim.model.operators.windows import Window, window_of

STRIP_ELEMENTS = 1 << 21  # 8 MB of float32: larger strips were slower on VGG-16, as they leave the cache


def convolution_window(call: Call) -> tuple[Window, int]:
    """Return the window and the number of groups of a convolution. Raises :class:`FieldError` where weights do not fit the input."""
    x, weights, groups = call.array(0), call.array(1), call.integer("group", 1)
    if x.ndim < 3 or weights.ndim != x.ndim:
        raise FieldError(path=f"{call.path}.weights", rule=f"of as many axes as the input {list(x.shape)}", value=list(weights.shape))
    if groups < 1 or x.shape[1] != weights.shape[1] * groups or weights.shape[0] % groups:
        rule = f"weights for {x.shape[1]} channels in {groups} groups"
        raise FieldError(path=call.path, rule=rule, value=list(weights.shape))
    return window_of(call, weights.shape[2:], x.shape[2:]), groups


def convolution_shape(call: Call) -> tuple[Array]:
    """Shape rule of a convolution. Raises :class:`FieldError` where weights do not fit the input."""
    x, weights = call.array(0), call.array(1)
    window, _ = convolution_window(call)
    return (placeholder((x.shape[0], weights.shape[0], *window.steps(x.shape[2:])), x.dtype),)


def convolve(call: Call) -> tuple[Array]:
    """Compute a convolution in the type of its input."""
    x, weights, bias = call.array(0), call.array(1), call.maybe(2)
    window, groups = convolution_window(call)
    steps = window.steps(x.shape[2:])
    padded = window.padded(x, 0)
    out = np.empty((x.shape[0], weights.shape[0], *steps), dtype=x.dtype)
    if groups == x.shape[1] and groups > 1:
        _depthwise(padded, weights, window, out)
    else:
        for image, target in zip(padded, out, strict=True):
            _strips(image, weights, window, groups, target)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * len(steps))
    return (out,)


def _depthwise(padded: Array, weights: Array, window: Window, out: Array) -> None:
    """Sum over the kernel's places; each input channel makes ``outputs / channels`` outputs."""
    per_channel = weights.shape[0] // padded.shape[1]
    steps, ones = out.shape[2:], (1,) * (out.ndim - 2)
    view = out.reshape(out.shape[0], padded.shape[1], per_channel, *steps)
    view[...] = 0
    for place, slices in window.offsets(steps):
        at: Index = (slice(None), 0, *place)
        factor = weights[at].reshape(padded.shape[1], per_channel, *ones)
        view += padded[(slice(None), slice(None), None, *slices)] * factor


def _strips(image: Array, weights: Array, window: Window, groups: int, out: Array) -> None:
    """Convolve one image [channels, *spatial], some output rows at a time."""
    per_group, axes = weights.shape[0] // groups, len(window.kernel)
    matrix = weights.reshape(groups, per_group, -1)
    windows = _windows(image, window)
    rows, *rest = out.shape[1:]
    strip = max(1, STRIP_ELEMENTS // max(1, matrix.shape[2] * groups * math.prod(rest)))
    for start in range(0, rows, strip):
        part = windows[(slice(None), *(slice(None),) * axes, slice(start, start + strip))]
        product = np.matmul(matrix, part.reshape(groups, matrix.shape[2], -1))
        out[:, start : start + strip] = product.reshape(out.shape[0], -1, *rest)


def _windows(image: Array, window: Window) -> Array:
    """Return a view [channels, *kernel, *output] of a padded image [channels, *spatial]."""
    axes = len(window.kernel)
    found = np.lib.stride_tricks.sliding_window_view(image, window.reach, axis=tuple(range(1, axes + 1)))
    every = tuple(slice(None, None, stride) for stride in window.strides)
    within = tuple(slice(None, None, step) for step in window.dilations)
    return found[(slice(None), *every, *within)].transpose(0, *range(axes + 1, 2 * axes + 1), *range(1, axes + 1))


def transposed_window(call: Call) -> tuple[Window, int, tuple[int, ...]]:
    """Return window (its pads are what is cut off), groups and output size of a transposed convolution.

    Raises :class:`FieldError` where weights do not fit the input.
    """
    x, weights, groups = call.array(0), call.array(1), call.integer("group", 1)
    if x.ndim < 3 or weights.ndim != x.ndim or groups < 1 or weights.shape[0] != x.shape[1] or x.shape[1] % groups:
        rule = f"weights for {x.shape[1:2]} channels in {groups} groups"
        raise FieldError(path=call.path, rule=rule, value=list(weights.shape))
    axes = x.ndim - 2
    strides, dilations = call.integers("strides", (1,) * axes), call.integers("dilations", (1,) * axes)
    extra, pads = call.integers("output_padding", (0,) * axes), call.integers("pads", (0,) * 2 * axes)
    full = [
        stride * (size - 1) + dilation * (kernel - 1) + 1 + more
        for stride, size, dilation, kernel, more in zip(strides, x.shape[2:], dilations, weights.shape[2:], extra, strict=True)
    ]
    begin, end = pads[:axes], pads[axes:]
    auto = call.text("auto_pad", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
    if auto == "VALID":
        begin, end = (0,) * axes, (0,) * axes
    if call.has("output_shape") or auto.startswith("SAME"):
        same = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
        wanted = call.integers("output_shape", same)[-axes:]
        begin, end = _cuts(full, wanted, upper=auto == "SAME_UPPER")
    window = Window(kernel=weights.shape[2:], strides=strides, dilations=dilations, begin=begin, end=end)
    size = tuple(length - before - after for length, before, after in zip(full, begin, end, strict=True))
    return window, groups, size


def _cuts(full: Sequence[int], wanted: Sequence[int], *, upper: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split what is cut off between beginning and end; the odd element falls to the end for SAME_UPPER, else to the beginning."""
    total = [length - size for length, size in zip(full, wanted, strict=True)]
    less, more = tuple(cut // 2 for cut in total), tuple(cut - cut // 2 for cut in total)
    return (less, more) if upper else (more, less)


def _transposed_shape(call: Call) -> tuple[Array]:
    x, weights = call.array(0), call.array(1)
    _, groups, size = transposed_window(call)
    if min(size) < 1:
        raise FieldError(path=call.path, rule="an output of at least one element", value=list(size))
    return (placeholder((x.shape[0], weights.shape[1] * groups, *size), x.dtype),)


def _transposed(call: Call) -> tuple[Array]:
    """Every input pixel adds a scaled kernel to the output: one product, then a sum over the kernel's places (col2im)."""
    x, weights, bias = call.array(0), call.array(1), call.maybe(2)
    window, groups, size = transposed_window(call)
    inside, axes = x.shape[2:], len(size)
    matrix = weights.reshape(groups, x.shape[1] // groups, -1).transpose(0, 2, 1)
    products = np.matmul(matrix, x.reshape(x.shape[0], groups, x.shape[1] // groups, -1))
    products = products.reshape(x.shape[0], groups * weights.shape[1], *window.kernel, *inside)
    reach = [step * (count - 1) + far for step, count, far in zip(window.strides, inside, window.reach, strict=True)]
    wanted = [before + length + after for before, length, after in zip(window.begin, size, window.end, strict=True)]
    out = np.zeros((*products.shape[:2], *map(max, reach, wanted)), dtype=x.dtype)
    for place, slices in window.offsets(inside):
        out[(slice(None), slice(None), *slices)] += products[(slice(None), slice(None), *place)]
    inner: Index = (..., *(slice(begin, begin + length) for begin, length in zip(window.begin, size, strict=True)))
    out = out[inner]
    return (out if bias is None else out + bias.reshape(-1, *(1,) * axes),)


CONVOLUTION = {
    "Conv": OperatorKind(convolve, convolution_shape),
    "ConvTranspose": OperatorKind(_transposed, _transposed_shape),
}
