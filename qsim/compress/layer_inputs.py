"""What the weights of one layer meet: its inputs as rows of a matrix, their means and second moments.

A layer computes ``W x + b`` for every input, a convolution for every window of every image, each group with its own part of the channels.
Over many inputs, all that a change of W does to the mean and the mean square of the results follows from E[x] and E[x x^T].
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.compress.convolution import planes_of
from qsim.compress.network import Layout, Samples, forward

CHUNK = 250  # samples at once: windows take much more memory than images


def windows_of(layout: Layout, layer: int, values: Tensor, outside: float) -> Tensor:
    """Return the inputs [groups, n * pixels, columns] that the rows of ``layer`` meet, for its flat inputs ``values`` [n, inputs].

    ``outside`` is what padding reads. A fully connected layer has one group and one pixel.
    """
    geometry = layout.windows[layer].convolution if layout.windows else None
    if geometry is None:
        return values[None]
    parts = f.unfold(planes_of(values, geometry, outside), geometry.kernel, geometry.dilation, 0, geometry.stride)
    split = parts.view(len(values), geometry.groups, geometry.group_channels, geometry.taps, -1)
    return split.permute(1, 0, 4, 3, 2).reshape(geometry.groups, -1, geometry.columns)


def means(layout: Layout, parameters: Tensor, layer: int, samples: Samples) -> Tensor:
    """Return E[x] [groups, columns] of the network with flat ``parameters``."""
    return _average(samples, lambda inputs: _windows(layout, parameters, layer, inputs, samples).mean(1))


def input_moments(layout: Layout, parameters: Tensor, layer: int, samples: Samples) -> Tensor:
    """Return E[x x^T] [groups, columns, columns] of the inputs x of ``layer`` in the network with flat ``parameters``."""

    def squares(inputs: Tensor) -> Tensor:
        found = _windows(layout, parameters, layer, inputs, samples)
        return found.mT @ found / found.shape[1]

    return _average(samples, squares)


def second_moments(layout: Layout, original: Tensor, quantised: Tensor, layer: int, samples: Samples) -> tuple[Tensor, Tensor]:
    """Return E[y y^T] and E[x y^T], both [groups, columns, columns].

    x are the inputs of ``layer`` in the network with flat parameters ``original``, y those in the network ``quantised``.
    """

    def both(inputs: Tensor) -> Tensor:
        before = _windows(layout, original, layer, inputs, samples)
        after = _windows(layout, quantised, layer, inputs, samples)
        return torch.stack([after.mT @ after, before.mT @ after]) / after.shape[1]

    found = _average(samples, both)
    return found[0], found[1]


def _windows(layout: Layout, parameters: Tensor, layer: int, inputs: Tensor, samples: Samples) -> Tensor:
    outside = samples.offset if layer == 0 else 0.0
    return windows_of(layout, layer, forward(layout, parameters, inputs, samples.offset)[layer], outside)


def _average(samples: Samples, of: Callable[[Tensor], Tensor]) -> Tensor:
    total: Tensor | float = 0.0
    for part in _parts(len(samples)):
        inputs = samples.normalised(part)
        total = total + of(inputs) * (len(inputs) / len(samples))
    assert isinstance(total, Tensor)  # there is at least one sample
    return total


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))
