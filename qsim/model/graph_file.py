"""A graph as plain lists for a file, and back.

``[name, input shape, input format, nodes]``, a node being

- fully connected: ``[name, outputs, activation, output format, bias format, accumulator format]``, then ``limit`` where it clips;
- convolution: the same with ``[1, out_channels, *window, groups]`` in place of ``outputs``;
- max pool: ``[name, [2, *window]]``,

with ``window`` = kernel (2), stride (2), padding (4), dilation (2). What the chain implies (sizes of inputs, input formats) is not stored.
"""

import math
from enum import IntEnum
from typing import assert_never

from qsim.errors import FieldError
from qsim.formats.fields import Fields
from qsim.formats.fixed import FixedFormat
from qsim.model.geometry import MAX_AXIS, MAX_CHANNELS, MAX_KERNEL, ImageGeometry
from qsim.model.graph import Activation, Convolution, FullyConnected, Graph, MaxPool, Node, Weighted

MAX_NODES = 256
MAX_SIZE = 1 << 24


class Kind(IntEnum):
    """What a node with a window is."""

    CONVOLUTION = 1
    MAX_POOL = 2


def describe_graph(graph: Graph) -> list[object]:
    """Return the graph as plain lists for a file."""
    return [graph.name, list(graph.input_shape), str(graph.nodes[0].input_format), [_describe_node(node) for node in graph.nodes]]


def _describe_node(node: Node) -> list[object]:
    match node:
        case FullyConnected():
            return [node.name, node.outputs, *_describe_datapath(node)]
        case Convolution():
            geometry = node.geometry
            return [
                node.name,
                [int(Kind.CONVOLUTION), node.out_channels, *_describe_window(geometry), geometry.groups],
                *_describe_datapath(node),
            ]
        case MaxPool():
            return [node.name, [int(Kind.MAX_POOL), *_describe_window(node.geometry)]]
        case _:
            assert_never(node)


def _describe_datapath(node: Weighted) -> list[object]:
    formats = [str(node.output_format), str(node.bias_format), str(node.accumulator_format)]
    return [list(Activation).index(node.activation), *formats, *(() if node.limit is None else (node.limit,))]


def _describe_window(geometry: ImageGeometry) -> list[int]:
    return [*geometry.kernel, *geometry.stride, *geometry.padding, *geometry.dilation]


def read_graph(metadata: Fields, most_weights: int) -> Graph:
    """Read what :func:`describe_graph` wrote, of at most ``most_weights`` weights.

    Raises :class:`FileFormatError` or, for a graph that cannot be, :class:`FieldError`.
    """
    name = metadata.text("name")
    sizes = metadata.fields("input_shape")
    first = shape = tuple(sizes.integer("size", 1, MAX_SIZE) for _ in range(min(sizes.left, 8)))
    sizes.end()
    input_format = FixedFormat.parse(metadata.text("input_format"))
    descriptions = metadata.fields("nodes")
    nodes: list[Node] = []
    total = 0
    for _ in range(min(descriptions.left, MAX_NODES)):
        node = _read_node(descriptions.fields(f"node{len(nodes)}"), shape, input_format)
        nodes.append(node)
        shape, input_format = node.output_shape, node.output_format
        total += 0 if isinstance(node, MaxPool) else node.weights
        if total > most_weights:
            raise FieldError(path="graph.weights", rule=f"at most {most_weights} for a file of this size", value=total)
        if node.outputs > MAX_SIZE:
            raise FieldError(path=f"{node.name}.outputs", rule=f"at most {MAX_SIZE}", value=node.outputs)
    descriptions.end()
    return Graph(name=name, nodes=tuple(nodes), input_shape=first)


def _read_node(fields: Fields, shape: tuple[int, ...], input_format: FixedFormat) -> Node:
    name = fields.text("name")
    if not fields.next_is_list:
        return _read_fully_connected(fields, name, math.prod(shape), input_format)
    window = fields.fields("window")
    kind = Kind(window.integer("kind", min(Kind), max(Kind)))
    if len(shape) != 3:
        raise FieldError(path=f"{name}.input_shape", rule="height, width and channels", value=list(shape))
    match kind:
        case Kind.CONVOLUTION:
            return _read_convolution(fields, window, name, shape, input_format)
        case Kind.MAX_POOL:
            geometry = _read_geometry(window, shape)
            window.end()
            fields.end()
            return MaxPool(name=name, geometry=geometry, input_format=input_format)
        case _:
            assert_never(kind)


def _read_fully_connected(fields: Fields, name: str, inputs: int, input_format: FixedFormat) -> FullyConnected:
    outputs = fields.integer("outputs", 1, MAX_SIZE)
    activation, output, bias, accumulator, limit = _read_datapath(fields)
    return FullyConnected(
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


def _read_convolution(fields: Fields, window: Fields, name: str, shape: tuple[int, ...], input_format: FixedFormat) -> Convolution:
    out_channels = window.integer("out_channels", 1, MAX_CHANNELS)
    geometry = _read_geometry(window, shape, grouped=True)
    window.end()
    activation, output, bias, accumulator, limit = _read_datapath(fields)
    return Convolution(
        name=name,
        geometry=geometry,
        out_channels=out_channels,
        activation=activation,
        input_format=input_format,
        output_format=output,
        bias_format=bias,
        accumulator_format=accumulator,
        limit=limit,
    )


def _read_datapath(fields: Fields) -> tuple[Activation, FixedFormat, FixedFormat, FixedFormat, int | None]:
    """Read activation, the formats of outputs, biases and accumulator, and the limit; then the node must end."""
    activation = list(Activation)[fields.integer("activation", 0, len(Activation) - 1)]
    output, bias, accumulator = (FixedFormat.parse(fields.text(f"{part}_format")) for part in ("output", "bias", "accumulator"))
    limit = fields.integer("limit", 1, output.maximum) if activation is Activation.CLIP else None
    fields.end()
    return activation, output, bias, accumulator, limit


def _read_geometry(window: Fields, shape: tuple[int, ...], *, grouped: bool = False) -> ImageGeometry:
    height, width, channels = shape
    kernel = window.integer("kernel", 1, MAX_KERNEL), window.integer("kernel", 1, MAX_KERNEL)
    stride = window.integer("stride", 1, MAX_AXIS), window.integer("stride", 1, MAX_AXIS)
    top, left, bottom, right = (window.integer("padding", 0, MAX_KERNEL) for _ in range(4))
    dilation = window.integer("dilation", 1, MAX_KERNEL), window.integer("dilation", 1, MAX_KERNEL)
    return ImageGeometry(
        height=height,
        width=width,
        channels=channels,
        kernel=kernel,
        stride=stride,
        padding=(top, left, bottom, right),
        dilation=dilation,
        groups=window.integer("groups", 1, MAX_CHANNELS) if grouped else 1,
    )
