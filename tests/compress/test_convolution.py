"""Are convolutions trained by the right gradient, repeatably, and compressed to integers that agree with the float network?"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as f

from qsim.compress.calibrate import Products
from qsim.compress.curvature import adam_moments
from qsim.compress.network import Backpropagation, Layout, Samples, forward
from qsim.compress.order import order_units
from qsim.compress.pipeline import Compression, compress_in_stages
from qsim.compress.prune import Pruned
from qsim.compress.quality import integer_errors
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.train import Descent, initial_parameters, train_reference
from qsim.errors import FieldError, RecipeError
from qsim.model.compressed import CompressedModel
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation, Convolution, MaxPool
from qsim.sim.semantics import infer
from tests.compress.test_pipeline import data
from workloads import WORKLOADS
from workloads.workload import ConvolutionShape, LayerShape, Workload

PADDED = ImageGeometry(height=6, width=6, channels=1, kernel=(3, 3), padding=(1, 1, 0, 0))
STRIDED = ImageGeometry(height=5, width=5, channels=4, kernel=(3, 2), stride=(1, 2), padding=(0, 1, 1, 0), groups=2)
LAYERS = (
    ConvolutionShape(name="a", geometry=PADDED, out_channels=4, activation=Activation.NONE),
    ConvolutionShape(
        name="b", geometry=STRIDED, out_channels=6, activation=Activation.RELU,
        pool=ImageGeometry(height=4, width=3, channels=6, kernel=(2, 2), stride=(2, 1)),
    ),
    LayerShape(name="c", inputs=24, outputs=3, activation=Activation.NONE),
)  # fmt: skip
SMALL = replace(
    WORKLOADS["lenet-300-100"],
    name="small",
    layers=(
        ConvolutionShape(
            name="conv1", geometry=ImageGeometry(height=28, width=28, channels=1, kernel=(5, 5), stride=(2, 2)), out_channels=8,
            activation=Activation.RELU, pool=ImageGeometry(height=12, width=12, channels=8, kernel=(2, 2), stride=(2, 2)),
        ),
        ConvolutionShape(
            name="conv2", geometry=ImageGeometry(height=6, width=6, channels=8, kernel=(3, 3), padding=(1, 1, 1, 1), groups=2),
            out_channels=8, activation=Activation.NONE,
        ),
        LayerShape(name="ip", inputs=288, outputs=10, activation=Activation.NONE),
    ),
)  # fmt: skip
TABLES = {
    "sparse": """
        prune = {method = "gradual", density = 0.3, epochs = 1}
        quantise = {method = "kmeans", entries = 15}
        finetune = {epochs = 1}""",
    "pvq": 'quantise = {method = "pvq", pulses = [2, 2, 1], epochs = 1, interval = 10, learning_rate = 0.001}',
    "dense": 'quantise = {method = "fixed"}',
}


def small_samples() -> Samples:
    random = np.random.default_rng(0)
    raw = torch.from_numpy(random.integers(0, 256, (9, 36), dtype=np.uint8))
    return Samples(raw, torch.from_numpy(random.integers(0, 3, 9)), 0.01, -0.4)


def logits(layout: Layout, parameters: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """The network of LAYERS by torch's operations on images with the channels first."""
    (a, b, c), biases = layout.weights(parameters), layout.biases(parameters)
    planes = f.pad(inputs.view(-1, 1, 6, 6), (1, 0, 1, 0), value=-0.4)  # a raw zero
    planes = f.conv2d(planes, a.reshape(4, 1, 3, 3), biases[0])
    kernel = b.reshape(6, 3, 2, 2).permute(0, 3, 1, 2)  # two channels a group
    planes = f.conv2d(f.pad(planes, (1, 0, 0, 1)), kernel, biases[1], (1, 2), groups=2).relu()
    planes = f.max_pool2d(planes, 2, (2, 1))
    return f.linear(planes.permute(0, 2, 3, 1).flatten(1), c, biases[2])


def test_forward_and_gradient_are_torchs_on_planes() -> None:
    """Do values and gradient equal those of conv2d with the channels first, where the processor rounds nothing to bfloat16?"""
    layout, samples, chosen = Layout.of(LAYERS), small_samples(), torch.tensor([3, 1, 4, 8, 2])
    parameters = initial_parameters(layout, torch.Generator().manual_seed(1))
    inputs = samples.normalised(slice(0, 9))
    values = forward(layout, parameters, inputs, samples.offset)
    assert [value.shape[1] for value in values] == [36, 100, 24, 3]
    assert torch.allclose(values[-1], logits(layout, parameters, inputs), atol=1e-5)
    variable, gradient = parameters.clone().requires_grad_(), torch.empty_like(parameters)
    f.cross_entropy(logits(layout, variable, inputs[chosen]), samples.labels[chosen]).backward()
    Backpropagation(layout, samples, 5)(parameters, chosen, gradient)
    rounded = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.allclose(gradient, variable.grad, atol=0.02 if rounded else 1e-6)


@cache
def trained() -> tuple[dict[str, np.ndarray], int]:
    found = train_reference(SMALL, data(), Descent(epochs=2), seed=3)
    return found.state, found.validation_errors


