"""Operators that move, cut, join and repeat elements, and those that speak about shapes."""

import math

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, axis_of, placeholder


def _identity(call: Call) -> tuple[Array]:
    return (call.array(0),)


def _cast(call: Call) -> tuple[Array]:
    """Change the type; ``to`` is numpy's name of it."""
    x, to = call.array(0), np.dtype(call.text("to"))
    if x.dtype == to:
        return (x,)
    with np.errstate(invalid="ignore", over="ignore"):
        return (x.astype(to),)


def _cast_shape(call: Call) -> tuple[Array]:
    return (placeholder(call.array(0).shape, call.text("to")),)


def _shape_of(call: Call) -> tuple[Array]:
    x = call.array(0)
    shape = x.shape[slice(call.integer("start", 0), call.integer("end", x.ndim))]
    return (np.array(shape, dtype=np.int64),)


def _size_of(call: Call) -> tuple[Array]:
    return (np.array(call.array(0).size, dtype=np.int64),)


def _reshape(call: Call) -> tuple[Array]:
    x, wanted = call.array(0), call.list_of_integers(1) or []
    if not call.integer("allowzero", 0):
        wanted = [x.shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    return (x.reshape(wanted),)


def _reshape_shape(call: Call) -> tuple[Array]:
    x = call.array(0)
    flat = placeholder((x.size,), np.int8)  # never copied
    wanted = call.list_of_integers(1) or []
    if not call.integer("allowzero", 0):
        wanted = [x.shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    known = math.prod(size for size in wanted if size != -1)
    sizes = [flat.size // max(1, known) if size == -1 else size for size in wanted]
    if math.prod(sizes) != x.size:
        raise FieldError(path=f"{call.path}.shape", rule=f"a shape of {x.size} elements", value=wanted)
    return (placeholder(sizes, x.dtype),)


def _flatten(call: Call) -> tuple[Array]:
    x = call.array(0)
    axis = call.integer("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return (x.reshape(math.prod(x.shape[:axis]), -1),)


def _flatten_shape(call: Call) -> tuple[Array]:
    x = call.array(0)
    axis = call.integer("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return (placeholder((math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), x.dtype),)


def _transpose(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (x.transpose(call.integers("perm", tuple(reversed(range(x.ndim))))),)


def _squeeze(call: Call) -> tuple[Array]:
    x, listed = call.array(0), call.list_of_integers(1)
    axes = tuple(listed) if listed is not None else tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    return (np.squeeze(x, axes),)


def _unsqueeze(call: Call) -> tuple[Array]:
    return (np.expand_dims(call.array(0), tuple(call.list_of_integers(1) or ())),)


def _expand(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(call.list_of_integers(1) or ()))),)


def _tile(call: Call) -> tuple[Array]:
    return (np.tile(call.array(0), call.list_of_integers(1) or []),)


def _concat(call: Call) -> tuple[Array]:
    values = call.arrays()
    return (np.concatenate(values, axis=axis_of(call, call.integer("axis"), values[0].ndim)),)


def _split(call: Call) -> tuple[Array, ...]:
    x, sizes = call.array(0), call.list_of_integers(1)
    axis, parts = axis_of(call, call.integer("axis", 0), x.ndim), len(call.operator.outputs)
    if sizes is None:
        size = -(-x.shape[axis] // parts)
        sizes = [min(size, x.shape[axis] - start) for start in range(0, x.shape[axis], size)]
    if len(sizes) != parts or sum(sizes) != x.shape[axis]:
        raise FieldError(path=f"{call.path}.split", rule=f"{parts} sizes that sum to {x.shape[axis]}", value=sizes)
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


def _slice(call: Call) -> tuple[Array]:
    x, starts, ends = call.array(0), call.list_of_integers(1) or [], call.list_of_integers(2) or []
    axes = call.list_of_integers(3) or list(range(len(starts)))
    steps = call.list_of_integers(4) or [1] * len(starts)
    cuts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = axis_of(call, axis, x.ndim)
        cuts[axis] = _cut(start, end, step, x.shape[axis])
    return (x[tuple(cuts)],)


def _cut(start: int, end: int, step: int, size: int) -> slice:
    """Return Python's slice for ONNX's: a backward one that runs past the front ends before the first element."""
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    return slice(min(max(start, 0), size - 1), end if end >= 0 else None, step)


def _gather(call: Call) -> tuple[Array]:
    x = call.array(0)
    axis = axis_of(call, call.integer("axis", 0), x.ndim)
    return (np.take(x, call.array(1), axis=axis),)


def _gather_shape(call: Call) -> tuple[Array]:
    x, axis = call.array(0), axis_of(call, call.integer("axis", 0), call.array(0).ndim)
    return (placeholder((*x.shape[:axis], *call.array(1).shape, *x.shape[axis + 1 :]), x.dtype),)


def _gather_elements(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (np.take_along_axis(x, call.array(1), axis=axis_of(call, call.integer("axis", 0), x.ndim)),)


def _gather_nd(call: Call) -> tuple[Array]:
    call.refuse("batch_dims", 0)
    indices = call.array(1)
    return (call.array(0)[tuple(np.moveaxis(indices, -1, 0))],)


def _scatter_nd_shape(call: Call) -> tuple[Array]:
    call.refuse("reduction", "none")
    return (placeholder(call.array(0).shape, call.array(0).dtype),)


def _scatter_nd(call: Call) -> tuple[Array]:
    out, indices = call.array(0).copy(), call.array(1)
    out[tuple(np.moveaxis(indices, -1, 0))] = call.array(2)
    return (out,)


PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def _pad(call: Call) -> tuple[Array]:
    """Pad by positive amounts and cut by negative ones."""
    x, pads, fill = call.array(0), call.list_of_integers(1) or [], call.maybe(2)
    axes = [axis_of(call, axis, x.ndim) for axis in call.list_of_integers(3) or range(x.ndim)]
    widths = [(0, 0)] * x.ndim
    for place, axis in enumerate(axes):
        widths[axis] = (pads[place], pads[place + len(axes)])
    cuts = tuple(slice(max(0, -begin), size - max(0, -end)) for (begin, end), size in zip(widths, x.shape, strict=True))
    added = [(max(0, begin), max(0, end)) for begin, end in widths]
    if call.text("mode", "constant", tuple(PAD_MODES)) == "constant":
        return (np.pad(x[cuts], added, constant_values=0 if fill is None else fill.reshape(()).item()),)
    return (np.pad(x[cuts], added, mode=call.text("mode")),)  # type: ignore[call-overload]


def _constant_of_shape(call: Call) -> tuple[Array]:
    """A tensor of one number, which takes the memory of one."""
    value = np.asarray(call.number("value", 0.0)).astype(call.text("dtype", "float32"))
    return (np.broadcast_to(value, tuple(call.list_of_integers(0) or ())),)


def _range(call: Call) -> tuple[Array]:
    start, limit, step = (call.array(place).reshape(()).item() for place in range(3))
    return (np.arange(start, limit, step, dtype=call.array(0).dtype),)


def _blocks(call: Call) -> tuple[int, ...]:
    return (*call.array(0).shape, call.integer("blocksize"))


def _non_zero(call: Call) -> tuple[Array]:
    return (np.array(np.nonzero(call.array(0)), dtype=np.int64),)


def _depth_to_space(call: Call) -> tuple[Array]:
    batch, channels, height, width, block = _blocks(call)
    depth = channels // block**2
    if call.text("mode", "DCR", ("DCR", "CRD")) == "DCR":
        split = call.array(0).reshape(batch, block, block, depth, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        split = call.array(0).reshape(batch, depth, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return (split.reshape(batch, depth, height * block, width * block),)


def _space_to_depth(call: Call) -> tuple[Array]:
    batch, channels, height, width, block = _blocks(call)
    split = call.array(0).reshape(batch, channels, height // block, block, width // block, block).transpose(0, 3, 5, 1, 2, 4)
    return (split.reshape(batch, channels * block**2, height // block, width // block),)


def _triangle(call: Call) -> tuple[Array]:
    x, diagonal = call.array(0), call.maybe(1)
    offset = 0 if diagonal is None else int(diagonal.reshape(()))
    return (np.triu(x, offset) if call.integer("upper", 1) else np.tril(x, offset),)


def _one_hot(call: Call) -> tuple[Array]:
    indices, depth, values = call.array(0), int(call.array(1).reshape(())), call.array(2)
    axis = call.integer("axis", -1)
    hot = np.moveaxis((indices[..., None] % depth) == np.arange(depth), -1, axis)
    return (np.where(hot, values[1], values[0]),)


SHAPES = {
    "Identity": OperatorKind(_identity),
    "Cast": OperatorKind(_cast, _cast_shape),
    "Shape": OperatorKind(_shape_of),
    "Size": OperatorKind(_size_of),
    "Reshape": OperatorKind(_reshape, _reshape_shape, static=(1,)),
    "Flatten": OperatorKind(_flatten, _flatten_shape),
    "Transpose": OperatorKind(_transpose),
    "Squeeze": OperatorKind(_squeeze, static=(1,)),
    "Unsqueeze": OperatorKind(_unsqueeze, static=(1,)),
    "Expand": OperatorKind(_expand, static=(1,)),
    "Tile": OperatorKind(_tile, static=(1,)),
    "Concat": OperatorKind(_concat),
    "Split": OperatorKind(_split, static=(1,)),
    "Slice": OperatorKind(_slice, static=(1, 2, 3, 4)),
    "Gather": OperatorKind(_gather, _gather_shape),
    "GatherElements": OperatorKind(_gather_elements),
    "GatherND": OperatorKind(_gather_nd),
    "ScatterND": OperatorKind(_scatter_nd, _scatter_nd_shape),
    "Pad": OperatorKind(_pad, static=(1, 3)),
    "ConstantOfShape": OperatorKind(_constant_of_shape, static=(0,)),
    "Range": OperatorKind(_range, static=(0, 1, 2)),
    "NonZero": OperatorKind(_non_zero, static=(0,)),
    "DepthToSpace": OperatorKind(_depth_to_space),
    "SpaceToDepth": OperatorKind(_space_to_depth),
    "Trilu": OperatorKind(_triangle, static=(1,)),
    "OneHot": OperatorKind(_one_hot, static=(1,)),
}
