"""Do whole networks, as PyTorch's ONNX exporter writes them, give what ONNX Runtime gives, and are their layers listed rightly?"""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from qsim.model.agreement import random_inputs
from qsim.model.matrix_layers import LayerKind, MatrixLayer, matrix_layers, states_before, weight_matrices
from qsim.model.network import Network
from qsim.model.reference import run
from tests.model import torch_models as models
from tests.model.onnx_models import agree, export


def imported(tmp_path, module: nn.Module, *shape: int, **options) -> Network:
    torch.manual_seed(0)
    network, agreement = agree(export(tmp_path / "n.onnx", module, torch.randn(shape), **options))
    assert agreement.max_error is not None and agreement.max_error < 1e-5
    return network


def of_kind(network: Network, kind: LayerKind) -> list[MatrixLayer]:
    return [layer for layer in matrix_layers(network) if layer.kind is kind]


def product(network: Network, layer: MatrixLayer, columns: np.ndarray) -> np.ndarray:
    """Multiply a layer's matrices with columns [groups, columns, vectors]; the bias is added."""
    found = np.matmul(weight_matrices(network, layer), columns)
    bias = network.constants[layer.bias].reshape(layer.groups, -1, 1) if layer.bias else 0
    return found + bias


def test_lenet_5(tmp_path):
    """Caffe's LeNet-5: 431,080 parameters; multiplications by hand."""
    network = imported(tmp_path, models.lenet5(), 1, 1, 28, 28)
    assert network.parameters == 431_080
    layers = matrix_layers(network)
    assert [layer.macs for layer in layers] == [24 * 24 * 20 * 25, 8 * 8 * 50 * 20 * 25, 800 * 500, 500 * 10]
    assert [layer.relu for layer in layers] == [False, False, True, False]
    assert (layers[0].input_shape, layers[0].output_shape) == ((1, 1, 28, 28), (1, 20, 24, 24))


def test_a_layer_is_its_matrix_times_the_windows_of_its_input(tmp_path):
    """The convolution's order of columns, against PyTorch's unfold; the activations are those that the executor keeps."""
    network = imported(tmp_path, models.Residual(), 1, 4, 9, 9)
    feed = random_inputs(network, 1)
    layers = of_kind(network, LayerKind.CONVOLUTION)
    values = run(network, feed, keep=[name for layer in layers for name in (layer.input, layer.output)])
    for layer in layers:
        shape = layer.window
        assert shape is not None
        x = torch.from_numpy(np.array(values[layer.input]))
        x = functional.pad(x, [shape.begin[1], shape.end[1], shape.begin[0], shape.end[0]])
        windows = functional.unfold(x, shape.kernel, dilation=shape.dilations, stride=shape.strides).numpy()
        ours = product(network, layer, windows.reshape(layer.groups, layer.columns, -1)).reshape(layer.output_shape)
        assert ours.size == layer.groups * layer.outputs * layer.vectors
        assert np.allclose(ours, values[layer.output], atol=1e-4)


def test_residual_block_with_batch_norm(tmp_path):
    raw = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    network = imported(tmp_path, models.Residual(), 1, 4, 9, 9, **raw)
    assert network.passes == ("batch norm folded: 3",)
    assert len(of_kind(network, LayerKind.CONVOLUTION)) == 3
    assert not [operator for operator in network.operators if operator.kind == "BatchNormalization"]


def test_unet_piece(tmp_path):
    """Transposed convolution, concatenation, resize; the matrix of the transposed convolution by hand."""
    network = imported(tmp_path, models.UNetPiece(), 2, 3, 8, 8)
    (up,) = of_kind(network, LayerKind.TRANSPOSED_CONVOLUTION)
    assert (up.outputs, up.columns, up.vectors) == (4 * 2 * 2, 8, 2 * 4 * 4)
    feed = random_inputs(network, 1)
    values = run(network, feed, keep=[up.input, up.output])
    pixel = values[up.input][0, :, 1, 2]
    block = values[up.output][0, :, 2:4, 4:6]  # stride and kernel 2: blocks do not overlap
    bias = network.constants[up.bias].reshape(4, 1, 1) if up.bias else 0
    assert np.allclose((weight_matrices(network, up)[0] @ pixel).reshape(4, 2, 2) + bias, block, atol=1e-5)


