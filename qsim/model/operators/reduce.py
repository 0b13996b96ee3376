"""Reductions over axes. The axes are the second input; without it all axes are reduced."""

from collections.abc import Callable

import numpy as np

from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, axis_of

Reduction = Callable[[Array, tuple[int, ...], bool], Array]


def reduced_axes(call: Call) -> tuple[int, ...]:
    """Return the axes to reduce, counted from the front."""
    rank, listed = call.array(0).ndim, call.list_of_integers(1)
    if listed is None or not listed:
        return () if listed is not None and call.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(axis_of(call, axis, rank) for axis in listed)


def _reduction(function: Reduction) -> OperatorKind:
    def run(call: Call) -> tuple[Array]:
        x = call.array(0)
        return (np.asarray(function(x, reduced_axes(call), bool(call.integer("keepdims", 1)))).astype(x.dtype, copy=False),)

    return OperatorKind(run, static=(1,))


def _log_sum_exp(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    highest = x.max(axis=axes, keepdims=True)
    total = np.log(np.exp(x - highest).sum(axis=axes, keepdims=True)) + highest
    return np.asarray(total if keep else total.squeeze(axes))


def _place(function: Callable[..., Array]) -> OperatorKind:
    def run(call: Call) -> tuple[Array]:
        x = call.array(0)
        call.refuse("select_last_index", 0)
        axis = axis_of(call, call.integer("axis", 0), x.ndim)
        return (np.asarray(function(x, axis=axis, keepdims=bool(call.integer("keepdims", 1)))).astype(np.int64),)

    return OperatorKind(run)


def _cumulative(call: Call) -> tuple[Array]:
    x, axis = call.array(0), int(call.array(1).reshape(()))
    call.refuse("exclusive", 0)
    if call.integer("reverse", 0):
        return (np.flip(np.cumsum(np.flip(x, axis), axis=axis, dtype=x.dtype), axis),)
    return (np.cumsum(x, axis=axis, dtype=x.dtype),)


REDUCE = {
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axis=axes, keepdims=keep, dtype=x.dtype)),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axis=axes, keepdims=keep)),
    "ReduceMax": _reduction(lambda x, axes, keep: x.max(axis=axes, keepdims=keep)),
    "ReduceMin": _reduction(lambda x, axes, keep: x.min(axis=axes, keepdims=keep)),
    "ReduceProd": _reduction(lambda x, axes, keep: x.prod(axis=axes, keepdims=keep)),
    "ReduceL1": _reduction(lambda x, axes, keep: np.abs(x).sum(axis=axes, keepdims=keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: np.sqrt(np.square(x).sum(axis=axes, keepdims=keep))),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: np.square(x).sum(axis=axes, keepdims=keep)),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ArgMax": _place(np.argmax),
    "ArgMin": _place(np.argmin),
    "CumSum": OperatorKind(_cumulative, static=(1,)),
}
