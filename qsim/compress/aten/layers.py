"""ATen's layers: products, convolutions, pooling, normalisation, attention, recurrence."""

import math
from collections.abc import Sequence

import numpy as np

from qsim.compress.aten.lowering import Arguments, Lowering, Tensors, Translation, result_shape
from qsim.compress.aten.shapes import cut
from qsim.errors import UnsupportedProgram

# Rows of PyTorch's gate matrices in ONNX's order: LSTM i f g o -> i o f g, GRU r z n -> z r n.
GATE_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def _transposed(low: Lowering, weight: str) -> str:
    """Return a weight with its last two axes swapped: a view of the same memory, the same constant for tied weights."""
    name = f"{weight}.T"
    if name in low.draft.constants:
        return name
    return low.constant(np.swapaxes(low.value(weight), -1, -2), name=name)


def _linear(low: Lowering, given: Arguments) -> str:
    x, weight, bias = given["input"], given["weight"], given["bias"]
    if low.draft.constant(weight) is None or len(low.shape(x)) == 2:
        return low.emit("Gemm", x, weight, *([bias] if bias else []), transB=1)
    product = low.emit("MatMul", x, _transposed(low, weight))
    return low.emit("Add", product, bias) if bias else product


def _addmm(low: Lowering, given: Arguments) -> str:
    return low.emit("Gemm", given["mat1"], given["mat2"], given["self"], alpha=float(given["alpha"]), beta=float(given["beta"]))


def _matmul(low: Lowering, given: Arguments) -> str:
    other = given.get("other", given.get("mat2", given.get("vec")))
    return low.emit("MatMul", given["self"], other)


def _add_batched(low: Lowering, given: Arguments) -> str:
    if given["alpha"] != 1 or given["beta"] != 1:
        raise UnsupportedProgram("baddbmm with factors")
    return low.emit("Add", low.emit("MatMul", given["batch1"], given["batch2"]), given["self"])


def _numbers(values: object, axes: int) -> tuple[int, ...]:
    """Return one number per axis; PyTorch also writes one for all."""
    listed = [int(value) for value in values] if isinstance(values, Sequence) else [int(values)]  # type: ignore[call-overload]
    return tuple(listed * axes if len(listed) == 1 else listed)


def _convolution(low: Lowering, given: Arguments) -> str:
    x, weight, axes = given["input"], given["weight"], len(low.shape(given["weight"])) - 2
    if len(low.shape(x)) != axes + 2:
        raise UnsupportedProgram("a convolution without a batch axis")
    inputs = [x, weight, *([given["bias"]] if given["bias"] else [])]
    strides, dilations, padding = _numbers(given["stride"], axes), _numbers(given["dilation"], axes), given["padding"]
    if padding == "same":
        return low.emit("Conv", *inputs, strides=strides, dilations=dilations, auto_pad="SAME_UPPER", group=given["groups"])
    pads = (0,) * axes if padding == "valid" else _numbers(padding, axes)
    if given.get("transposed") or ("output_padding" in given and "transposed" not in given):
        extra = _numbers(given["output_padding"], axes)
        kind, more = "ConvTranspose", {"output_padding": extra}
    else:
        kind, more = "Conv", {}
    return low.emit(kind, *inputs, strides=strides, dilations=dilations, pads=pads * 2, group=given["groups"], **more)


def _batch_norm(low: Lowering, given: Arguments) -> Tensors:
    x = given["input"]
    mean, variance = given["running_mean"], given["running_var"]
    if given.get("training", False) or mean is None or variance is None:
        raise UnsupportedProgram("batch norm with the statistics of the batch: call eval() first")
    channels, dtype = low.shape(x)[1], low.dtype(x)
    scale = given["weight"] or low.constant(np.ones(channels), dtype)
    bias = given["bias"] or low.constant(np.zeros(channels), dtype)
    out = low.emit("BatchNormalization", x, scale, bias, mean, variance, epsilon=float(given["eps"]))
    return (out, "", "")


def _first_only(translation: Translation) -> Translation:
    """An operator whose further results are for training."""

    def translate(low: Lowering, given: Arguments) -> Tensors:
        found = translation(low, given)
        return found[0] if isinstance(found, tuple) else found

    return translate


def _layer_norm(low: Lowering, given: Arguments) -> str:
    x, shape, dtype = given["input"], tuple(given["normalized_shape"]), low.dtype(given["input"])
    scale = given["weight"] or low.constant(np.ones(shape), dtype)
    inputs = [x, scale, *([given["bias"]] if given["bias"] else [])]
    return low.emit("LayerNormalization", *inputs, axis=-len(shape), epsilon=float(given["eps"]))


def _group_norm(low: Lowering, given: Arguments) -> str:
    x, channels = given["input"], low.shape(given["input"])[1]
    scale = given["weight"] or low.constant(np.ones(channels), low.dtype(x))
    bias = given["bias"] or low.constant(np.zeros(channels), low.dtype(x))
    return low.emit("GroupNormalization", x, scale, bias, num_groups=given["num_groups"], epsilon=float(given["eps"]))


