"""Does every operator compute what ONNX Runtime computes, over shapes, strides, pads, axes and operator sets?"""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.model.network import Operator
from qsim.model.operators import OPERATORS
from qsim.model.reference import compute
from tests.model.onnx_models import agree, write_operator

FEW = settings(max_examples=25, deadline=None)
BOOL, INT64 = onnx.TensorProto.BOOL, onnx.TensorProto.INT64
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("operators") / "net.onnx"


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def check(place, kind: str, moving, constants=(), **options) -> None:
    network, _ = agree(write_operator(place, kind, moving, constants, **options))
    assert [operator.kind for operator in network.operators] == [kind]


UNARY = (
    "Abs", "Neg", "Exp", "Reciprocal", "Sign", "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Atan", "Erf", "Relu", "Sigmoid", "Tanh",
    "Softplus", "Softsign", "HardSwish", "Mish", "LeakyRelu", "Elu", "Celu", "Selu", "ThresholdedRelu", "Gelu", "HardSigmoid",
)  # fmt: skip


@pytest.mark.parametrize("kind", UNARY)
def test_functions_of_one_element(place, kind):
    check(place, kind, [floats(2, 3, 4)])


def test_functions_with_settings(place):
    check(place, "LeakyRelu", [floats(7)], alpha=0.3)
    check(place, "Elu", [floats(7)], alpha=2.0)
    check(place, "Celu", [floats(7)], alpha=2.0)
    check(place, "HardSigmoid", [floats(7)], alpha=1 / 6, beta=0.5)
    check(place, "Gelu", [floats(7)], approximate="tanh")
    check(place, "PRelu", [floats(2, 3, 4)], [floats(3, 1)])
    check(place, "Clip", [floats(9)], [np.float32(-0.5), np.float32(0.5)])
    check(place, "Clip", [floats(9)], [None, np.float32(0.5)])


BINARY = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "Mean")


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("other", [(3, 4), (1, 4), (), (2, 3, 4), (5, 1, 3, 4)])
def test_arithmetic_broadcasts(place, kind, other):
    check(place, kind, [floats(2, 3, 4)], [floats(*other)])


@pytest.mark.parametrize("kind", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_comparisons(place, kind):
    check(place, kind, [floats(3, 4), floats(4)], dtype=BOOL)


@pytest.mark.parametrize("kind", ["And", "Or", "Xor"])
def test_logic(place, kind):
    check(place, kind, [rng.random((3, 4)) > 0.5, rng.random(4) > 0.5], dtype=BOOL)


def test_the_other_elementwise_operators(place):
    check(place, "Not", [rng.random(4) > 0.5], dtype=BOOL)
    check(place, "IsNaN", [floats(4)], dtype=BOOL)
    check(place, "Where", [rng.random((3, 1)) > 0.5, floats(3, 4)], [floats(4)])
    check(place, "Pow", [floats(3, 4)], [np.float32(2)])
    check(place, "Pow", [floats(3, 4)], [integers(3)])
    check(place, "Mod", [floats(3, 4)], [floats(4)], fmod=1)
    check(place, "Div", [integers(-7, 7, 5)], [integers(2, 2, -3)], dtype=INT64)
    check(place, "Cast", [floats(4)], to=onnx.TensorProto.INT32, dtype=onnx.TensorProto.INT32)


@given(data=st.data(), axes=st.integers(1, 3))
@FEW
def test_convolution(place, data, axes):
    """Kernel, stride, dilation, padding (given or automatic), groups up to depthwise, with and without bias."""
    draw = data.draw
    kernel = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    options: dict[str, object] = {"strides": draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)), "group": groups}
    auto = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto == "NOTSET":
        options["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes))
    else:
        options["auto_pad"] = auto
    if auto in ("NOTSET", "VALID"):
        options["dilations"] = draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))
    size = draw(st.lists(st.integers(5, 8), min_size=axes, max_size=axes))
    bias = [floats(outputs * groups)] if draw(st.booleans()) else []
    check(place, "Conv", [floats(2, inputs * groups, *size)], [floats(outputs * groups, inputs, *kernel), *bias], **options)