def test_mobilenet_block(tmp_path):
    network = imported(tmp_path, models.mobilenet_block(), 1, 6, 10, 10)
    expand, depthwise, project = of_kind(network, LayerKind.CONVOLUTION)
    assert [layer.depthwise for layer in (expand, depthwise, project)] == [False, True, False]
    assert (depthwise.groups, depthwise.outputs, depthwise.columns, depthwise.vectors) == (24, 1, 9, 25)
    assert (expand.relu, depthwise.relu, project.relu) == (True, True, False)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_networks(tmp_path, kind):
    """Two layers, both directions; sizes of the gates' matrices by hand."""
    network = imported(tmp_path, getattr(nn, kind)(5, 7, num_layers=2, bidirectional=True, batch_first=True), 3, 4, 5)
    gates = {"LSTM": 4, "GRU": 3}[kind]
    pairs = [(features, 7) for features in (5, 14) for direction in ("forward", "reverse")]
    expected = [(gates * 7, columns, 12, recurrent) for pair in pairs for columns, recurrent in zip(pair, (False, True), strict=True)]
    assert [(layer.outputs, layer.columns, layer.vectors, layer.recurrent) for layer in matrix_layers(network)] == expected
    assert network.parameters == sum(2 * gates * 7 * (size + 7 + 2) for size in (5, 14))


def test_the_states_that_a_recurrent_matrix_reads(tmp_path):
    """The gates of every step, computed by hand from the listed matrices, give the states that the executor gave."""
    network = imported(tmp_path, nn.LSTM(5, 7, bidirectional=True), 4, 2, 5)
    feed = random_inputs(network, 0)
    layers = matrix_layers(network)
    values = run(network, feed, keep=[layer.input for layer in layers])
    for inputs, recurrent in (layers[:2], layers[2:]):
        before, x = states_before(network, recurrent, values), values[inputs.input]
        bias = network.constants[recurrent.bias or ""][recurrent.part].reshape(2, -1).sum(0)
        gates = x @ weight_matrices(network, inputs)[0].T + before @ weight_matrices(network, recurrent)[0].T + bias
        into, out, _, cell = np.split(gates, 4, axis=-1)
        first = -1 if recurrent.part else 0  # the cell is zero before the first step, so the forget gate does not matter
        c = np.tanh(cell[first]) / (1 + np.exp(-into[first]))
        assert np.allclose(np.tanh(c) / (1 + np.exp(-out[first])), values[recurrent.input][first, recurrent.part], atol=1e-5)
        assert np.array_equal(
            before[:-1] if recurrent.part else before[1:],
            values[recurrent.input][1:, 1] if recurrent.part else values[recurrent.input][:-1, 0],
        )


def test_transformer_encoder_layer(tmp_path):
    network = imported(tmp_path, models.Encoder(), 2, 6, 16)
    connected, dynamic = of_kind(network, LayerKind.FULLY_CONNECTED), of_kind(network, LayerKind.MATMUL)
    assert sum(layer.weights for layer in connected) == 16 * 48 + 16 * 16 + 2 * 16 * 32
    assert [(layer.groups, layer.outputs, layer.columns, layer.vectors) for layer in dynamic] == [(8, 6, 4, 6), (8, 4, 6, 6)]
    assert all(layer.bias for layer in connected)


def test_shape_computations_disappear(tmp_path):
    network = imported(tmp_path, models.Shapes(), 2, 3, 4, 4)
    assert {operator.kind for operator in network.operators} <= {"Reshape", "Transpose", "Expand", "Add", "Slice", "Concat"}
    assert network.parameters == 0


def test_an_embedding_is_indexed_within_its_table(tmp_path):
    path = export(tmp_path / "n.onnx", models.Embedded(), torch.zeros(2, 5, dtype=torch.int64))
    network, _ = agree(path)
    feed = random_inputs(network, 3)["input.1" if "input.1" in network.inputs else network.inputs[0]]
    assert 2 < feed.max() < 50
    assert network.parameters == 50 * 8 + 8 * 50 + 50


def test_only_what_is_asked_for_is_computed(tmp_path):
    network = imported(tmp_path, models.lenet5(), 1, 1, 28, 28)
    steps: list[tuple[int, int]] = []
    first = matrix_layers(network)[0].output
    run(network, random_inputs(network, 0), only=[first], progress=lambda stage, done, total: steps.append((done, total)))
    assert steps == [(1, 1)]


def test_macs_of_vgg_16_and_its_time(tmp_path):
    """Published: 138,357,544 parameters; 15.47 billion multiplications (13 convolutions and 3 fully connected layers, by formula)."""
    sizes = [(3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), (256, 256, 56), (256, 256, 56),
             (256, 512, 28), (512, 512, 28), (512, 512, 28), (512, 512, 14), (512, 512, 14), (512, 512, 14)]  # fmt: skip
    expected = sum(9 * inputs * outputs * side * side for inputs, outputs, side in sizes) + 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert math.isclose(expected, 15.47e9, rel_tol=1e-3)
    network = models.vgg16_network()
    assert sum(layer.macs for layer in matrix_layers(network)) == expected
    assert network.parameters == 138_357_544
