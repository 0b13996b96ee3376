"""Whether networks with convolutions and pools survive a file bit for bit, and files of fully connected chains are what they were."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.fixed import FixedFormat
from qsim.model.compressed import CompressedModel
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Graph, MaxPool
from tests.model.convolutions import convolutional_models, random_convolution
from tests.model.models import S16, random_model, tiny_model
from tests.model.test_compressed import rebuild, reseal, take_apart


def small() -> CompressedModel:
    """One convolution and one pool."""
    geometry = ImageGeometry(height=5, width=6, channels=2, kernel=(3, 2), stride=(1, 2), padding=(1, 0, 1, 0), groups=2)
    layer = random_convolution("conv", geometry, "scalar_coded", np.random.default_rng(0))
    height, width, channels = layer.node.output_shape
    window = ImageGeometry(height=height, width=width, channels=channels, kernel=(2, 2), stride=(2, 2))
    nodes = (layer.node, MaxPool(name="pool", geometry=window, input_format=S16))
    return CompressedModel(graph=Graph(name="small", nodes=nodes, input_shape=(5, 6, 2)), layers=(layer,))


@settings(max_examples=20)
@given(st.sampled_from(["dense", "scalar_coded", "pyramid", "vector_coded"]).flatmap(convolutional_models))
def test_a_network_with_windows_loads_bit_for_bit(model):
    again = CompressedModel.from_bytes(model.data)
    assert again.data == model.data
    assert again.graph == model.graph
    for layer, other in zip(model.layers, again.layers, strict=True):
        assert np.array_equal(layer.form.reconstruct(), other.form.reconstruct())
        assert np.array_equal(layer.bias, other.bias)


def test_files_of_fully_connected_chains_are_unchanged():
    """Do networks without windows still give the very bytes that version 0.1.0 wrote? (digests taken from it)"""
    assert hashlib.sha256(tiny_model().data).hexdigest() == "5e3b9d8caf12fe55176799c5e3389392e6f0d96b9b1b30bf462aa1083499ded7"
    assert hashlib.sha256(random_model().data).hexdigest() == "c6df191c080af1c7429b3009a2a0693cef784afe230942ea687146800e0c8e38"


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3), st.booleans())
def test_damage_with_a_right_hash_is_refused_or_gives_a_valid_model(place, new, insert):
    data = small().data
    place = 36 + place % (len(data) - 36)
    changed = reseal(data[:place] + new + data[place + (0 if insert else len(new)) :])
    try:
        model = CompressedModel.from_bytes(changed)
    except FileFormatError:
        return
    assert sum(model.bytes_by_kind.values()) == model.file_bytes


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 3, "node0.window.kind must be an integer from 1 to 2"),
        (1, 3, "conv.out_channels must be a positive multiple of the 2 groups"),
        (2, 600, "window.kernel must be an integer from 1 to 512"),
        (2, 200, "geometry.kernel must be at most 5 x 6 pixels and the padding"),
        (12, 3, "geometry.groups must be a divisor of the 2 channels"),
    ],
)
def test_windows_that_cannot_be_are_refused(place, value, message):
    metadata, payload = take_apart(small().data)
    metadata[3][0][1][place] = value
    with pytest.raises(FileFormatError) as caught:
        CompressedModel.from_bytes(rebuild(metadata, payload))
    assert message in str(caught.value)


def test_shapes_must_follow_from_each_other():
    """Is a window over another image than the layer before gives refused?"""
    conv, pool = small().graph.nodes
    with pytest.raises(FieldError, match=r"conv\.geometry must be for \[60\], as the input is"):
        Graph(name="g", nodes=(conv,), input_shape=(60,))
    turned = replace(pool.geometry, height=pool.geometry.width, width=pool.geometry.height)
    with pytest.raises(FieldError, match=r"pool\.geometry must be for"):
        Graph(name="g", nodes=(conv, replace(pool, geometry=turned)), input_shape=(5, 6, 2))
    with pytest.raises(FieldError, match=r"pool\.input_format must be s16\.8"):
        Graph(name="g", nodes=(conv, replace(pool, input_format=FixedFormat(16, 7))), input_shape=(5, 6, 2))
    with pytest.raises(FieldError, match="at least one layer with weights"):
        Graph(name="g", nodes=(pool,), input_shape=pool.geometry.input_shape)