@given(data=st.data(), axes=st.integers(1, 2))
@FEW
def test_transposed_convolution(place, data, axes):
    draw = data.draw
    kernel = draw(st.lists(st.integers(1, 4), min_size=axes, max_size=axes))
    strides = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    groups, inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    options: dict[str, object] = {"strides": strides, "group": groups}
    match draw(st.sampled_from(["pads", "output_padding", "dilations", "VALID", "SAME_UPPER", "SAME_LOWER"])):
        case "pads":
            options["pads"] = [draw(st.integers(0, (size - 1) // 2)) for size in kernel * 2]
        case "output_padding":
            options["output_padding"] = [draw(st.integers(0, stride - 1)) for stride in strides]
        case "dilations":
            options["dilations"] = draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))
        case "VALID":
            options["auto_pad"] = "VALID"
        case auto:
            options["auto_pad"] = auto
            kernel = [max(size, stride) for size, stride in zip(kernel, strides, strict=True)]
    size = draw(st.lists(st.integers(2, 5), min_size=axes, max_size=axes))
    bias = [floats(outputs * groups)] if draw(st.booleans()) else []
    check(place, "ConvTranspose", [floats(2, inputs * groups, *size)], [floats(inputs * groups, outputs, *kernel), *bias], **options)


@given(data=st.data(), axes=st.integers(1, 2), kind=st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
@settings(max_examples=60, deadline=None)
def test_pooling(place, data, axes, kind):
    draw = data.draw
    kernel = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    options: dict[str, object] = {"kernel_shape": kernel, "strides": draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))}
    if draw(st.booleans()):
        options["pads"] = [draw(st.integers(0, size - 1)) for size in kernel * 2]
        options["ceil_mode"] = draw(st.integers(0, 1)) if kind != "LpPool" else 0
        if kind == "MaxPool":
            options["dilations"] = draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))
    else:
        options["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        options["strides"] = [draw(st.integers(1, size)) for size in kernel]  # ONNX Runtime knows no padding below 0
    if kind == "AveragePool":
        options["count_include_pad"] = draw(st.integers(0, 1))
    size = draw(st.lists(st.integers(5, 9), min_size=axes, max_size=axes))
    check(place, kind, [floats(2, 3, *size)], **options)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(place, kind):
    check(place, kind, [floats(2, 3, 5, 4)])


def test_matrix_products(place):
    for left, right in (((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (4, 5)), ((3, 4), (4,))):
        check(place, "MatMul", [floats(*left), floats(*right)])
    check(place, "Gemm", [floats(3, 4)], [floats(5, 4), floats(5)], transB=1, alpha=0.5, beta=2.0)
    check(place, "Gemm", [floats(4, 3)], [floats(4, 5)], transA=1)
    check(place, "Einsum", [floats(2, 3, 4), floats(2, 5, 4)], equation="bik,bjk->bij")


def test_normalisation(place):
    statistics = [floats(3), floats(3), floats(3), np.abs(floats(3)) + 0.5]
    check(place, "BatchNormalization", [floats(2, 3, 4, 5)], statistics, epsilon=1e-3)
    check(place, "LayerNormalization", [floats(2, 3, 4)], [floats(4), floats(4)])
    check(place, "LayerNormalization", [floats(2, 3, 4)], [floats(3, 4)], axis=1)
    check(place, "InstanceNormalization", [floats(2, 3, 4, 5)], [floats(3), floats(3)])
    check(place, "GroupNormalization", [floats(2, 6, 4)], [floats(6), floats(6)], num_groups=3, like_input=True)
    check(place, "LRN", [floats(2, 7, 3, 3)], size=5, alpha=0.5, beta=0.75, bias=2.0)
    check(place, "LpNormalization", [floats(2, 7)], p=2, axis=1)
    check(place, "RMSNormalization", [floats(2, 3, 4)], [floats(4)], opset=23, like_input=True)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(9, 1), (11, 2), (13, 1), (13, -1)])
def test_softmax_before_and_after_operator_set_13(place, kind, opset, axis):
    check(place, kind, [10 * floats(2, 3, 4)], opset=opset, axis=axis)


REDUCTIONS = ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")