@cache
def compressed(name: str) -> Compression:
    return compress_in_stages(parse_recipe(f'name = "{name}"\n{TABLES[name]}'), SMALL, trained()[0], data())


def test_training_learns_and_repeats_bit_for_bit() -> None:
    state, wrong = trained()
    assert wrong < 200  # of 1,000; guessing gives 900
    again = train_reference(SMALL, data(), Descent(epochs=2), seed=3).state
    assert all(np.array_equal(values, again[name]) for name, values in state.items())


@pytest.mark.parametrize("name", TABLES)
def test_integer_network_is_nearly_as_good_as_the_float_one_and_survives_its_file(name: str) -> None:
    """Is the error of the integers that of the floats, and do both implementations agree after the file?"""
    found = compressed(name)
    assert abs(found.validation["fixed point"].wrong - found.validation["finetune"].wrong) <= 5
    assert [type(node) for node in found.model.graph.nodes][:3] == [Convolution, MaxPool, Convolution]
    again = CompressedModel.from_bytes(found.model.data)
    images = data().test.images[:100].astype(np.int64)
    assert np.array_equal(infer(again, images).logits, TorchReference(found.model)(images))
    assert integer_errors(again, data().validation) == found.validation["fixed point"]


@pytest.mark.parametrize("name", TABLES)
def test_nothing_saturates_on_training_data(name: str) -> None:
    """Do calibrated formats leave the headroom of one bit above the training images?"""
    model = compressed(name).model
    images = data().train.images[:300].astype(np.int64)
    for values, layer in zip(infer(model, images).inputs[1:], model.layers[1:], strict=True):
        assert np.abs(values).max() < layer.node.input_format.maximum / 1.9


def test_products_of_windows_are_bounded_by_their_largest_sum() -> None:
    """Is the bound the largest sum of magnitudes over all windows of torch's conv2d?"""
    random = np.random.default_rng(4)
    values, weight = random.normal(size=(3, 100)), random.normal(size=(6, 12))
    kernel = torch.from_numpy(weight).view(6, 3, 2, 2).permute(0, 3, 1, 2)
    planes = f.pad(torch.from_numpy(values).view(3, 5, 5, 4).permute(0, 3, 1, 2), (1, 0, 0, 1))
    expected = f.conv2d(planes.abs(), kernel.abs(), stride=(1, 2), groups=2)
    products = Products(LAYERS[1], values)
    assert products.largest_sum(weight) == pytest.approx(float(expected.max()))
    found = products.results(weight, np.arange(6.0))
    signed = f.conv2d(planes, kernel, torch.arange(6.0, dtype=torch.float64), stride=(1, 2), groups=2)
    assert np.allclose(found, signed.permute(0, 2, 3, 1).reshape(3, -1).numpy())


def test_ordering_channels_keeps_the_function() -> None:
    """Do sorted output channels, with the columns of the layers that read them, compute the same?"""
    layers = (LAYERS[0], replace(LAYERS[1], geometry=replace(STRIDED, groups=1)), LAYERS[2])
    layout, random = Layout.of(layers), np.random.default_rng(2)
    parameters = initial_parameters(layout, torch.Generator().manual_seed(1))
    masks = tuple(random.random(shape) < 0.5 for shape in layout.shapes)
    for weight, mask in zip(layout.weights(parameters), masks, strict=True):
        weight.mul_(torch.from_numpy(mask))
    ordered = order_units(layout, Pruned(parameters, masks))
    inputs = small_samples().normalised(slice(0, 9))
    assert torch.allclose(forward(layout, ordered.parameters, inputs)[-1], forward(layout, parameters, inputs)[-1], atol=1e-5)
    assert ordered.masks is not None
    assert not np.array_equal(ordered.masks[1], masks[1])
    assert all(np.array_equal(w.numpy() != 0, m) for w, m in zip(layout.weights(ordered.parameters), ordered.masks, strict=True))
    with pytest.raises(RecipeError, match="order_units must be false where channels are grouped, as in b"):
        order_units(Layout.of(LAYERS), Pruned(parameters, tuple(np.ones(shape, dtype=bool) for shape in Layout.of(LAYERS).shapes)))


def test_adams_estimate_of_convolutions_is_positive() -> None:
    layout, samples = Layout.of(LAYERS), small_samples()
    parameters = initial_parameters(layout, torch.Generator().manual_seed(1))
    assert float(adam_moments(layout, parameters, samples, torch.Generator().manual_seed(1)).max()) > 0


def test_impossible_workloads_are_refused() -> None:
    with pytest.raises(FieldError, match=r"layer b\.pool must be for \[5, 3, 6\]"):
        replace(LAYERS[1], geometry=replace(STRIDED, padding=(1, 1, 1, 0)))
    with pytest.raises(FieldError, match=r"layer b\.out_channels must be a positive multiple of the 2 groups"):
        replace(LAYERS[1], out_channels=5, pool=None)
    with pytest.raises(FieldError, match=r"layer ip\.inputs must be 288"):
        shapes = (*SMALL.layers[:2], replace(SMALL.layers[2], inputs=289))
        Workload(**{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__ if name != "layers"}, layers=shapes)