def _pool_window(low: Lowering, given: Arguments, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    if len(low.shape(given["self"])) != axes + 2:
        raise UnsupportedProgram("pooling without a batch axis")
    kernel = _numbers(given["kernel_size"], axes)
    return kernel, _numbers(given["stride"], axes) if given["stride"] else kernel, _numbers(given["padding"], axes)


def _max_pool(axes: int) -> Translation:
    def translate(low: Lowering, given: Arguments) -> str:
        kernel, strides, pads = _pool_window(low, given, axes)
        dilations, ceil = _numbers(given["dilation"], axes), int(given["ceil_mode"])
        return low.emit(
            "MaxPool", given["self"], kernel_shape=kernel, strides=strides, pads=pads * 2, dilations=dilations, ceil_mode=ceil
        )  # fmt: skip

    return translate


def _max_pool_with_places(axes: int) -> Translation:
    return lambda low, given: (str(_max_pool(axes)(low, given)), "")


def _average_pool(axes: int) -> Translation:
    def translate(low: Lowering, given: Arguments) -> str:
        kernel, strides, pads = _pool_window(low, given, axes)
        if given.get("divisor_override"):
            raise UnsupportedProgram("average pooling with another divisor")
        ceil, padded = int(given["ceil_mode"]), int(given["count_include_pad"])
        return low.emit(
            "AveragePool", given["self"], kernel_shape=kernel, strides=strides, pads=pads * 2, ceil_mode=ceil, count_include_pad=padded
        )  # fmt: skip

    return translate


def _adaptive_pool(axes: int, *, largest: bool) -> Translation:
    """Pooling to a given size: output i of n covers ``floor(i s / n)`` to ``ceil((i + 1) s / n)`` of the s inputs."""

    def translate(low: Lowering, given: Arguments) -> Tensors:
        x, wanted = given["self"], _numbers(given["output_size"], axes)
        if set(wanted) == {1}:
            found = low.emit("GlobalMaxPool" if largest else "GlobalAveragePool", x)
        else:
            found = _to_size(low, x, wanted, "ReduceMax" if largest else "ReduceMean")
        return (found, "") if largest else found

    return translate


def _to_size(low: Lowering, x: str, wanted: Sequence[int], kind: str) -> str:
    first = len(low.shape(x)) - len(wanted)
    for axis, count in enumerate(wanted, first):
        size = low.shape(x)[axis]
        bounds = [(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]
        parts = [low.emit(kind, cut(low, x, axis, start, end), low.integers([axis]), keepdims=1) for start, end in bounds]
        x = low.emit("Concat", *parts, axis=axis)
    return x


def _upsample(mode: str, axes: int) -> Translation:
    """Resizing. PyTorch's nearest neighbour rounds down; interpolation places pixels at their centres unless corners align."""

    def translate(low: Lowering, given: Arguments) -> str:
        x, scales = given.get("input", given.get("self")), given.get("scale_factors")
        single = [given[name] for name in ("scales", "scales_d", "scales_h", "scales_w") if given.get(name) is not None]
        scales = scales or (single if len(single) == axes else None)
        transform = "align_corners" if given.get("align_corners") else "asymmetric" if mode == "nearest" else "half_pixel"
        by_scale = ("", low.constant([1.0, 1.0, *scales], np.float32)) if scales else None
        target = by_scale or ("", "", low.integers(result_shape(low)))
        return low.emit("Resize", str(x), *target, mode=mode, coordinate_transformation_mode=transform, nearest_mode="floor")

    return translate


def _softmax(kind: str) -> Translation:
    return lambda low, given: low.emit(kind, given["self"], axis=low.axis(given["self"], given["dim"]))


def _attention(low: Lowering, given: Arguments) -> str:
    """Scaled dot product attention, as composed by hand: softmax(q k^T scale + mask) v."""
    query, key, value, mask = given["query"], given["key"], given["value"], given["attn_mask"]
    if given.get("enable_gqa"):
        raise UnsupportedProgram("grouped queries")
    order = list(range(len(low.shape(key))))
    turned = low.emit("Transpose", key, perm=(*order[:-2], order[-1], order[-2]))
    dtype = low.dtype(query)
    scale = 1 / math.sqrt(low.shape(query)[-1]) if given["scale"] is None else given["scale"]
    scores = low.emit("MatMul", low.emit("Mul", query, low.constant(scale, dtype)), turned)
    if given["is_causal"]:
        mask = low.constant(np.tril(np.ones(low.shape(scores)[-2:], dtype=bool)))
    if mask is not None and low.dtype(mask).kind == "b":
        scores = low.emit("Where", mask, scores, low.constant(-math.inf, dtype))
    elif mask is not None:
        scores = low.emit("Add", scores, mask)
    return low.emit("MatMul", low.emit("Softmax", scores, axis=-1), value)


def _joined(low: Lowering, kind: str, names: Sequence[str], what: str, layer: int) -> str:
    """Return the weights of all directions of a layer, gates in ONNX's order."""
    arrays = [low.value(name) for name in names]
    gates = len(GATE_ORDER[kind])
    ordered = [np.concatenate([np.split(array, gates)[gate] for gate in GATE_ORDER[kind]]) for array in arrays]
    return low.constant(np.stack(ordered), name=f"{low.module or low.node.name}.{what}_l{layer}")


def _recurrent(kind: str, activation: str | None = None) -> Translation:
    def translate(low: Lowering, given: Arguments) -> Tensors:
        x, states = given["input"], given["hx"] if kind == "LSTM" else [given["hx"]]
        directions = 2 if given["bidirectional"] else 1
        if given.get("train") or not isinstance(given["params"], Sequence):
            raise UnsupportedProgram("a recurrent layer in training: call eval() first")
        per = len(given["params"]) // (given["num_layers"] * directions)
        if per != (4 if given["has_biases"] else 2):
            raise UnsupportedProgram("a recurrent layer with projections")
        x = low.emit("Transpose", x, perm=(1, 0, 2)) if given["batch_first"] else x
        last: list[tuple[str, ...]] = []
        for layer in range(given["num_layers"]):
            params = given["params"][layer * directions * per : (layer + 1) * directions * per]
            x, *ends = _layer(low, kind, activation, x, states, params, layer, directions)
            last.append(tuple(ends))
        x = low.emit("Transpose", x, perm=(1, 0, 2)) if given["batch_first"] else x
        return (x, *(low.emit("Concat", *ends, axis=0) for ends in zip(*last, strict=True)))

    return translate


def _layer(
    low: Lowering, kind: str, activation: str | None, x: str, states: Sequence[str], params: Sequence[str], layer: int, directions: int
) -> tuple[str, ...]:
    """Append one layer of all directions; returns outputs [steps, batch, directions x hidden] and the last states."""
    per = len(params) // directions
    weights = [_joined(low, kind, params[place::per], what, layer) for place, what in ((0, "W"), (1, "R"))]
    bias = ""
    if per == 4:
        halves = [low.value(_joined(low, kind, params[place::per], "B", layer)) for place in (2, 3)]
        bias = low.constant(np.concatenate(halves, axis=1), name=f"{low.module or low.node.name}.bias_l{layer}")
    starts = [cut(low, state, 0, layer * directions, (layer + 1) * directions) for state in states]
    steps, batch, _ = low.shape(x)
    options: dict[str, int | str | tuple[str, ...]] = {"direction": "bidirectional" if directions == 2 else "forward"}
    options |= {"linear_before_reset": 1} if kind == "GRU" else {}
    options |= {"activations": (activation,) * directions} if activation else {}
    found = low.emit_many(kind, (x, *weights, bias, "", *starts), 1 + len(states), **options)
    turned = low.emit("Transpose", found[0], perm=(0, 2, 1, 3))
    return low.emit("Reshape", turned, low.integers([steps, batch, -1])), *found[1:]


LAYERS: dict[str, Translation] = {
    "linear": _linear, "addmm": _addmm, "mm": _matmul, "bmm": _matmul, "matmul": _matmul, "mv": _matmul, "baddbmm": _add_batched,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _convolution),
    "batch_norm": _first_only(_batch_norm), "_native_batch_norm_legit_no_training": _batch_norm, "layer_norm": _layer_norm,
    "native_layer_norm": lambda low, given: (_layer_norm(low, given), "", ""), "group_norm": _group_norm,
    "max_pool1d": _max_pool(1), "max_pool2d": _max_pool(2), "max_pool3d": _max_pool(3),
    "max_pool2d_with_indices": _max_pool_with_places(2), "max_pool3d_with_indices": _max_pool_with_places(3),
    "avg_pool1d": _average_pool(1), "avg_pool2d": _average_pool(2), "avg_pool3d": _average_pool(3),
    "adaptive_avg_pool1d": _adaptive_pool(1, largest=False), "adaptive_avg_pool2d": _adaptive_pool(2, largest=False),
    "_adaptive_avg_pool2d": _adaptive_pool(2, largest=False), "adaptive_avg_pool3d": _adaptive_pool(3, largest=False),
    "adaptive_max_pool1d": _adaptive_pool(1, largest=True), "adaptive_max_pool2d": _adaptive_pool(2, largest=True),
    "upsample_nearest1d": _upsample("nearest", 1), "upsample_nearest2d": _upsample("nearest", 2),
    "upsample_nearest3d": _upsample("nearest", 3), "upsample_linear1d": _upsample("linear", 1),
    "upsample_bilinear2d": _upsample("linear", 2), "upsample_bicubic2d": _upsample("cubic", 2),
    "upsample_trilinear3d": _upsample("linear", 3),
    "softmax": _softmax("Softmax"), "_softmax": _softmax("Softmax"), "log_softmax": _softmax("LogSoftmax"),
    "_log_softmax": _softmax("LogSoftmax"), "scaled_dot_product_attention": _attention,
    "lstm": _recurrent("LSTM"), "gru": _recurrent("GRU"), "rnn_tanh": _recurrent("RNN"), "rnn_relu": _recurrent("RNN", "Relu"),
}  # fmt: skip
