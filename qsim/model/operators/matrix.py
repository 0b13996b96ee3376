"""Matrix products."""

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, placeholder


def _matmul(call: Call) -> tuple[Array]:
    return (np.asarray(np.matmul(call.array(0), call.array(1))),)


def matmul_shape(call: Call) -> tuple[Array]:
    """Shape rule of a product of two tensors. Raises :class:`FieldError` where they do not fit."""
    left, right = call.array(0), call.array(1)
    rows, columns = left.shape[-2:-1], right.shape[-1:] if right.ndim > 1 else ()
    inner = right.shape[-2] if right.ndim > 1 else right.shape[0]
    if left.shape[-1] != inner:
        raise FieldError(path=call.path, rule=f"a second operand of {left.shape[-1]} rows", value=list(right.shape))
    leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    return (placeholder((*leading, *rows, *columns), np.result_type(left, right)),)


def _gemm(call: Call) -> tuple[Array]:
    left, right, bias = call.array(0), call.array(1), call.maybe(2)
    left = left.T if call.integer("transA", 0) else left
    right = right.T if call.integer("transB", 0) else right
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    product = left @ right
    product = product if alpha == 1 else product * alpha
    if bias is None:
        return (product,)
    return (product + (bias if beta == 1 else bias * beta),)


def _gemm_shape(call: Call) -> tuple[Array]:
    left, right, bias = call.array(0), call.array(1), call.maybe(2)
    if left.ndim != 2 or right.ndim != 2:
        raise FieldError(path=call.path, rule="two matrices", value=[list(left.shape), list(right.shape)])
    rows, inner = left.shape[::-1] if call.integer("transA", 0) else left.shape
    height, columns = right.shape[::-1] if call.integer("transB", 0) else right.shape
    if inner != height:
        raise FieldError(path=call.path, rule=f"a second operand of {inner} rows", value=list(right.shape))
    shape = (rows, columns)
    if bias is not None and np.broadcast_shapes(shape, bias.shape) != shape:
        raise FieldError(path=f"{call.path}.bias", rule=f"{columns} values", value=list(bias.shape))
    return (placeholder(shape, left.dtype),)


def _einsum(call: Call) -> tuple[Array]:
    return (np.asarray(np.einsum(call.text("equation"), *call.arrays(), optimize=True)),)


MATRIX = {
    "MatMul": OperatorKind(_matmul, matmul_shape),
    "Gemm": OperatorKind(_gemm, _gemm_shape),
    "Einsum": OperatorKind(_einsum),
}
