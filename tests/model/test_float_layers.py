"""Are the files that ONNX Runtime's own quantiser writes read to the bit, and are their layers those that machines can run?"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime import quantization

from qsim.errors import FileFormatError
from qsim.model.agreement import compare_one_by_one, random_inputs
from qsim.model.float_layers import with_float_layers
from qsim.model.matrix_layers import matrix_layers, weight_matrices
from qsim.model.onnx_import import import_onnx
from qsim.model.reference import run
from qsim.results import load_runs
from tests.model.onnx_models import agree, write_nodes, write_operator

rng = np.random.default_rng(0)
KERNEL, BIAS, MATRIX = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 2, 3, 3), (4,), (64, 3)))
IMAGES = rng.standard_normal((8, 1, 2, 4, 4)).astype(np.float32)


def float_file(path: Path) -> Path:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "v"], ["y"], name="fc"),
    ]
    return write_nodes(path, nodes, {"x": IMAGES[0]}, {"w": KERNEL, "b": BIAS, "v": MATRIX}, ["y"])


class Images(quantization.CalibrationDataReader):
    def __init__(self) -> None:
        self._left = iter(IMAGES)

    def get_next(self):
        image = next(self._left, None)
        return None if image is None else {"x": image}


def quantised(folder: Path, how: str) -> Path:
    """Reduced range (7 bits), as for processors that add products in 16 bits."""
    source, target = float_file(folder / "float.onnx"), folder / "quantised.onnx"
    if how == "dynamic":  # ONNX Runtime has no ConvInteger of signed weights
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QUInt8, reduce_range=True)
    else:
        form = quantization.QuantFormat.QOperator
        quantization.quantize_static(source, target, Images(), quant_format=form, per_channel=how == "by channel", reduce_range=True)
    return target


@pytest.mark.parametrize("how", ["dynamic", "static", "by channel"])
def test_an_export_of_onnx_runtime(how, tmp_path):
    network, agreement = agree(quantised(tmp_path, how))
    assert agreement.max_error == 0
    assert len(agreement.tensors) + len(agreement.outputs) == sum(len(operator.outputs) for operator in network.operators)
    kinds = {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"} if how == "dynamic" else {"QLinearConv", "QLinearMatMul"}
    assert kinds <= {operator.kind for operator in network.operators}
    assert matrix_layers(network) == ()
    found = with_float_layers(network)
    assert found.passes[-1] == "quantised layers as float ones: 2"
    assert found.parameters == KERNEL.size + BIAS.size + MATRIX.size
    conv, fc = matrix_layers(found)
    assert (conv.outputs, conv.columns, conv.vectors, fc.outputs, fc.columns) == (4, 18, 16, 3, 64)
    for layer, exact in ((conv, KERNEL.reshape(4, 18)), (fc, MATRIX.T)):
        weights = weight_matrices(found, layer)[0]
        factor = np.vdot(weights, exact) / np.vdot(weights, weights)  # of dynamic quantisation the scale is applied after the product
        assert how == "dynamic" or abs(factor - 1) < 0.02
        assert np.abs(factor * weights - exact).max() <= 2 * np.abs(exact).max() / 127
    inputs = random_inputs(network, 1)
    ours, exact_outputs = run(found, inputs)["y"], run(network, inputs)["y"]
    assert np.abs(ours - exact_outputs).max() <= 0.01 * np.abs(exact_outputs).max()  # one step of 255, where a half is rounded


def test_zeros_are_where_the_zero_points_were(tmp_path):
    """Half of what a ReLU gives is zero; a machine that skips zeros must see them."""
    network = import_onnx(quantised(tmp_path, "static"))
    found = with_float_layers(network)
    _, fc = matrix_layers(found)
    (product,) = [operator for operator in network.operators if operator.kind == "QLinearMatMul"]
    inputs = random_inputs(network, 2)
    steps, zero = run(network, inputs, keep=[product.inputs[0]])[product.inputs[0]], network.constants[product.inputs[2]]
    real = run(found, inputs, keep=[fc.input])[fc.input]
    assert np.array_equal(real == 0, steps == zero)
    assert 0 < np.count_nonzero(real) < real.size


def test_what_stays_as_it_is(tmp_path):
    """A float network is returned itself; zero points of several axes have no counterpart; a hole stays the same hole."""
    plain = import_onnx(float_file(tmp_path / "n.onnx"))
    assert with_float_layers(plain) is plain
    left, right = rng.integers(0, 255, (2, 2, 3, 4)).astype(np.uint8)[0], rng.integers(0, 255, (4, 5)).astype(np.uint8)
    zeros = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    several = import_onnx(write_operator(tmp_path / "n.onnx", "MatMulInteger", [left], [right, zeros], dtype=onnx.TensorProto.INT32))
    assert with_float_layers(several) is several
    nodes = [
        helper.make_node("Hardmax", ["x"], ["k"], name="odd"),
        helper.make_node("DynamicQuantizeLinear", ["k"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["m"], name="fc"),
        helper.make_node("Cast", ["m"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": MATRIX[:2]}, {"w": right[:3].copy()}, ["y"])
    holed = import_onnx(path, allow_unsupported=True)
    found = with_float_layers(holed)
    assert found.holes == holed.holes
    assert [(layer.name, layer.macs) for layer in matrix_layers(found)] == [("fc", 2 * 3 * 5)]


def test_a_step_that_falls_the_other_way_is_no_error_but_a_wrong_step_is(tmp_path):
    """The other side's sigmoid differs by 1e-5; of 4096 values some then lie on the other side of the middle between two steps."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"], name="curve"),
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["q"], name="steps"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Hardmax", ["d"], ["k"], name="odd"),
        helper.make_node("Neg", ["k"], ["y"], name="behind"),
    ]
    constants = {"scale": np.float32(1 / 250), "zero": np.uint8(0)}
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": np.zeros((1, 4096), np.float32)}, constants, ["y"])
    network = import_onnx(path, allow_unsupported=True)

    def reference(feed, moved=0, sign=-1):
        s = 1 / (1 + np.exp(-feed["x"])) * np.float32(1 + 1e-5)
        q = np.rint(s / constants["scale"]).astype(np.uint8)
        q[0, 0] += moved
        k = np.where(np.arange(4096) == q.argmax(), np.float32(1), 0)[None].astype(np.float32)
        return {"s": s, "q": q, "d": q * constants["scale"], "k": k, "y": sign * k}

    feed = random_inputs(network, 0)
    assert np.any(run(network, feed, only=["q"])["q"] != reference(feed)["q"])
    found = compare_one_by_one(network, reference, against="them")
    assert ([item.output for item in found.tensors], [item.output for item in found.outputs]) == (["s", "q", "d"], ["y"])
    assert 0.9e-5 < found.max_error < 1.1e-5
    with pytest.raises(FileFormatError, match=r"tensors differ from them by more than 0.0001 of their size: 'q' by inf$"):
        compare_one_by_one(network, partial(reference, moved=1), against="them")
    with pytest.raises(FileFormatError, match=r"'y' by 2$"):
        compare_one_by_one(network, partial(reference, sign=1), against="them")


