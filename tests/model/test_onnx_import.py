"""Whether a multilayer perceptron is read from ONNX exactly, and every other network is refused by name."""

import sys

import numpy as np
import pytest

from qsim.errors import FileFormatError, MissingExtra
from qsim.model.graph import Activation
from qsim.model.onnx_import import read_onnx

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

rng = np.random.default_rng(0)
W1, B1 = rng.normal(size=(5, 6)).astype(np.float32), rng.normal(size=5).astype(np.float32)
W2, B2 = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=3).astype(np.float32)
TENSORS = {"w1": W1, "b1": B1, "w1t": W1.T, "w2": W2, "b2": B2, "w2t": W2.T, "flat": np.array([-1, 6])}
GEMM1 = ("Gemm", ["f", "w1", "b1"], ["h"], {"transB": 1, "name": "first"})
RELU = ("Relu", ["h"], ["r"], {})
GEMM2 = ("Gemm", ["r", "w2", "b2"], ["y"], {"transB": 1})
FLATTEN = ("Flatten", ["x"], ["f"], {})


def write(path, nodes, shape=("n", 2, 3), tensors=TENSORS):
    made = [helper.make_node(op, inputs, outputs, **options) for op, inputs, outputs, options in nodes]
    graph = helper.make_graph(
        made,
        "mlp",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.mark.parametrize(
    "nodes",
    [
        [FLATTEN, GEMM1, RELU, GEMM2],
        [
            ("Reshape", ["x", "flat"], ["f"], {}),
            ("MatMul", ["f", "w1t"], ["m"], {"name": "first"}),
            ("Add", ["b1", "m"], ["h"], {}),
            RELU,
            ("Identity", ["r"], ["i"], {}),
            ("MatMul", ["i", "w2t"], ["k"], {}),
            ("Add", ["k", "b2"], ["y"], {}),
        ],
    ],
)
def test_perceptron_is_read_exactly(tmp_path, nodes):
    network = read_onnx(write(tmp_path / "net.onnx", nodes))
    first, second = network.layers
    assert (network.name, network.input_shape, network.parameters) == ("mlp", (2, 3), 30 + 5 + 15 + 3)
    assert (first.name, first.activation, second.name, second.activation) == ("first", Activation.RELU, "layer2", Activation.NONE)
    for found, expected in ((first.weights, W1), (first.bias, B1), (second.weights, W2), (second.bias, B2)):
        assert np.array_equal(found, expected.astype(np.float64))


def test_alpha_beta_missing_bias_and_constants(tmp_path):
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W1))
    path = write(tmp_path / "net.onnx", [("Gemm", ["x", "w", "b1"], ["y"], {"transB": 1, "alpha": 2.0, "beta": 0.5})], ("n", 6))
    model = onnx.load(path)
    model.graph.node.insert(0, constant)
    onnx.save(model, path)
    (layer,) = read_onnx(path).layers
    assert np.array_equal(layer.weights, 2 * W1.astype(np.float64))
    assert np.array_equal(layer.bias, 0.5 * B1.astype(np.float64))
    (layer,) = read_onnx(write(path, [("Gemm", ["x", "w1t"], ["y"], {})], ("n", 6))).layers
    assert not layer.bias.any()
    assert np.array_equal(layer.weights, W1.astype(np.float64))


CLIP_TENSORS = TENSORS | {
    name: np.array(value, dtype=np.float32) for name, value in (("zero", 0), ("six", 6), ("one", 1), ("many", [1, 2]))
}


