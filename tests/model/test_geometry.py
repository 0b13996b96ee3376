"""Whether a window reads the pixels that PyTorch's own convolution reads, and impossible windows are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as f
from hypothesis import given

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat
from qsim.model.geometry import PADDING, ImageGeometry, expand_groups
from qsim.model.graph import MaxPool
from tests.model.convolutions import geometries

LENET_CONV1 = ImageGeometry(height=28, width=28, channels=1, kernel=(5, 5))


def unfolded(geometry: ImageGeometry) -> torch.Tensor:
    """The windows of an image of numbered elements, 0 for padding: [pixels, taps, channels], from torch.nn.functional.unfold."""
    top, left, bottom, right = geometry.padding
    numbers = torch.arange(1.0, geometry.inputs + 1, dtype=torch.float64).view(geometry.input_shape).permute(2, 0, 1)
    padded = f.pad(numbers[None], (left, right, top, bottom))
    taken = f.unfold(padded, geometry.kernel, geometry.dilation, stride=geometry.stride)
    return taken.view(geometry.channels, geometry.taps, -1).permute(2, 1, 0).long()


@given(geometries())
def test_windows_are_those_of_torch_unfold(geometry):
    """Does every column of every output pixel read the element that torch's unfold gives, per group?"""
    expected = unfolded(geometry)
    assert len(expected) == geometry.pixels
    own = geometry.group_channels
    for group in range(geometry.groups):
        part = expected[:, :, group * own : (group + 1) * own].reshape(geometry.pixels, geometry.columns)
        assert np.array_equal(geometry.gather(group), part.numpy() - 1)
        assert PADDING == -1


@given(geometries())
def test_expanded_groups_compute_the_same(geometry):
    """Does the block matrix on whole windows give what torch's grouped convolution gives?"""
    rng = np.random.default_rng(geometry.inputs)
    weights = rng.integers(-9, 10, (2 * geometry.groups, geometry.columns))
    image = rng.integers(-9, 10, geometry.input_shape)
    whole = replace(geometry, groups=1)
    flat = np.append(image.reshape(-1), 0)  # PADDING is the index of the last
    found = flat[whole.gather()] @ expand_groups(weights, geometry).T
    top, left, bottom, right = geometry.padding
    kernels = torch.from_numpy(weights).view(-1, *geometry.kernel, geometry.group_channels).permute(0, 3, 1, 2).double()
    planes = f.pad(torch.from_numpy(image).permute(2, 0, 1)[None].double(), (left, right, top, bottom))
    expected = f.conv2d(planes, kernels, stride=geometry.stride, dilation=geometry.dilation, groups=geometry.groups)
    assert np.array_equal(found, expected[0].permute(1, 2, 0).reshape(geometry.pixels, -1).numpy())


def test_sizes_of_lenet_5():
    """Are the output sizes those printed by LeCun et al. (1998): 28 x 28 to 24 x 24, 12 x 12 to 8 x 8?"""
    assert (LENET_CONV1.output_height, LENET_CONV1.output_width, LENET_CONV1.columns) == (24, 24, 25)
    conv2 = ImageGeometry(height=12, width=12, channels=20, kernel=(5, 5))
    assert (conv2.output_height, conv2.output_width, conv2.columns) == (8, 8, 500)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "geometry.height must be an integer from 1"),
        ({"kernel": (5,)}, "geometry.kernel must be 2 integers from 1"),
        ({"kernel": (29, 5)}, "geometry.kernel must be at most 28 x 28 pixels and the padding"),
        ({"dilation": (8, 1)}, "geometry.kernel must be at most 28 x 28"),
        ({"padding": (0, 0, -1, 0)}, "geometry.padding must be 4 integers from 0"),
        ({"stride": (0, 1)}, "geometry.stride must be 2 integers from 1"),
        ({"groups": 2}, "geometry.groups must be a divisor of the 1 channels"),
    ],
)
def test_impossible_windows_are_refused(change, message):
    with pytest.raises(FieldError) as caught:
        replace(LENET_CONV1, **change)
    assert message in str(caught.value)


def test_a_pool_whose_window_sees_only_padding_is_refused():
    """Is a window without any pixel, whose largest would be undefined, an error?"""
    geometry = ImageGeometry(height=2, width=2, channels=1, kernel=(2, 2), padding=(2, 0, 0, 0))
    with pytest.raises(FieldError, match="every window has a pixel"):
        MaxPool(name="pool", geometry=geometry, input_format=FixedFormat(16, 8))
    with pytest.raises(FieldError, match="1 for a pool"):
        MaxPool(name="pool", geometry=replace(geometry, channels=2, groups=2), input_format=FixedFormat(16, 8))
