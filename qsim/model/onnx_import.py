"""Reading multilayer perceptrons from ONNX files, with the float weights still in them.

What is understood: chains of Gemm, or MatMul followed by Add, with Relu, or Clip from 0, between them; Flatten and Reshape before the
first layer; Identity and Dropout (which infer as nothing). Everything else is refused by name, never skipped.
"""

import importlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from qsim.errors import FileFormatError, MissingExtra
from qsim.formats.fixed import FloatArray
from qsim.model.graph import Activation

SHAPE_ONLY = ("Flatten", "Reshape", "Identity", "Dropout")
SUPPORTED = ("Add", "Clip", "Gemm", "MatMul", "Relu", *SHAPE_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatLayer:
    """A fully connected layer in floating point: ``weights`` [outputs, inputs], ``bias`` [outputs].

    ``limit``: the largest output of a layer with clip; None for others.
    """

    name: str
    weights: FloatArray
    bias: FloatArray
    activation: Activation
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatNetwork:
    """A chain of float layers; ``input_shape`` is the shape of one input, without the batch axis."""

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[FloatLayer, ...]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weights.size + layer.bias.size for layer in self.layers)


def read_onnx(path: str | Path) -> FloatNetwork:
    """Read a multilayer perceptron.

    Raises :class:`MissingExtra` without the ``onnx`` package and :class:`FileFormatError`, naming node and operator, for a file that is
    no such network.
    """
    try:
        import onnx

        decode_error: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError
    except ImportError as error:
        raise MissingExtra("onnx", "reading an ONNX file") from error
    try:
        model = onnx.load(Path(path))
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except (decode_error, onnx.checker.ValidationError) as error:
        raise FileFormatError(path=str(path), rule="an ONNX file", value=str(error)) from error
    return _Reader(onnx, model.graph).network()


