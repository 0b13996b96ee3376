"""The network without its weights: a chain of fully connected layers and the number formats between them."""

import math
from dataclasses import dataclass
from enum import StrEnum

from qsim.errors import FieldError
from qsim.formats.fields import Fields
from qsim.formats.fixed import FixedFormat, Overflow, Rounding


class Activation(StrEnum):
    """What a layer applies to its outputs after requantisation: nothing, ``max(y, 0)`` or ``min(max(y, 0), limit)``."""

    NONE = "none"
    RELU = "relu"
    CLIP = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnected:
    """One fully connected layer of ``inputs`` activations and ``outputs`` results.

    ``input_format`` and ``output_format`` are those of the activations, ``bias_format`` of the stored biases,
    ``accumulator_format`` of the running sum, which saturates at every addition. All formats round half up and saturate:
    the datapath knows nothing else. ``limit``: the largest output of a layer with clip, an integer of the output format; None for others.
    """

    name: str
    inputs: int
    outputs: int
    activation: Activation
    input_format: FixedFormat
    output_format: FixedFormat
    bias_format: FixedFormat
    accumulator_format: FixedFormat
    limit: int | None = None

    def __post_init__(self) -> None:
        for field, size in (("inputs", self.inputs), ("outputs", self.outputs)):
            if size < 1:
                raise FieldError(path=f"{self.name}.{field}", rule="at least 1", value=size)
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

    @property
    def weights(self) -> int:
        """Number of weights, pruned ones included."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return self.weights + self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A chain of layers. ``input_shape`` is the shape of one input, flattened in C order before the first layer."""

    name: str
    nodes: tuple[FullyConnected, ...]
    input_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise FieldError(path="graph.nodes", rule="at least one layer", value=())
        names = [node.name for node in self.nodes]
        for name in names:
            if names.count(name) > 1:
                raise FieldError(path="graph.nodes", rule="layers of distinct names", value=name)
        if math.prod(self.input_shape) != self.nodes[0].inputs or any(size < 1 for size in self.input_shape):
            rule = f"the shape of {self.nodes[0].inputs} inputs"
            raise FieldError(path="graph.input_shape", rule=rule, value=list(self.input_shape))
        for before, node in zip(self.nodes, self.nodes[1:], strict=False):
            if node.inputs != before.outputs:
                raise FieldError(path=f"{node.name}.inputs", rule=f"{before.outputs}, as {before.name} gives", value=node.inputs)
            if node.input_format != before.output_format:
                rule = f"{before.output_format}, as {before.name} gives"
                raise FieldError(path=f"{node.name}.input_format", rule=rule, value=str(node.input_format))

    @property
    def parameters(self) -> int:
        """Number of weights and biases of all layers."""
        return sum(node.parameters for node in self.nodes)


MAX_NODES = 256
MAX_SIZE = 1 << 24


def describe_graph(graph: Graph) -> list[object]:
    """Return the graph as plain lists for a file: name, input shape, input format and the layers."""
    nodes = [
        [
            node.name,
            node.outputs,
            list(Activation).index(node.activation),
            str(node.output_format),
            str(node.bias_format),
            str(node.accumulator_format),
            *(() if node.limit is None else (node.limit,)),
        ]
        for node in graph.nodes
    ]
    return [graph.name, list(graph.input_shape), str(graph.nodes[0].input_format), nodes]


def read_graph(metadata: Fields, most_weights: int) -> Graph:
    """Read what :func:`describe_graph` wrote, of at most ``most_weights`` weights.

    Raises :class:`FileFormatError` or, for a graph that cannot be, :class:`FieldError`.
    """
    name = metadata.text("name")
    sizes = metadata.fields("input_shape")
    shape = tuple(sizes.integer("size", 1, MAX_SIZE) for _ in range(min(sizes.left, 8)))
    sizes.end()
    inputs, input_format = math.prod(shape), FixedFormat.parse(metadata.text("input_format"))
    descriptions = metadata.fields("nodes")
    nodes: list[FullyConnected] = []
    for _ in range(min(descriptions.left, MAX_NODES)):
        node = _read_node(descriptions.fields(f"node{len(nodes)}"), inputs, input_format)
        nodes.append(node)
        inputs, input_format = node.outputs, node.output_format
        total = sum(item.weights for item in nodes)
        if total > most_weights:
            raise FieldError(path="graph.weights", rule=f"at most {most_weights} for a file of this size", value=total)
    descriptions.end()
    return Graph(name=name, nodes=tuple(nodes), input_shape=shape)


def _read_node(fields: Fields, inputs: int, input_format: FixedFormat) -> FullyConnected:
    name = fields.text("name")
    outputs = fields.integer("outputs", 1, MAX_SIZE)
    activation = list(Activation)[fields.integer("activation", 0, len(Activation) - 1)]
    output, bias, accumulator = (FixedFormat.parse(fields.text(f"{part}_format")) for part in ("output", "bias", "accumulator"))
    limit = fields.integer("limit", 1, output.maximum) if activation is Activation.CLIP else None
    node = FullyConnected(
        name=name,
        inputs=inputs,
        outputs=outputs,
        activation=activation,
        input_format=input_format,
        output_format=output,
        bias_format=bias,
        accumulator_format=accumulator,
        limit=limit,
    )
    fields.end()
    return node