@pytest.mark.parametrize("kind", [f"Reduce{name}" for name in REDUCTIONS])
def test_reductions(place, kind):
    check(place, kind, [floats(2, 3, 4)], [integers(0, -1)], keepdims=0)
    check(place, kind, [floats(2, 3, 4)])
    check(place, kind, [floats(2, 3, 4)], opset=11, axes=[1])


def test_places_and_running_sums(place):
    check(place, "ArgMax", [floats(2, 3, 4)], axis=1, dtype=INT64)
    check(place, "ArgMin", [floats(2, 3, 4)], axis=-1, keepdims=0, dtype=INT64)
    check(place, "CumSum", [floats(2, 3, 4)], [integers(1)], reverse=1)


@given(data=st.data(), size=st.integers(1, 6), step=st.sampled_from([-3, -2, -1, 1, 2, 3]))
@FEW
def test_slices(place, data, size, step):
    bounds = st.integers(-size - 1, size + 1)
    start, end = data.draw(bounds), data.draw(bounds)
    if len(range(*slice(start, end, step).indices(size))) == 0:
        return  # ONNX Runtime gives empty tensors, which no network has
    check(place, "Slice", [floats(2, size)], [integers(start), integers(end), integers(1), integers(step)])


def test_operators_that_move_elements(place):
    x = floats(2, 3, 4)
    check(place, "Reshape", [x], [integers(0, -1)])
    check(place, "Flatten", [x], axis=2)
    check(place, "Transpose", [x], perm=[2, 0, 1])
    check(place, "Squeeze", [floats(1, 3, 1)], [integers(0)])
    check(place, "Squeeze", [floats(1, 3, 1)], opset=11, axes=[2])
    check(place, "Unsqueeze", [x], [integers(0, 4)])
    check(place, "Unsqueeze", [x], opset=9, axes=[1])
    check(place, "Expand", [floats(3, 1)], [integers(2, 1, 4)])
    check(place, "Tile", [x], [integers(1, 2, 3)])
    check(place, "Concat", [x, floats(2, 5, 4)], axis=1)
    check(place, "Split", [x], [integers(1, 2)], outputs=2, axis=1)
    check(place, "Split", [x], outputs=2, axis=2, num_outputs=2)
    check(place, "Split", [x], outputs=2, axis=1, split=[2, 1], opset=11)
    check(place, "Slice", [x], opset=9, starts=[0, 1], ends=[1, 9], axes=[0, 2])
    check(place, "Gather", [x], [integers(2, 0)], axis=1)
    check(place, "GatherElements", [x], [np.ones((2, 3, 2), dtype=np.int64)], axis=2)
    check(place, "GatherND", [x], [np.array([[0, 1], [1, 2]], dtype=np.int64)])
    check(place, "ScatterND", [x], [np.array([[0, 1], [1, 2]], dtype=np.int64), floats(2, 4)])
    check(place, "DepthToSpace", [floats(2, 8, 3, 2)], blocksize=2, mode="DCR")
    check(place, "DepthToSpace", [floats(2, 8, 3, 2)], blocksize=2, mode="CRD")
    check(place, "SpaceToDepth", [floats(2, 2, 4, 6)], blocksize=2)
    check(place, "Trilu", [floats(3, 4)], [np.array(1, dtype=np.int64)], upper=0)
    check(place, "OneHot", [integers(0, 1, 1)], [np.array(3, dtype=np.int64), np.array([0, 1], dtype=np.float32)])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_padding(place, mode):
    fill = [np.float32(0.5)] if mode == "constant" else []
    check(place, "Pad", [floats(2, 4, 5)], [integers(0, 1, 2, 0, 2, 1), *fill], mode=mode)
    check(place, "Pad", [floats(2, 4, 5)], opset=9, pads=[0, 1, 2, 0, 2, 1], mode=mode)


def test_quantisation(place):
    """By one scale and by one per channel; the inputs are whole steps, so that no half is rounded."""
    x = (rng.integers(-300, 300, (2, 3, 4)) / 2).astype(np.float32)
    scale, zero = np.float32(0.5), np.array(3, dtype=np.int8)
    check(place, "QuantizeLinear", [x], [scale, zero], dtype=onnx.TensorProto.INT8)
    steps = rng.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    check(place, "DequantizeLinear", [steps], [scale, zero])
    check(place, "DequantizeLinear", [steps], [np.abs(floats(3)), np.array([1, 0, -2], dtype=np.int8)], axis=1)