@pytest.mark.parametrize(
    "clips",
    [
        [("Clip", ["h", "zero", "six"], ["r"], {})],
        [("Clip", ["h"], ["r"], {"min": 0.0, "max": 6.0})],
        [("Relu", ["h"], ["p"], {}), ("Clip", ["p", "zero", "six"], ["r"], {})],
    ],
)
def test_clip_from_zero_keeps_its_limit(tmp_path, clips):
    first, second = read_onnx(write(tmp_path / "net.onnx", [FLATTEN, GEMM1, *clips, GEMM2], tensors=CLIP_TENSORS)).layers
    assert (first.activation, first.limit, second.activation, second.limit) == (Activation.CLIP, 6.0, Activation.NONE, None)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (("Clip", ["h", "one", "six"], ["r"], {}), "from 0 to a positive limit, not '1 to 6'"),
        (("Clip", ["h", "zero", "zero"], ["r"], {}), "from 0 to a positive limit, not '0 to 0'"),
        (("Clip", ["h", "zero"], ["r"], {}), "from 0 to a positive limit, not '0 to nan'"),
        (("Clip", ["h", "", "six"], ["r"], {}), "from 0 to a positive limit, not 'nan to 6'"),
        (("Clip", ["h", "zero", "many"], ["r"], {}), "a single number"),
        (("Clip", ["h", "zero", "x"], ["r"], {}), "a constant stored in the file"),
    ],
)
def test_other_clips_are_refused(tmp_path, clip, message):
    with pytest.raises(FileFormatError) as caught:
        read_onnx(write(tmp_path / "net.onnx", [FLATTEN, GEMM1, clip, GEMM2], tensors=CLIP_TENSORS))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ([("Conv", ["x", "w1"], ["y"], {"name": "c"})], None, "onnx node 'c' (Conv) must be a supported operator, not 'Conv'"),
        ([("Softmax", ["x"], ["y"], {})], None, "(Softmax)"),
        ([("Relu", ["x"], ["y"], {})], None, "after a layer"),
        ([("Add", ["x", "b1"], ["y"], {})], None, "directly after a MatMul or Gemm"),
        ([GEMM1], None, "fed by 'x'"),
        ([("MatMul", ["x", "x"], ["y"], {})], None, "a constant stored in the file"),
        ([("MatMul", ["x", "b1"], ["y"], {})], None, "a matrix"),
        ([("Gemm", ["x", "w1", "b2"], ["y"], {"transB": 1})], None, "5 values"),
        ([("Gemm", ["x", "w1"], ["y"], {"transA": 1})], None, "transA must be 0"),
        ([("Gemm", ["x", "w1"], ["f"], {"transB": 1}), ("Gemm", ["f", "w1"], ["y"], {"transB": 1})], None, "a layer of 5 inputs"),
        ([("Gemm", ["x", "w1"], ["z"], {"transB": 1})], None, "onnx.graph.output must be 'z'"),
        ([("Gemm", ["x", "w1"], ["f"], {"transB": 1}), ("Flatten", ["f"], ["y"], {})], None, "before the first layer"),
        ([("Flatten", ["x"], ["y"], {})], None, "with a fully connected layer"),
        ([("Gemm", ["x", "w1"], ["y"], {"transB": 1})], ("n", 7), "6 values, as the first layer reads"),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path, nodes, shape, message):
    with pytest.raises(FileFormatError) as caught:
        read_onnx(write(tmp_path / "net.onnx", nodes, shape or ("n", 6)))
    assert message in str(caught.value)


def test_not_finite_weights_are_refused(tmp_path):
    tensors = TENSORS | {"w1": np.full((5, 6), np.nan, dtype=np.float32)}
    with pytest.raises(FileFormatError, match="finite numbers"):
        read_onnx(write(tmp_path / "net.onnx", [("Gemm", ["x", "w1"], ["y"], {"transB": 1})], ("n", 6), tensors))


def test_an_undeclared_shape_is_that_of_the_first_layer(tmp_path):
    assert read_onnx(write(tmp_path / "net.onnx", [("Gemm", ["x", "w1"], ["y"], {"transB": 1})], ("n", "k"))).input_shape == (6,)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"\xff\xff not onnx")
    with pytest.raises(FileFormatError, match="an ONNX file"):
        read_onnx(tmp_path / "net.onnx")
    with pytest.raises(FileFormatError, match="cannot read"):
        read_onnx(tmp_path / "absent.onnx")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"qsim-hw\[onnx\]"):
        read_onnx(tmp_path / "net.onnx")
