"""Quantisation to 8 bits and back, as in files that carry both around every layer. A dequantised constant is folded into float weights."""

import numpy as np

from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, placeholder


def _per_axis(call: Call, values: Array, rank: int) -> Array:
    """Return one value for all, or one per element of the axis, shaped so that it meets it."""
    if values.size == 1:
        return values.reshape(())
    axis = call.integer("axis", 1) % rank
    return values.reshape(-1, *(1,) * (rank - 1 - axis))


def _zero_point(call: Call, rank: int) -> Array:
    zero = call.maybe(2)
    return np.zeros((), dtype=np.uint8) if zero is None else _per_axis(call, zero, rank)


def _quantize(call: Call) -> tuple[Array]:
    x = call.array(0)
    call.refuse("block_size", 0)
    zero = _zero_point(call, x.ndim)
    limits = np.iinfo(zero.dtype)
    steps = np.rint(x / _per_axis(call, call.array(1), x.ndim)) + zero
    return (np.clip(steps, limits.min, limits.max).astype(zero.dtype),)


def _quantize_shape(call: Call) -> tuple[Array]:
    call.refuse("block_size", 0)
    return (placeholder(call.array(0).shape, _zero_point(call, call.array(0).ndim).dtype),)


def _dequantize(call: Call) -> tuple[Array]:
    x, scale = call.array(0), call.array(1)
    call.refuse("block_size", 0)
    zero = _zero_point(call, x.ndim).astype(np.int32)
    return ((x.astype(np.int32) - zero).astype(scale.dtype) * _per_axis(call, scale, x.ndim),)


def _dequantize_shape(call: Call) -> tuple[Array]:
    call.refuse("block_size", 0)
    return (placeholder(call.array(0).shape, call.array(1).dtype),)


QUANTISED = {
    "QuantizeLinear": OperatorKind(_quantize, _quantize_shape),
    "DequantizeLinear": OperatorKind(_dequantize, _dequantize_shape),
}
