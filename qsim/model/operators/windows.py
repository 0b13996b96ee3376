"""Windows that slide over spatial axes: what convolutions and pooling share.

A tensor is [batch, channels, *spatial axes], with any number of spatial axes.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.kind import Call

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A sliding window; one number per spatial axis.

    ``begin`` and ``end`` are the elements added before and after each axis; of a transposed convolution the outputs cut off there.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """Elements from the first to the last of a window, ``dilation (kernel - 1) + 1``."""
        return tuple(step * (size - 1) + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    def steps(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Return how many places the window takes, per axis: ``floor((size + begin + end - reach) / stride) + 1``."""
        padded = [size + before + after for size, before, after in zip(spatial, self.begin, self.end, strict=True)]
        return tuple((size - reach) // stride + 1 for size, reach, stride in zip(padded, self.reach, self.strides, strict=True))

    def padded(self, x: Array, fill: float) -> Array:
        """Return ``x`` with its spatial axes padded."""
        if not any(self.begin) and not any(self.end):
            return x
        return np.pad(x, ((0, 0), (0, 0), *zip(self.begin, self.end, strict=True)), constant_values=fill)

    def offsets(self, steps: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield every place in the kernel with the slices of the padded spatial axes that it meets."""
        for place in itertools.product(*map(range, self.kernel)):
            starts = [index * step for index, step in zip(place, self.dilations, strict=True)]
            ends = [start + stride * (count - 1) + 1 for start, stride, count in zip(starts, self.strides, steps, strict=True)]
            yield place, tuple(slice(start, end, stride) for start, end, stride in zip(starts, ends, self.strides, strict=True))


def window_of(call: Call, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
    """Read stride, dilation and padding of an operator; ``auto_pad`` becomes numbers.

    Raises :class:`FieldError` for numbers that fit no window into the input.
    """
    axes = len(kernel)
    strides, dilations = call.integers("strides", (1,) * axes), call.integers("dilations", (1,) * axes)
    pads = call.integers("pads", (0,) * 2 * axes)
    for name, found, length in (("strides", strides, axes), ("dilations", dilations, axes), ("pads", pads, 2 * axes)):
        if len(found) != length or min(found, default=0) < (name != "pads"):
            raise FieldError(path=f"{call.path}.{name}", rule=f"{length} numbers, one or two per spatial axis", value=list(found))
    window = Window(kernel=tuple(kernel), strides=strides, dilations=dilations, begin=pads[:axes], end=pads[axes:])
    auto = call.text("auto_pad", "NOTSET", AUTO_PADS)
    if auto == "VALID":
        window = Window(kernel=window.kernel, strides=strides, dilations=dilations, begin=(0,) * axes, end=(0,) * axes)
    elif auto != "NOTSET":
        window = _same(window, spatial, auto == "SAME_UPPER")
    if len(spatial) != axes or min(window.steps(spatial), default=1) < 1:
        raise FieldError(path=call.path, rule=f"a window of {list(window.kernel)} that fits its input", value=list(spatial))
    return window


def _same(window: Window, spatial: Sequence[int], upper: bool) -> Window:
    """Pad so that the output has ``ceil(size / stride)`` places; an odd element goes to the end (upper) or the beginning."""
    wanted = [-(-size // stride) for size, stride in zip(spatial, window.strides, strict=True)]
    lengths = [(count - 1) * stride + reach for count, stride, reach in zip(wanted, window.strides, window.reach, strict=True)]
    total = [max(0, length - size) for length, size in zip(lengths, spatial, strict=True)]
    less, more = tuple(pad // 2 for pad in total), tuple(pad - pad // 2 for pad in total)
    begin, end = (less, more) if upper else (more, less)
    return Window(kernel=window.kernel, strides=window.strides, dilations=window.dilations, begin=begin, end=end)