class _Reader:
    """Walks the chain of nodes; ``value`` is the name of the tensor that holds the activations."""

    def __init__(self, onnx: ModuleType, graph: Any) -> None:
        self._helper = onnx.helper
        self._graph = graph
        self._constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                tensors = [item.t for item in node.attribute if item.name == "value"]
                if tensors:
                    self._constants[node.output[0]] = onnx.numpy_helper.to_array(tensors[0])
        self._layers: list[FloatLayer] = []
        self._pending: FloatLayer | None = None

    def network(self) -> FloatNetwork:
        inputs = [item for item in self._graph.input if item.name not in self._constants]
        if len(inputs) != 1 or len(self._graph.output) != 1:
            value = f"{len(inputs)} inputs, {len(self._graph.output)} outputs"
            raise FileFormatError(path="onnx.graph", rule="a chain from one input to one output", value=value)
        value = inputs[0].name
        for node in self._graph.node:
            if node.op_type != "Constant":
                value = self._step(node, value)
        if value != self._graph.output[0].name:
            raise FileFormatError(path="onnx.graph.output", rule=f"{value!r}, the end of the chain", value=self._graph.output[0].name)
        self._finish()
        if not self._layers:
            raise FileFormatError(path="onnx.graph", rule="a network with a fully connected layer", value="none")
        shape = _shape(inputs[0], self._layers[0].weights.shape[1])
        return FloatNetwork(name=self._graph.name or "network", input_shape=shape, layers=tuple(self._layers))

    def _step(self, node: Any, value: str) -> str:
        path = _path(node)
        if node.op_type not in SUPPORTED:
            raise FileFormatError(path=path, rule="a supported operator", value=node.op_type, legal=SUPPORTED)
        if value not in node.input:
            raise FileFormatError(path=path, rule=f"fed by {value!r} (the network must be a chain)", value=list(node.input))
        match node.op_type:
            case "Gemm":
                self._start(node, *self._gemm(node, path))
            case "MatMul":
                weights = self._matrix(node, path).T
                self._start(node, weights, np.zeros(weights.shape[0]))
            case "Add":
                self._add_bias(node, value, path)
            case "Relu":
                self._activate(path, node.op_type, Activation.RELU, None)
            case "Clip":
                self._clip(node, path)
            case _:
                if self._pending is not None and node.op_type in ("Flatten", "Reshape"):
                    raise FileFormatError(path=path, rule="before the first layer", value=node.op_type)
        result: str = node.output[0]
        return result

    def _gemm(self, node: Any, path: str) -> tuple[FloatArray, FloatArray]:
        options = {item.name: self._helper.get_attribute_value(item) for item in node.attribute}
        if options.get("transA", 0):
            raise FileFormatError(path=f"{path}.transA", rule="0", value=options["transA"])
        weights = self._matrix(node, path) * options.get("alpha", 1.0)
        weights = weights if options.get("transB", 0) else weights.T
        if len(node.input) < 3:
            return weights, np.zeros(weights.shape[0])
        bias = self._constant(node, 2, path).reshape(-1) * options.get("beta", 1.0)
        return weights, _broadcast(bias, len(weights), path)

    def _start(self, node: Any, weights: FloatArray, bias: FloatArray) -> None:
        before = self._pending
        if before is not None and before.weights.shape[0] != weights.shape[1]:
            rule = f"a layer of {before.weights.shape[0]} inputs"
            raise FileFormatError(path=_path(node), rule=rule, value=weights.shape[1])
        self._finish()
        name = node.name or f"layer{len(self._layers) + 1}"
        self._pending = FloatLayer(name=name, weights=weights, bias=bias, activation=Activation.NONE)

    def _add_bias(self, node: Any, value: str, path: str) -> None:
        layer = self._pending
        if layer is None or layer.activation is not Activation.NONE:
            raise FileFormatError(path=path, rule="directly after a MatMul or Gemm", value="Add")
        place = 1 if node.input[0] == value else 0
        bias = _broadcast(self._constant(node, place, path).reshape(-1), len(layer.bias), path)
        self._pending = replace(layer, bias=layer.bias + bias)

    def _clip(self, node: Any, path: str) -> None:
        """Take the limits from the inputs, or, as before operator set 11, from the attributes."""
        options = {item.name: self._helper.get_attribute_value(item) for item in node.attribute}
        limits = []
        for place, name in ((1, "min"), (2, "max")):
            if len(node.input) > place and node.input[place]:
                found = self._constant(node, place, path)
                if found.size != 1:
                    raise FileFormatError(path=f"{path}.input[{place}]", rule="a single number", value=list(found.shape))
                options[name] = found.item()
            limits.append(float(options.get(name, math.nan)))
        low, high = limits
        if low != 0 or not 0 < high < math.inf:
            raise FileFormatError(path=path, rule="from 0 to a positive limit", value=f"{low:g} to {high:g}")
        self._activate(path, "Clip", Activation.CLIP, high)

    def _activate(self, path: str, operator: str, activation: Activation, limit: float | None) -> None:
        layer = self._pending
        if layer is None or layer.activation is Activation.CLIP:
            raise FileFormatError(path=path, rule="after a layer without clip", value=operator)
        self._pending = replace(layer, activation=activation, limit=limit)

    def _finish(self) -> None:
        if self._pending is not None:
            self._layers.append(self._pending)

    def _matrix(self, node: Any, path: str) -> FloatArray:
        found = self._constant(node, 1, path)
        if found.ndim != 2:
            raise FileFormatError(path=f"{path}.input[1]", rule="a matrix", value=list(found.shape))
        return found

    def _constant(self, node: Any, place: int, path: str) -> FloatArray:
        name = node.input[place]
        if name not in self._constants:
            raise FileFormatError(path=f"{path}.input[{place}]", rule="a constant stored in the file", value=name)
        found: FloatArray = np.asarray(self._constants[name], dtype=np.float64)
        if not np.all(np.isfinite(found)):
            raise FileFormatError(path=f"{path}.input[{place}]", rule="finite numbers", value="NaN or infinity")
        return found


def _broadcast(bias: FloatArray, outputs: int, path: str) -> FloatArray:
    if bias.size not in (1, outputs):
        raise FileFormatError(path=f"{path}.bias", rule=f"{outputs} values", value=bias.size)
    return np.broadcast_to(bias, (outputs,)).copy()


def _shape(value: Any, inputs: int) -> tuple[int, ...]:
    """Return the shape of one input: the declared one without the batch axis if it fits the first layer."""
    sizes = [int(item.dim_value) for item in value.type.tensor_type.shape.dim][1:]
    if all(size > 0 for size in sizes) and sizes:
        if math.prod(sizes) != inputs:
            raise FileFormatError(path=f"onnx.graph.input {value.name}", rule=f"{inputs} values, as the first layer reads", value=sizes)
        return tuple(sizes)
    return (inputs,)


def _path(node: Any) -> str:
    return f"onnx node {node.name or node.output[0]!r} ({node.op_type})"