BYTE, SIGNED, SUM = (int(getattr(onnx.TensorProto, name)) for name in ("UINT8", "INT8", "INT32"))
NUMBERS = {BYTE: np.uint8, SIGNED: np.int8}


def whole(kind: int, *shape: int, bits: int = 8) -> np.ndarray:
    """Integers of a type. Weights have 7: ONNX Runtime may add pairs of products in 16 bits, saturating."""
    low = -(1 << (bits - 1)) if kind == SIGNED else 0
    return rng.integers(low, low + (1 << bits), shape).astype(NUMBERS[kind])


def test_dynamic_quantisation(place):
    """Of both signs, of one sign (the range is widened to 0), of nothing but zeros."""
    for x in (floats(3, 40), np.abs(floats(3, 40)) + 1, -np.abs(floats(9)) - 1):
        ours = compute_one("DynamicQuantizeLinear", x)
        path = write_operator(place, "DynamicQuantizeLinear", [x], outputs=3, dtype=(BYTE, onnx.TensorProto.FLOAT, BYTE))
        theirs = onnxruntime.InferenceSession(path).run(None, {"x0": x})
        assert all(np.array_equal(our, their) for our, their in zip(ours, theirs, strict=True))
    check(place, "DynamicQuantizeLinear", [floats(3, 40)], outputs=3, dtype=(BYTE, onnx.TensorProto.FLOAT, BYTE))
    y, scale, zero = compute_one("DynamicQuantizeLinear", np.zeros(3, dtype=np.float32))
    assert (y.tolist(), scale, zero) == ([0, 0, 0], 1, 0)


def compute_one(kind: str, *values: np.ndarray) -> list[np.ndarray]:
    names = tuple(f"x{place}" for place in range(len(values)))
    operator = Operator(name="o", kind=kind, inputs=names, outputs=("y0", "y1", "y2"))
    return list(compute(operator, dict(zip(names, values, strict=True))).values())


@pytest.mark.parametrize(("left", "right"), [(BYTE, BYTE), (BYTE, SIGNED), (SIGNED, SIGNED)])
def test_products_of_integers(place, left, right):
    """Zero points of one number and per column, and none; matrices and batches of them."""
    a_zero, b_zero = whole(left), whole(right, 6, bits=6)
    check(place, "MatMulInteger", [whole(left, 4, 33)], [whole(right, 33, 6, bits=7)], dtype=SUM)
    check(place, "MatMulInteger", [whole(left, 4, 33)], [whole(right, 33, 6, bits=7), a_zero, b_zero], dtype=SUM)
    check(place, "MatMulInteger", [whole(left, 2, 4, 33), whole(right, 2, 33, 6, bits=7)], [a_zero, b_zero[0].reshape(())], dtype=SUM)
    a_scale, scale, y_scale, zero = np.float32(0.02), np.float32(0.05), np.float32(0.7), whole(left)
    given = [a_scale, a_zero, whole(right, 33, 6, bits=7)]
    check(place, "QLinearMatMul", [whole(left, 4, 33)], [*given, scale, b_zero[0].reshape(()), y_scale, zero], dtype=left)
    check(place, "QLinearMatMul", [whole(left, 2, 4, 33)], [*given, rng.random(6).astype(np.float32), b_zero, y_scale, zero], dtype=left)


