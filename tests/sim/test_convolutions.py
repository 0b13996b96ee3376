"""Whether convolutions and pools compute what a direct loop over the image computes, saturation at every addition included."""

import numpy as np
import torch
import torch.nn.functional as f
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.compress.reference import TorchReference
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import MaxPool
from qsim.sim.semantics import accumulate_sequentially, drain, infer, pool, run_layer, windows
from tests.model.convolutions import accumulators_by_hand, convolutional_models, geometries, random_convolution
from tests.model.models import S16

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
kinds = st.sampled_from(["dense", "scalar_coded", "pyramid", "vector_coded"])


def inputs_for(count: int, rng: np.random.Generator, number: int = 2) -> np.ndarray:
    return rng.integers(-32768, 32768, (number, count)) * (rng.random((number, count)) < 0.7)


@settings(max_examples=60)
@given(geometries(), kinds, generators, st.sampled_from([20, 24, 32]))
def test_a_convolution_equals_the_direct_loop(geometry, kind, rng, accumulator_bits):
    """Are accumulators those of six nested loops over Python integers, and the outputs the drain of them?"""
    layer = random_convolution("conv", geometry, kind, rng, accumulator_bits)
    inputs = inputs_for(geometry.inputs, rng)
    expected = np.array([accumulators_by_hand(layer, image) for image in inputs])
    found = run_layer(layer, inputs)
    assert np.array_equal(found, drain(layer, expected.reshape(-1, layer.node.rows)).reshape(2, -1))
    if geometry.groups == 1:
        slow = accumulate_sequentially(layer.form.reconstruct(), windows(layer.node, inputs), layer.node.accumulator_format)
        assert np.array_equal(slow, expected.reshape(-1, layer.node.rows))


@settings(max_examples=40)
@given(geometries(), generators)
def test_without_saturation_it_is_torch_conv2d(geometry, rng):
    """Where the accumulator is wide, are accumulators exactly those of torch's conv2d on doubles?"""
    layer = random_convolution("conv", geometry, "dense", rng, 40)
    inputs = inputs_for(geometry.inputs, rng)
    top, left, bottom, right = geometry.padding
    kernels = torch.from_numpy(layer.form.reconstruct().copy()).view(-1, *geometry.kernel, geometry.group_channels)
    planes = f.pad(torch.from_numpy(inputs).view(2, *geometry.input_shape).permute(0, 3, 1, 2).double(), (left, right, top, bottom))
    kernels = kernels.permute(0, 3, 1, 2).double()
    sums = f.conv2d(planes, kernels, stride=geometry.stride, dilation=geometry.dilation, groups=geometry.groups)
    expected = sums.permute(0, 2, 3, 1).reshape(-1, layer.node.rows).long().numpy()
    assert np.array_equal(run_layer(layer, inputs), drain(layer, expected).reshape(2, -1))


@settings(max_examples=40)
@given(geometries(groups=(1,), most_padding=0), generators)
def test_a_pool_takes_the_largest_of_each_window(geometry, rng):
    """Is a pool numpy's maximum over the elements of each window, and torch's max_pool2d?"""
    node = MaxPool(name="pool", geometry=geometry, input_format=S16)
    inputs = inputs_for(geometry.inputs, rng)
    index = geometry.gather().reshape(geometry.pixels, geometry.taps, geometry.channels)
    assert np.array_equal(pool(node, inputs), inputs[:, index].max(axis=2).reshape(2, -1))
    planes = torch.from_numpy(inputs).view(2, *geometry.input_shape).permute(0, 3, 1, 2).double()
    expected = f.max_pool2d(planes, geometry.kernel, geometry.stride, dilation=geometry.dilation)
    assert np.array_equal(pool(node, inputs), expected.permute(0, 2, 3, 1).reshape(2, -1).long().numpy())


def test_padding_of_a_pool_never_counts():
    """Do negative activations at the edge stay, where a padding of zero would win?"""
    geometry = ImageGeometry(height=2, width=2, channels=1, kernel=(2, 2), padding=(1, 1, 0, 0))
    node = MaxPool(name="pool", geometry=geometry, input_format=S16)
    assert pool(node, np.array([[-5, -4, -3, -2]])).tolist() == [[-5, -4, -3, -2]]


@settings(max_examples=60)
@given(kinds.flatmap(convolutional_models), generators)
def test_networks_have_the_same_bits_in_pytorch(model, rng):
    """Does every activation of a chain of convolution, pool and fully connected layers equal the PyTorch integer reference?"""
    inputs = inputs_for(model.graph.nodes[0].inputs, rng, 3)
    defined, found = infer(model, inputs), TorchReference(model).activations(inputs)
    for expected, values in zip((*defined.nodes, defined.logits), found, strict=True):
        assert np.array_equal(values.numpy(), expected)
    assert [values.shape[1] for values in defined.inputs] == [layer.node.inputs for layer in model.layers]
