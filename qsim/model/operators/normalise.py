"""Normalisation: by stored statistics (batch norm), by those of the tensor itself, and softmax."""

import numpy as np

from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, axis_of, same_as_first

EPSILON = 1e-5  # ONNX, default of every normalisation


def _channels(values: Array, rank: int) -> Array:
    """Return one value per channel, shaped so that it meets axis 1."""
    return values.reshape(-1, *(1,) * (rank - 2)) if rank > 1 else values


def _batch(call: Call) -> tuple[Array]:
    x = call.array(0)
    call.refuse("training_mode", 0)
    scale, bias, mean, variance = (_channels(call.array(place), x.ndim) for place in range(1, 5))
    factor = scale / np.sqrt(variance + call.number("epsilon", EPSILON))
    return ((x * factor + (bias - mean * factor)).astype(x.dtype),)


def _standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """Return ``x`` less its mean, over the root of its variance."""
    centred = x - x.mean(axis=axes, keepdims=True, dtype=x.dtype)
    variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=x.dtype)
    return np.asarray(centred / np.sqrt(variance + np.asarray(epsilon, x.dtype)))


def _layer(call: Call) -> tuple[Array]:
    x, scale, bias = call.array(0), call.array(1), call.maybe(2)
    axis = axis_of(call, call.integer("axis", -1), x.ndim)
    out = _standardised(x, tuple(range(axis, x.ndim)), call.number("epsilon", EPSILON)) * scale
    return (out if bias is None else out + bias,)


def _root_mean_square(call: Call) -> tuple[Array]:
    x = call.array(0)
    axes = tuple(range(axis_of(call, call.integer("axis", -1), x.ndim), x.ndim))
    power = np.square(x).mean(axis=axes, keepdims=True, dtype=x.dtype)
    return (x / np.sqrt(power + np.asarray(call.number("epsilon", EPSILON), x.dtype)) * call.array(1),)


def _instance(call: Call) -> tuple[Array]:
    x = call.array(0)
    out = _standardised(x, tuple(range(2, x.ndim)), call.number("epsilon", EPSILON))
    return (out * _channels(call.array(1), x.ndim) + _channels(call.array(2), x.ndim),)


def _group(call: Call) -> tuple[Array]:
    x, groups = call.array(0), call.integer("num_groups")
    split = x.reshape(x.shape[0], groups, -1)
    out = _standardised(split, (2,), call.number("epsilon", EPSILON)).reshape(x.shape)
    return (out * _channels(call.array(1), x.ndim) + _channels(call.array(2), x.ndim),)


def _local_response(call: Call) -> tuple[Array]:
    """Divide by a power of the sum of squares over neighbouring channels (AlexNet)."""
    x, size = call.array(0), call.integer("size")
    before = (size - 1) // 2
    padded = np.pad(np.square(x), ((0, 0), (before, size - 1 - before), *((0, 0),) * (x.ndim - 2)))
    sums = np.zeros_like(x)
    for start in range(size):
        sums += padded[:, start : start + x.shape[1]]
    inner = call.number("bias", 1.0) + call.number("alpha", 1e-4) / size * sums
    return ((x / inner ** call.number("beta", 0.75)).astype(x.dtype),)


def _length(call: Call) -> tuple[Array]:
    x, power = call.array(0), call.integer("p", 2)
    axis = axis_of(call, call.integer("axis", -1), x.ndim)
    sums = (np.abs(x) ** power).sum(axis=axis, keepdims=True) ** (1 / power)
    return (np.where(sums == 0, 0, x / np.where(sums == 0, 1, sums)).astype(x.dtype),)


def softmax_axes(call: Call, rank: int) -> tuple[int, ...]:
    """Return the axes that are normalised together: one, or, as before operator set 13 (``trailing``), all from one on."""
    axis = axis_of(call, call.integer("axis", -1), rank)
    return tuple(range(axis, rank)) if call.integer("trailing", 0) else (axis,)


def _softmax(call: Call) -> tuple[Array]:
    x = call.array(0)
    axes = softmax_axes(call, x.ndim)
    powers = np.exp(x - x.max(axis=axes, keepdims=True))
    return (powers / powers.sum(axis=axes, keepdims=True),)


def _log_softmax(call: Call) -> tuple[Array]:
    x = call.array(0)
    axes = softmax_axes(call, x.ndim)
    lower = x - x.max(axis=axes, keepdims=True)
    return (lower - np.log(np.exp(lower).sum(axis=axes, keepdims=True)),)


NORMALISE = {
    "BatchNormalization": OperatorKind(_batch, same_as_first),
    "LayerNormalization": OperatorKind(_layer, same_as_first),
    "RMSNormalization": OperatorKind(_root_mean_square, same_as_first),
    "InstanceNormalization": OperatorKind(_instance, same_as_first),
    "GroupNormalization": OperatorKind(_group, same_as_first),
    "LRN": OperatorKind(_local_response, same_as_first),
    "LpNormalization": OperatorKind(_length, same_as_first),
    "Softmax": OperatorKind(_softmax, same_as_first),
    "LogSoftmax": OperatorKind(_log_softmax, same_as_first),
}