@given(data=st.data(), types=st.sampled_from([(BYTE, BYTE), (BYTE, SIGNED), (SIGNED, SIGNED)]))
@FEW
def test_convolutions_of_integers(place, data, types):
    """Padding is the zero point; weights of one scale and of one a channel, with and without bias, groups up to depthwise."""
    draw, (left, right) = data.draw, types
    groups, inputs, outputs, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {"group": groups, "strides": [draw(st.integers(1, 2))] * 2, "pads": draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))}
    x, weights = whole(left, 2, inputs * groups, 6, 5), whole(right, outputs * groups, inputs, kernel, kernel, bits=7)
    x_zero, w_zero = whole(left), whole(right, bits=6)
    if left == BYTE:  # ONNX Runtime has no ConvInteger of signed inputs
        check(place, "ConvInteger", [x], [weights, x_zero, w_zero], dtype=SUM, **options)
    scales = rng.random(outputs * groups).astype(np.float32) + np.float32(0.1) if draw(st.booleans()) else np.float32(0.3)
    zeros = np.full(np.shape(scales), w_zero)
    bias = [rng.integers(-3000, 3000, outputs * groups).astype(np.int32)] if draw(st.booleans()) else []
    given = [np.float32(0.02), x_zero, weights, scales, zeros, np.float32(0.9), whole(left), *bias]
    check(place, "QLinearConv", [x], given, dtype=left, **options)


RESIZE_TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@given(
    mode=st.sampled_from(["nearest", "linear"]),
    transform=st.sampled_from(RESIZE_TRANSFORMS),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=60, deadline=None)
def test_resize_to_sizes(place, mode, transform, rounding, sizes):
    options = {"mode": mode, "coordinate_transformation_mode": transform, "nearest_mode": rounding}
    check(place, "Resize", [floats(1, 2, 4, 5)], [None, None, integers(1, 2, *sizes)], **options)


@given(
    transform=st.sampled_from(RESIZE_TRANSFORMS),
    coefficient=st.sampled_from([-0.75, -0.5]),
    outside=st.integers(0, 1),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@FEW
def test_cubic_resize(place, transform, coefficient, outside, sizes):
    options = {"coordinate_transformation_mode": transform, "cubic_coeff_a": coefficient, "exclude_outside": outside}
    check(place, "Resize", [floats(1, 2, 4, 5)], [None, None, integers(1, 2, *sizes)], mode="cubic", **options)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_by_scales_in_all_operator_sets(place, mode):
    scales = np.array([1, 1, 2, 1.6], dtype=np.float32)
    check(place, "Resize", [floats(1, 2, 4, 5)], [None, scales], mode=mode)
    check(place, "Resize", [floats(1, 2, 4, 5)], [scales], mode=mode, opset=10)
    network, _ = agree(write_operator(place, "Upsample", [floats(1, 2, 4, 5)], [scales], mode=mode, opset=9))
    assert [operator.kind for operator in network.operators] == ["Resize"]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(place, kind, direction):
    """Bias, initial states and, for the LSTM, peepholes; the GRU with both places of the reset gate."""
    directions, hidden, features, gates = (2 if direction == "bidirectional" else 1), 3, 4, {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    weights = [floats(directions, gates * hidden, features), floats(directions, gates * hidden, hidden)]
    bias, state = floats(directions, 2 * gates * hidden), floats(directions, 2, hidden)
    outputs, options = (3 if kind == "LSTM" else 2), {"hidden_size": hidden, "direction": direction}
    check(place, kind, [floats(5, 2, features)], weights, outputs=outputs, **options)
    more = [None, state, state, floats(directions, 3 * hidden)] if kind == "LSTM" else [None, state]
    after = {"linear_before_reset": 1} if kind == "GRU" else {}
    check(place, kind, [floats(5, 2, features)], [*weights, bias, *more], outputs=outputs, **options, **after)


def test_every_operator_of_the_table_is_in_this_file():
    """The operators that only appear in shape computations are run by the tests of whole networks."""
    only_folded = {"Shape", "Size", "Identity", "ConstantOfShape", "Range", "NonZero"}
    too_new = {"Swish"}  # ONNX Runtime has it not; the network tests have it composed
    named = set(re.findall(r'"(\w+)"', Path(__file__).read_text(encoding="utf-8"))) | {f"Reduce{name}" for name in REDUCTIONS}
    assert set(OPERATORS) - named <= only_folded | too_new


@pytest.mark.parametrize(("kind", "function"), [("Sqrt", np.sqrt), ("Log", np.log)])
def test_functions_of_positive_numbers(kind, function):
    x = np.abs(floats(5)) + 0.1
    (found,) = compute(Operator(name="o", kind=kind, inputs=("x",), outputs=("y",)), {"x": x}).values()
    assert np.array_equal(found, function(x))