def test_weights_that_two_layers_share_stay_one(tmp_path):
    nodes = [
        helper.make_node("MatMulInteger", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMulInteger", ["z", "w"], ["b"], name="second"),
        helper.make_node("Add", ["a", "b"], ["s"]),
        helper.make_node("Cast", ["s"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    x, w = rng.integers(0, 255, (2, 6)).astype(np.uint8), rng.integers(0, 127, (6, 5)).astype(np.uint8)
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": x, "z": x}, {"w": w}, ["y"]))
    found = with_float_layers(network)
    assert found.parameters == 30
    assert len({layer.weight for layer in matrix_layers(found)}) == 1


def test_a_quantised_file_is_listed_and_estimated(tmp_path, capsys):
    from qsim.cli import main

    path, out = quantised(tmp_path, "static"), tmp_path / "run.json"
    for words in (("import", path, "--json"), ("estimate", path, "--keep", "0.5", "-m", "sparse-layer-dram", "--out", out)):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        assert not left.value.code
        if words[0] == "import":
            facts = json.loads(capsys.readouterr().out)
    assert facts["agreement"]["max_error"] == 0
    assert [layer["weights"] for layer in facts["layers"]] == [KERNEL.size, MATRIX.size]
    (run_of_file,) = load_runs(out)
    assert [layer[0].macs > 0 for layer in run_of_file.layers] == [True, True]
    assert run_of_file.float_bytes == 4 * (KERNEL.size + BIAS.size + MATRIX.size)
