"""ATen's operators that move, cut, join and repeat elements, reduce them, or make tensors out of nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsim.compress.aten.lowering import Arguments, Lowering, SimpleTranslation, Tensors, Translation, result_shape, result_type
from qsim.errors import UnsupportedProgram

EVERYTHING = (1 << 63) - 1


def _reshaped(low: Lowering, given: Arguments) -> str:
    """Reshape, flatten, squeeze and their kin: what counts is the shape of the result."""
    return low.emit("Reshape", given["self"], low.integers(result_shape(low)))


def _permute(low: Lowering, given: Arguments) -> str:
    dims = given.get("dims")
    rank = len(low.shape(given["self"]))
    return low.emit("Transpose", given["self"], perm=tuple(axis % rank for axis in dims or range(rank)))


def _transpose(low: Lowering, given: Arguments) -> str:
    order = list(range(len(low.shape(given["self"]))))
    one, two = low.axis(given["self"], given.get("dim0", 0)), low.axis(given["self"], given.get("dim1", -1))
    order[one], order[two] = order[two], order[one]
    return low.emit("Transpose", given["self"], perm=tuple(order))


def _expand(low: Lowering, given: Arguments) -> str:
    return low.emit("Expand", given["self"], low.integers(result_shape(low)))


def _repeat(low: Lowering, given: Arguments) -> str:
    x, repeats = given["self"], given["repeats"]
    missing = len(repeats) - len(low.shape(x))
    x = low.emit("Reshape", x, low.integers([1] * missing + list(low.shape(x)))) if missing else x
    return low.emit("Tile", x, low.integers(repeats))


def _cat(low: Lowering, given: Arguments) -> str:
    tensors = [low.cast(tensor, result_type(low)) for tensor in given["tensors"]]
    return low.emit("Concat", *tensors, axis=low.axis(tensors[0], given["dim"]))


def _stack(low: Lowering, given: Arguments) -> str:
    axis = given["dim"] % len(result_shape(low))
    return low.emit("Concat", *(low.emit("Unsqueeze", tensor, low.integers([axis])) for tensor in given["tensors"]), axis=axis)


def cut(low: Lowering, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
    """Return a slice of one axis."""
    bounds = [low.integers([value]) for value in (start, end, axis, step)]
    return low.emit("Slice", x, *bounds)


def _slice(low: Lowering, given: Arguments) -> str:
    start, end = given["start"] or 0, EVERYTHING if given["end"] is None else given["end"]
    return cut(low, given["self"], low.axis(given["self"], given["dim"]), start, end, given["step"])


def _flip(low: Lowering, given: Arguments) -> str:
    x = given["self"]
    for axis in given["dims"]:
        x = cut(low, x, low.axis(x, axis), -1, -EVERYTHING, -1)
    return str(x)


def _narrow(low: Lowering, given: Arguments) -> str:
    return cut(low, given["self"], low.axis(given["self"], given["dim"]), given["start"], given["start"] + given["length"])


def _select(low: Lowering, given: Arguments) -> str:
    axis = low.axis(given["self"], given["dim"])
    index = given["index"] % low.shape(given["self"])[axis]
    return low.emit("Squeeze", cut(low, given["self"], axis, index, index + 1), low.integers([axis]))


def _parts(low: Lowering, x: str, axis: int, sizes: Sequence[int]) -> tuple[str, ...]:
    return low.emit_many("Split", (x, low.integers(sizes)), len(sizes), axis=axis)


def _split(low: Lowering, given: Arguments) -> Tensors:
    x, axis = given["self"], low.axis(given["self"], given["dim"])
    return _parts(low, x, axis, [int(part.shape[axis]) for part in low.node.meta["val"]])


def _unbind(low: Lowering, given: Arguments) -> Tensors:
    x, axis = given["self"], low.axis(given["self"], given["dim"])
    parts = _parts(low, x, axis, [1] * low.shape(x)[axis])
    return tuple(low.emit("Squeeze", part, low.integers([axis])) for part in parts)


def _gather(low: Lowering, given: Arguments) -> str:
    return low.emit("GatherElements", given["self"], given["index"], axis=low.axis(given["self"], given["dim"]))


def _index_select(low: Lowering, given: Arguments) -> str:
    return low.emit("Gather", given["self"], given["index"], axis=low.axis(given["self"], given["dim"]))


def _index(low: Lowering, given: Arguments) -> str:
    """Indexing by one tensor of integers."""
    places = [axis for axis, index in enumerate(given["indices"]) if index is not None]
    if len(places) != 1 or low.dtype(given["indices"][places[0]]).kind != "i":
        raise UnsupportedProgram("indexing by more than one tensor, or by truth values")
    return low.emit("Gather", given["self"], given["indices"][places[0]], axis=places[0])


def _embedding(low: Lowering, given: Arguments) -> str:
    return low.emit("Gather", given["weight"], given["indices"], axis=0)


def _pad(low: Lowering, given: Arguments) -> str:
    """PyTorch lists the last axis first, as pairs of begin and end."""
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[given.get("mode", "constant")]
    x, pad = given["self"], given.get("pad", given.get("padding"))
    rank = len(low.shape(x))
    pairs = [(0, 0)] * (rank - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    pads = low.integers([begin for begin, _ in pairs] + [end for _, end in pairs])
    value = given.get("value")
    return low.emit("Pad", x, pads, low.constant(0 if value is None else value, low.dtype(x)), mode=mode)


def _reflection_pad(mode: str) -> Translation:
    return lambda low, given: _pad(low, {**given, "mode": mode})


def _pixel_shuffle(low: Lowering, given: Arguments) -> str:
    return low.emit("DepthToSpace", given["self"], blocksize=given["upscale_factor"], mode="CRD")


def _triangle(upper: int) -> Translation:
    return lambda low, given: low.emit("Trilu", given["self"], low.constant(given["diagonal"], np.int64), upper=upper)


def _reduce(kind: str) -> SimpleTranslation:
    def translate(low: Lowering, given: Arguments) -> str:
        x, dims = low.cast(given["self"], result_type(low)), given.get("dim")
        dims = [dims] if isinstance(dims, int) else dims
        axes = list(dims) if dims else list(range(len(low.shape(x))))
        return low.emit(kind, x, low.integers(axes), keepdims=int(given.get("keepdim", False)))

    return translate


def _argument(kind: str) -> SimpleTranslation:
    def translate(low: Lowering, given: Arguments) -> str:
        if given["dim"] is None:
            raise UnsupportedProgram("the place of the largest element of all axes")
        return low.emit(kind, given["self"], axis=low.axis(given["self"], given["dim"]), keepdims=int(given["keepdim"]))

    return translate


def _maximum(low: Lowering, given: Arguments) -> Tensors:
    """``max`` over one axis gives values and places, over all axes values."""
    if "dim" not in given:
        return _reduce("ReduceMax")(low, given)
    return _reduce("ReduceMax")(low, given), _argument("ArgMax")(low, given)


def _variance(low: Lowering, given: Arguments) -> str:
    x, dims = given["self"], given["dim"]
    axes = low.integers(dims if dims else range(len(low.shape(x))))
    centred = low.emit("Sub", x, low.emit("ReduceMean", x, axes, keepdims=1))
    mean = low.emit("ReduceMean", low.emit("Mul", centred, centred), axes, keepdims=int(given.get("keepdim", False)))
    count = int(np.prod([low.shape(x)[axis] for axis in (dims or range(len(low.shape(x))))]))
    correction = given.get("correction")
    correction = int(given.get("unbiased", True)) if correction is None else int(correction)
    return low.emit("Mul", mean, low.constant(count / max(1, count - correction), low.dtype(x)))


def _cumulative(low: Lowering, given: Arguments) -> str:
    return low.emit("CumSum", low.cast(given["self"], result_type(low)), low.constant(low.axis(given["self"], given["dim"]), np.int64))


def _norm(low: Lowering, given: Arguments) -> str:
    orders = {1: "ReduceL1", 2: "ReduceL2", None: "ReduceL2"}
    order = given.get("p", given.get("ord", 2))
    if order not in orders:
        raise UnsupportedProgram(f"a norm of order {order}")
    return _reduce(orders[order])(low, given)


def _filled(value: Any) -> Translation:
    """A tensor of one number; it is broadcast, so that it takes no memory."""

    def translate(low: Lowering, given: Arguments) -> str:
        number = given.get("fill_value", value)
        return low.constant(np.broadcast_to(np.asarray(number, dtype=result_type(low)), result_shape(low)))

    return translate


def _range(low: Lowering, given: Arguments) -> str:
    values = np.arange(given.get("start", 0), given["end"], given.get("step", 1))
    return low.constant(values.astype(result_type(low)))


SHAPES: dict[str, Translation] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_copy"), _reshaped),
    "permute": _permute, "transpose": _transpose, "t": _permute, "numpy_T": _permute, "expand": _expand, "expand_as": _expand,
    "broadcast_to": _expand, "repeat": _repeat, "cat": _cat, "concat": _cat, "stack": _stack, "slice": _slice, "narrow": _narrow,
    "flip": _flip,
    "select": _select, "split": _split, "split_with_sizes": _split, "chunk": _split, "unbind": _unbind, "gather": _gather,
    "index_select": _index_select, "index": _index, "embedding": _embedding, "pad": _pad, "constant_pad_nd": _pad,
    "reflection_pad1d": _reflection_pad("reflect"), "reflection_pad2d": _reflection_pad("reflect"),
    "replication_pad1d": _reflection_pad("replicate"), "replication_pad2d": _reflection_pad("replicate"), "pixel_shuffle": _pixel_shuffle,
    "tril": _triangle(0), "triu": _triangle(1), "mean": _reduce("ReduceMean"), "sum": _reduce("ReduceSum"), "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"), "max": _maximum, "argmax": _argument("ArgMax"), "argmin": _argument("ArgMin"), "var": _variance,
    "cumsum": _cumulative, "norm": _norm, "linalg_vector_norm": _norm, "logsumexp": _reduce("ReduceLogSumExp"),
    "zeros": _filled(0), "ones": _filled(1), "full": _filled(0), "zeros_like": _filled(0), "ones_like": _filled(1),
    "full_like": _filled(0),
    "new_zeros": _filled(0), "new_ones": _filled(1), "new_full": _filled(0),
    "scalar_tensor": lambda low, given: low.constant(given["s"], result_type(low)),
    "arange": _range,
}  # fmt: skip
