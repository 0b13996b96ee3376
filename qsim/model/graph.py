"""The network without its weights: a chain of layers and the number formats between them.

Activations between layers are flat vectors; an image in one is stored channels last, ``(y * width + x) * channels + c``.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat, Overflow, Rounding
from qsim.model.geometry import PADDING, ImageGeometry, axis_positions


class Activation(StrEnum):
    """What a layer applies to its outputs after requantisation: nothing, ``max(y, 0)`` or ``min(max(y, 0), limit)``."""

    NONE = "none"
    RELU = "relu"
    CLIP = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Datapath(ABC):
    """What layers with weights share: ``activation`` and the formats on the way from activations to results.

    ``input_format`` and ``output_format`` are those of the activations, ``bias_format`` of the stored biases,
    ``accumulator_format`` of the running sum, which saturates at every addition. All formats round half up and saturate:
    the datapath knows nothing else. ``limit``: the largest output of a layer with clip, an integer of the output format; None for others.
    """

    name: str
    activation: Activation
    input_format: FixedFormat
    output_format: FixedFormat
    bias_format: FixedFormat
    accumulator_format: FixedFormat
    limit: int | None = None

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows of the weight matrix: results of one matrix-vector product."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Columns of the weight matrix: activations of one matrix-vector product."""

    @property
    def weights(self) -> int:
        """Number of weights, pruned ones included."""
        return self.rows * self.columns

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return self.weights + self.rows

    def _check(self) -> None:
        if not isinstance(self.activation, Activation):
            legal = tuple(str(item) for item in Activation)
            raise FieldError(path=f"{self.name}.activation", rule="a known activation", value=self.activation, legal=legal)
        for field in ("input_format", "output_format", "bias_format", "accumulator_format"):
            form: FixedFormat = getattr(self, field)
            if form.rounding is not Rounding.HALF_UP or form.overflow is not Overflow.SATURATE:
                value = f"{form.rounding}, {form.overflow}"
                raise FieldError(path=f"{self.name}.{field}", rule="rounding half up and saturating", value=value)
        if not self.accumulator_format.signed:
            raise FieldError(path=f"{self.name}.accumulator_format", rule="signed", value=str(self.accumulator_format))
        self._check_limit()

    def _check_limit(self) -> None:
        if self.activation is not Activation.CLIP:
            if self.limit is not None:
                raise FieldError(path=f"{self.name}.limit", rule=f"None without {Activation.CLIP}", value=self.limit)
        elif type(self.limit) is not int or not 1 <= self.limit <= self.output_format.maximum:
            rule = f"an integer from 1 to {self.output_format.maximum}, the largest output"
            raise FieldError(path=f"{self.name}.limit", rule=rule, value=self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnected(_Datapath):
    """One fully connected layer of ``inputs`` activations and ``outputs`` results: one matrix-vector product."""

    inputs: int
    outputs: int

    def __post_init__(self) -> None:
        for field, size in (("inputs", self.inputs), ("outputs", self.outputs)):
            if size < 1:
                raise FieldError(path=f"{self.name}.{field}", rule="at least 1", value=size)
        self._check()

    @property
    def rows(self) -> int:
        """Rows of the weight matrix."""
        return self.outputs

    @property
    def columns(self) -> int:
        """Columns of the weight matrix."""
        return self.inputs

    @property
    def pixels(self) -> int:
        """Matrix-vector products an input takes: one."""
        return 1

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(outputs,)."""
        return (self.outputs,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(_Datapath):
    """A convolution with ``out_channels`` filters: every output pixel is one matrix-vector product of the same weights.

    The weight matrix has a row for each output channel and ``geometry.columns`` columns in the order of the window
    (:mod:`qsim.model.geometry`); with groups, only the channels of the row's own group. Padding reads 0.
    """

    geometry: ImageGeometry
    out_channels: int

    def __post_init__(self) -> None:
        if self.out_channels < 1 or self.out_channels % self.geometry.groups:
            rule = f"a positive multiple of the {self.geometry.groups} groups"
            raise FieldError(path=f"{self.name}.out_channels", rule=rule, value=self.out_channels)
        self._check()

    @property
    def rows(self) -> int:
        """Rows of the weight matrix."""
        return self.out_channels

    @property
    def columns(self) -> int:
        """Columns of the weight matrix."""
        return self.geometry.columns

    @property
    def pixels(self) -> int:
        """Matrix-vector products an input takes: one an output pixel."""
        return self.geometry.pixels

    @property
    def inputs(self) -> int:
        """Activations it reads."""
        return self.geometry.inputs

    @property
    def outputs(self) -> int:
        """Results."""
        return self.pixels * self.out_channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.geometry.output_height, self.geometry.output_width, self.out_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool:
    """The largest activation of each window, channel by channel; padding never counts. It has no weights and keeps the format."""

    name: str
    geometry: ImageGeometry
    input_format: FixedFormat

    def __post_init__(self) -> None:
        geometry = self.geometry
        if geometry.groups != 1:
            raise FieldError(path=f"{self.name}.geometry.groups", rule="1 for a pool", value=geometry.groups)
        for axis, size, outputs in ((0, geometry.height, geometry.output_height), (1, geometry.width, geometry.output_width)):
            before, kernel, stride, dilation = (
                part[axis] for part in (geometry.padding, geometry.kernel, geometry.stride, geometry.dilation)
            )
            if np.all(axis_positions(size, outputs, kernel, stride, before, dilation) == PADDING, axis=1).any():
                rule = "such that every window has a pixel of the image"
                raise FieldError(path=f"{self.name}.geometry.padding", rule=rule, value=list(geometry.padding))

    @property
    def output_format(self) -> FixedFormat:
        """That of its inputs."""
        return self.input_format

    @property
    def inputs(self) -> int:
        """Activations it reads."""
        return self.geometry.inputs

    @property
    def outputs(self) -> int:
        """Results."""
        return self.geometry.pixels * self.geometry.channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.geometry.output_height, self.geometry.output_width, self.geometry.channels


Weighted = FullyConnected | Convolution
Node = FullyConnected | Convolution | MaxPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A chain of layers. ``input_shape`` is the shape of one input, flattened in C order before the first layer.

    A convolution or pool takes the shape (height, width, channels) that the layer before it, or the input, has.
    """

    name: str
    nodes: tuple[Node, ...]
    input_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise FieldError(path="graph.nodes", rule="at least one layer", value=())
        names = [node.name for node in self.nodes]
        for name in names:
            if names.count(name) > 1:
                raise FieldError(path="graph.nodes", rule="layers of distinct names", value=name)
        if not self.weighted:
            raise FieldError(path="graph.nodes", rule="at least one layer with weights", value=names)
        if math.prod(self.input_shape) != self.nodes[0].inputs or any(size < 1 for size in self.input_shape):
            rule = f"the shape of {self.nodes[0].inputs} inputs"
            raise FieldError(path="graph.input_shape", rule=rule, value=list(self.input_shape))
        _check_shape(self.nodes[0], self.input_shape, "the input is")
        for before, node in zip(self.nodes, self.nodes[1:], strict=False):
            if node.inputs != before.outputs:
                raise FieldError(path=f"{node.name}.inputs", rule=f"{before.outputs}, as {before.name} gives", value=node.inputs)
            _check_shape(node, before.output_shape, f"{before.name} gives")
            if node.input_format != before.output_format:
                rule = f"{before.output_format}, as {before.name} gives"
                raise FieldError(path=f"{node.name}.input_format", rule=rule, value=str(node.input_format))

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers that have weights, in order."""
        return tuple(node for node in self.nodes if not isinstance(node, MaxPool))

    @property
    def parameters(self) -> int:
        """Number of weights and biases of all layers."""
        return sum(node.parameters for node in self.weighted)


def _check_shape(node: Node, shape: tuple[int, ...], origin: str) -> None:
    if not isinstance(node, FullyConnected) and node.geometry.input_shape != shape:
        raise FieldError(path=f"{node.name}.geometry", rule=f"for {list(shape)}, as {origin}", value=list(node.geometry.input_shape))
