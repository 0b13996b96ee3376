"""Quantisation to 8 bits and back, and products of 8-bit integers, as quantised files have them.

A number ``q`` stands for ``scale (q - zero)``. ``QuantizeLinear`` and ``DequantizeLinear`` go between; a dequantised constant is folded
into float weights. ``ConvInteger`` and ``MatMulInteger`` multiply what is left after the zero points and give 32-bit sums;
``QLinearConv`` and ``QLinearMatMul`` also bring the sums back to 8 bits:

    y = saturate(rint(float32(sum) * (x_scale * w_scale / y_scale)) + y_zero)

in float32 and in this order, as ONNX Runtime does, halves to the even neighbour. Sums of 8-bit products are exact in float64, in which
the products run because BLAS has no integers; they wrap at 32 bits.
"""

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.convolution import convolution_shape, convolve
from qsim.model.operators.kind import Call, OperatorKind, placeholder
from qsim.model.operators.matrix import matmul_shape

LEVELS = np.float32(255)  # of DynamicQuantizeLinear, from 0


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
    return (_saturated(x / _per_axis(call, call.array(1), x.ndim), zero),)


def _saturated(values: Array, zero: Array) -> Array:
    """Return ``values`` rounded and moved by ``zero``, in its type."""
    limits = np.iinfo(zero.dtype)
    return np.asarray(np.clip(np.rint(values) + zero, limits.min, limits.max).astype(zero.dtype))


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


def _dynamic(call: Call) -> tuple[Array, Array, Array]:
    """Quantise to 0 to 255 over the range of the values, 0 included, so that 0 is exact; a tensor of zeros has scale 1."""
    x = call.array(0)
    low, high = x.min(initial=0), x.max(initial=0)
    scale = np.asarray((high - low) / LEVELS if high > low else 1, dtype=np.float32)
    zero = _saturated(-low / scale, np.zeros((), dtype=np.uint8))
    return _saturated(x / scale, zero), scale, zero


def _dynamic_shape(call: Call) -> tuple[Array, Array, Array]:
    return placeholder(call.array(0).shape, np.uint8), placeholder((), np.float32), placeholder((), np.uint8)


def _along(call: Call, place: int, axis: int, shape: tuple[int, ...]) -> Array:
    """Return a scale or zero point that an input holds: one for all, or one per element of an axis of a tensor of ``shape``.

    Raises :class:`FieldError` for another number of them.
    """
    found = call.array(place)
    if found.size == 1:
        return found.reshape(())
    if found.ndim > 1:
        np.broadcast_shapes(found.shape, shape)
        return found
    axis %= len(shape)
    if found.size != shape[axis]:
        raise FieldError(path=f"{call.path}.input[{place}]", rule=f"one number, or {shape[axis]}", value=found.size)
    return found.reshape(-1, *(1,) * (len(shape) - 1 - axis))


def _centred(call: Call, place: int, zero: int, axis: int) -> npt.NDArray[np.float64]:
    """Return an input less its zero point, which is per row, column or channel where there are several."""
    x = call.array(place)
    wide = x.astype(np.float64)
    return wide if call.maybe(zero) is None else wide - _along(call, zero, axis, x.shape)


def _wrapped(sums: Array) -> npt.NDArray[np.int32]:
    return sums.astype(np.int64).astype(np.int32)


def _matmul_integer(call: Call) -> tuple[Array]:
    return (_wrapped(np.matmul(_centred(call, 0, 2, -2), _centred(call, 1, 3, -1))),)


def _matmul_integer_shape(call: Call) -> tuple[Array]:
    _along_both(call, (0, 2, -2), (1, 3, -1))
    return (placeholder(matmul_shape(call)[0].shape, np.int32),)


def _conv_integer(call: Call) -> tuple[Array]:
    return (_wrapped(convolve(Call(call.operator, (_centred(call, 0, 2, 1), _centred(call, 1, 3, 0))))[0]),)


def _conv_integer_shape(call: Call) -> tuple[Array]:
    _along_both(call, (0, 2, 1), (1, 3, 0))
    return (placeholder(convolution_shape(call)[0].shape, np.int32),)


def _along_both(call: Call, *uses: tuple[int, int, int]) -> None:
    """Check that scales or zero points fit: each use is input, place of the numbers and axis."""
    for place, numbers, axis in uses:
        if call.maybe(numbers) is not None:
            _along(call, numbers, axis, call.array(place).shape)


def _requantised(call: Call, sums: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Return 32-bit sums as 8-bit integers; the scale of the weights is per ``axis`` of the sums where there are several."""
    factor = call.array(1).reshape(()) * _along(call, 4, axis, shape) / call.array(6).reshape(())
    return _saturated(sums.astype(np.float32) * factor, call.array(7).reshape(()))


def _qlinear_matmul(call: Call) -> tuple[Array]:
    sums = _wrapped(np.matmul(_centred(call, 0, 2, -2), _centred(call, 3, 5, -1)))
    return (_requantised(call, sums, -1, sums.shape),)


def _qlinear_matmul_shape(call: Call) -> tuple[Array]:
    _along_both(call, (0, 2, -2), (3, 4, -1), (3, 5, -1))
    _single_scales(call)
    found = matmul_shape(Call(call.operator, (call.array(0), call.array(3))))[0]
    return (placeholder(found.shape, call.array(7).dtype),)


def _qlinear_conv(call: Call) -> tuple[Array]:
    sums = convolve(Call(call.operator, (_centred(call, 0, 2, 1), _centred(call, 3, 5, 0))))[0]
    bias = call.maybe(8)
    if bias is not None:
        sums += bias.reshape(-1, *(1,) * (sums.ndim - 2))
    return (_requantised(call, _wrapped(sums), 1, sums.shape),)


def _qlinear_conv_shape(call: Call) -> tuple[Array]:
    _along_both(call, (0, 2, 1), (3, 4, 0), (3, 5, 0))
    _single_scales(call)
    found = convolution_shape(Call(call.operator, (call.array(0), call.array(3))))[0]
    return (placeholder(found.shape, call.array(7).dtype),)


def _single_scales(call: Call) -> None:
    """Refuse scales of input and output by row or channel, which ONNX Runtime refuses too."""
    for place in (1, 6, 7):
        if call.array(place).size != 1:
            rule = "one number, the only supported setting"
            raise FieldError(path=f"{call.path}.input[{place}]", rule=rule, value=list(call.array(place).shape))


QUANTISED = {
    "QuantizeLinear": OperatorKind(_quantize, _quantize_shape),
    "DequantizeLinear": OperatorKind(_dequantize, _dequantize_shape),
    "DynamicQuantizeLinear": OperatorKind(_dynamic, _dynamic_shape),
    "MatMulInteger": OperatorKind(_matmul_integer, _matmul_integer_shape),
    "ConvInteger": OperatorKind(_conv_integer, _conv_integer_shape),
    "QLinearMatMul": OperatorKind(_qlinear_matmul, _qlinear_matmul_shape),
    "QLinearConv": OperatorKind(_qlinear_conv, _qlinear_conv_shape),
}
