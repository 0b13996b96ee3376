"""Pooling: the largest element or the mean of a sliding window, or of all spatial axes."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qsim.model.network import Array
from qsim.model.operators.kind import Call, Index, OperatorKind, placeholder
from qsim.model.operators.windows import Window, window_of


def pooling_window(call: Call) -> tuple[Window, Window]:
    """Return the window as given, and as extended at the end by what ``ceil_mode`` adds."""
    spatial = call.array(0).shape[2:]
    window = window_of(call, call.integers("kernel_shape"), spatial)
    if not call.integer("ceil_mode", 0) or call.text("auto_pad", "NOTSET") != "NOTSET":
        return window, window
    more = tuple(
        _ceil_extra(*sizes) for sizes in zip(spatial, window.begin, window.end, window.reach, window.strides, strict=True)
    )  # fmt: skip
    return window, replace(window, end=tuple(end + extra for end, extra in zip(window.end, more, strict=True)))


def _ceil_extra(size: int, begin: int, end: int, reach: int, stride: int) -> int:
    """Return the elements after the padding that the last window of ``ceil_mode`` covers; it must begin before the end padding."""
    steps = -(-(size + begin + end - reach) // stride) + 1
    if (steps - 1) * stride >= size + begin:
        steps -= 1
    return max(0, (steps - 1) * stride + reach - (size + begin + end))


def _shape(call: Call) -> tuple[Array]:
    x = call.array(0)
    _, window = pooling_window(call)
    return (placeholder((*x.shape[:2], *window.steps(x.shape[2:])), x.dtype),)


def _max(call: Call) -> tuple[Array]:
    x = call.array(0)
    _, window = pooling_window(call)
    steps = window.steps(x.shape[2:])
    lowest = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = window.padded(x, lowest)
    out = np.full((*x.shape[:2], *steps), lowest, dtype=x.dtype)
    for _, slices in window.offsets(steps):
        part: Index = (..., *slices)
        np.maximum(out, padded[part], out=out)
    return (out,)


def _sums(padded: Array, window: Window, steps: Sequence[int]) -> Array:
    out = np.zeros((*padded.shape[:2], *steps), dtype=padded.dtype)
    for _, slices in window.offsets(steps):
        part: Index = (..., *slices)
        out += padded[part]
    return out


def _average(call: Call) -> tuple[Array]:
    x = call.array(0)
    given, window = pooling_window(call)
    steps, spatial = window.steps(x.shape[2:]), x.shape[2:]
    inside = np.ones((1, 1, *spatial), dtype=x.dtype)
    if call.integer("count_include_pad", 0):  # padding counts, what ceil_mode adds beyond it does not
        inside = given.padded(inside, 1)
        beyond = tuple(after - before for after, before in zip(window.end, given.end, strict=True))
        counted = replace(window, begin=(0,) * len(spatial), end=beyond).padded(inside, 0)
    else:
        counted = window.padded(inside, 0)
    return (_sums(window.padded(x, 0), window, steps) / _sums(counted, window, steps),)


def _global_shape(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (placeholder((*x.shape[:2], *(1,) * (x.ndim - 2)), x.dtype),)


def _global_average(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (x.mean(axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype),)


def _global_max(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def _root_mean_power(call: Call) -> tuple[Array]:
    x, power = call.array(0), call.integer("p", 2)
    _, window = pooling_window(call)
    sums = _sums(window.padded(np.abs(x) ** power, 0), window, window.steps(x.shape[2:]))
    return ((sums ** (1 / power)).astype(x.dtype),)


POOLING = {
    "MaxPool": OperatorKind(_max, _shape),
    "AveragePool": OperatorKind(_average, _shape),
    "LpPool": OperatorKind(_root_mean_power, _shape),
    "GlobalAveragePool": OperatorKind(_global_average, _global_shape),
    "GlobalMaxPool": OperatorKind(_global_max, _global_shape),
}
