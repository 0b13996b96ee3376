"""Where a window slides over an image: sizes, and which input each output pixel reads.

An image is stored channels last: element ``(y, x, c)`` of an image of ``height`` x ``width`` x ``channels`` lies at
``(y * width + x) * channels + c``. Tap ``(ky, kx)`` of output pixel ``(oy, ox)`` reads the input pixel

    y = oy * stride_y + ky * dilation_y - top,  x = ox * stride_x + kx * dilation_x - left

or padding where that lies outside the image. Along one axis there are
``(size + before + after - dilation * (kernel - 1) - 1) // stride + 1`` output pixels.
The columns of a window are ordered ``(ky * kernel_width + kx) * channels + c``: the order in which products are accumulated. With
channels last, the columns of one tap, and without dilation those of one row of the window, lie one after the other in memory.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.formats.fixed import IntArray

Number = TypeVar("Number", np.int64, np.float64)

MAX_AXIS = 1 << 14
MAX_KERNEL = 1 << 9
MAX_CHANNELS = 1 << 16
PADDING = -1  # in place of an index: the tap lies outside the image


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGeometry:
    """A window on an image of ``height`` x ``width`` pixels of ``channels``.

    ``kernel``, ``stride`` and ``dilation`` are (vertical, horizontal); ``padding`` is (top, left, bottom, right) in pixels. With
    ``groups``, the channels fall into so many equal runs, each read by an equal run of the output channels.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        _check("height", (self.height,), 1, 1, MAX_AXIS)
        _check("width", (self.width,), 1, 1, MAX_AXIS)
        _check("channels", (self.channels,), 1, 1, MAX_CHANNELS)
        _check("kernel", self.kernel, 2, 1, MAX_KERNEL)
        _check("stride", self.stride, 2, 1, MAX_AXIS)
        _check("padding", self.padding, 4, 0, MAX_KERNEL)
        _check("dilation", self.dilation, 2, 1, MAX_KERNEL)
        if type(self.groups) is not int or self.groups < 1 or self.channels % self.groups:
            raise FieldError(path="geometry.groups", rule=f"a divisor of the {self.channels} channels", value=self.groups)
        if self.output_height < 1 or self.output_width < 1:
            rule = f"at most {self.height} x {self.width} pixels and the padding"
            raise FieldError(path="geometry.kernel", rule=rule, value=list(self.kernel))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def inputs(self) -> int:
        """Elements of an image."""
        return self.height * self.width * self.channels

    @property
    def output_height(self) -> int:
        """Output pixels along the vertical axis."""
        return _outputs(self.height, self.padding[0] + self.padding[2], self.kernel[0], self.stride[0], self.dilation[0])

    @property
    def output_width(self) -> int:
        """Output pixels along the horizontal axis."""
        return _outputs(self.width, self.padding[1] + self.padding[3], self.kernel[1], self.stride[1], self.dilation[1])

    @property
    def pixels(self) -> int:
        """Output pixels: each is one window."""
        return self.output_height * self.output_width

    @property
    def taps(self) -> int:
        """Pixels of a window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def group_channels(self) -> int:
        """Channels that one output channel reads."""
        return self.channels // self.groups

    @property
    def columns(self) -> int:
        """Elements of a window that one output channel reads: the columns of the stored weight matrix."""
        return self.taps * self.group_channels

    def positions(self) -> IntArray:
        """Return which input pixel ``y * width + x`` each tap of each output pixel reads [pixels, taps]; :data:`PADDING` outside."""
        y = axis_positions(self.height, self.output_height, self.kernel[0], self.stride[0], self.padding[0], self.dilation[0])
        x = axis_positions(self.width, self.output_width, self.kernel[1], self.stride[1], self.padding[1], self.dilation[1])
        place = y[:, None, :, None] * self.width + x[None, :, None, :]
        outside = (y == PADDING)[:, None, :, None] | (x == PADDING)[None, :, None, :]
        return np.where(outside, PADDING, place).reshape(self.pixels, self.taps)

    def gather(self, group: int = 0) -> IntArray:
        """Return which input element each column of ``group`` is, for each output pixel [pixels, columns]; :data:`PADDING` outside."""
        positions = self.positions()[:, :, None]
        channels = group * self.group_channels + np.arange(self.group_channels)
        index = np.where(positions == PADDING, PADDING, positions * self.channels + channels)
        return index.reshape(self.pixels, self.columns)


def read_windows(images: npt.NDArray[Number], index: IntArray) -> npt.NDArray[Number]:
    """Return what windows on flat ``images`` [n, inputs] read [n * pixels, columns], 0 outside.

    ``index`` is an :meth:`ImageGeometry.gather`.
    """
    padded = np.concatenate([images, np.zeros((len(images), 1), dtype=images.dtype)], axis=1)  # PADDING, -1, is its last column
    return np.take(padded, index.reshape(-1), axis=1).reshape(len(images) * len(index), index.shape[1])


def read_maxima(images: npt.NDArray[Number], geometry: ImageGeometry) -> npt.NDArray[Number]:
    """Return the largest element of each window and channel [n, pixels * channels] of flat ``images`` [n, inputs]; padding never counts."""
    planes = images.reshape(len(images), -1, geometry.channels)
    positions = geometry.positions()
    first = np.argmax(positions != PADDING, axis=1)  # a pixel of the image in each window
    result: npt.NDArray[Number] = planes[:, positions[np.arange(len(positions)), first]]
    for tap in positions.T:
        inside = tap != PADDING
        if inside.all():
            np.maximum(result, planes[:, tap], out=result)
        else:
            result[:, inside] = np.maximum(result[:, inside], planes[:, tap[inside]])
    return result.reshape(len(images), geometry.pixels * geometry.channels)


def axis_positions(size: int, outputs: int, kernel: int, stride: int, before: int, dilation: int) -> IntArray:
    """Return the position each of ``kernel`` taps reads along an axis of ``size`` [outputs, kernel]; :data:`PADDING` outside."""
    place = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation - before
    return np.where((place < 0) | (place >= size), PADDING, place)


def expand_groups(weights: npt.NDArray[Number], geometry: ImageGeometry) -> npt.NDArray[Number]:
    """Return the weights over all channels [outputs, taps * channels], zero outside each output channel's group.

    ``weights`` [outputs, taps * channels / groups] is the matrix as it is stored.
    """
    outputs = len(weights)
    own: npt.NDArray[Number] = weights.reshape(geometry.groups, outputs // geometry.groups, geometry.taps, geometry.group_channels)
    whole = np.zeros((*own.shape[:3], geometry.groups, geometry.group_channels), dtype=weights.dtype)
    for group in range(geometry.groups):
        whole[group, :, :, group] = own[group]
    return whole.reshape(outputs, geometry.taps * geometry.channels)


def _outputs(size: int, padding: int, kernel: int, stride: int, dilation: int) -> int:
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def _check(name: str, values: tuple[int, ...], count: int, least: int, most: int) -> None:
    if len(values) != count or any(type(value) is not int or not least <= value <= most for value in values):
        numbers = "an integer" if count == 1 else f"{count} integers"
        shown: object = values[0] if count == 1 else list(values)
        raise FieldError(path=f"geometry.{name}", rule=f"{numbers} from {least} to {most}", value=shown)
