"""Multilayer perceptrons: networks that are a chain of fully connected layers, as such a chain, with the float weights in it.

What is understood: Gemm, or MatMul and Add, with Relu, or Clip from 0, between them; Flatten and Reshape before the first layer; a batch of
one. Everything else is refused by name, never skipped.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qsim.errors import FileFormatError
from qsim.formats.fixed import FloatArray
from qsim.model.graph import Activation
from qsim.model.network import Network, Operator
from qsim.model.onnx_import import import_onnx

SHAPE_ONLY = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
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


def read_onnx(path: str | Path, *, dims: Mapping[str, int] | None = None) -> FloatNetwork:
    """Read a multilayer perceptron from an ONNX file; ``dims`` fixes the sizes that the file leaves open, the batch at 1.

    Raises :class:`MissingExtra` without the ``onnx`` package and :class:`FileFormatError`, naming node and operator, for a file that is
    no such network.
    """
    return perceptron(import_onnx(path, dims=dims, fold=True))


def perceptron(network: Network) -> FloatNetwork:
    """Return a network as a chain of fully connected layers. Raises :class:`FileFormatError` for any other network."""
    if len(network.inputs) != 1 or len(network.outputs) != 1 or network.holes:
        value = f"{len(network.inputs)} inputs, {len(network.outputs)} outputs, {len(network.holes)} holes"
        raise FileFormatError(path="network", rule="a chain from one input to one output", value=value)
    shape = network.tensors[network.inputs[0]].shape
    if shape[:1] != (1,):
        raise FileFormatError(path="network.inputs", rule="a batch of one", value=list(shape))
    layers = _Chain(network).layers()
    if layers[0].weights.shape[1] != math.prod(shape):
        rule = f"{layers[0].weights.shape[1]} values, as the first layer reads"
        raise FileFormatError(path=f"network input {network.inputs[0]!r}", rule=rule, value=list(shape))
    return FloatNetwork(name=network.name, input_shape=shape[1:], layers=tuple(layers))


class _Chain:
    """Walks the operators of a chain."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._layers: list[FloatLayer] = []

    def layers(self) -> list[FloatLayer]:
        tensor = self._network.inputs[0]
        for operator in self._network.operators:
            tensor = self._step(operator, tensor)
        if tensor != self._network.outputs[0]:
            raise FileFormatError(path="network.outputs", rule=f"{tensor!r}, the end of the chain", value=self._network.outputs[0])
        if not self._layers:
            raise FileFormatError(path="network", rule="a network with a fully connected layer", value="none")
        return self._layers

    def _step(self, operator: Operator, tensor: str) -> str:
        path = f"operator {operator}"
        if operator.kind not in SUPPORTED:
            raise FileFormatError(path=path, rule="a supported operator", value=operator.kind, legal=SUPPORTED)
        if tensor not in operator.inputs:
            rule = f"fed by {tensor!r} (the network must be a chain)"
            raise FileFormatError(path=path, rule=rule, value=list(operator.inputs))
        match operator.kind:
            case "Gemm":
                self._gemm(operator, path)
            case "MatMul":
                weights = self._constant(operator, 1, path)
                if weights.ndim != 2:
                    raise FileFormatError(path=f"{path}.input[1]", rule="a matrix", value=list(weights.shape))
                self._start(operator, weights.T, np.zeros(weights.shape[1]))
            case "Add":
                self._add_bias(operator, tensor, path)
            case "Relu":
                self._activate(path, operator.kind, Activation.RELU, None)
            case "Clip":
                self._clip(operator, path)
            case _:
                if self._layers:
                    raise FileFormatError(path=path, rule="before the first layer", value=operator.kind)
        return operator.outputs[0]

    def _gemm(self, operator: Operator, path: str) -> None:
        options = operator.attributes
        if options.get("transA", 0):
            raise FileFormatError(path=f"{path}.transA", rule="0", value=options["transA"])
        alpha, beta = (float(str(options.get(name, 1.0))) for name in ("alpha", "beta"))
        weights = self._constant(operator, 1, path) * alpha
        weights = weights if options.get("transB", 0) else weights.T
        bias = np.zeros(len(weights))
        if len(operator.inputs) > 2 and operator.inputs[2]:
            bias = _broadcast(self._constant(operator, 2, path).reshape(-1) * beta, len(weights), path)
        self._start(operator, weights, bias)

    def _start(self, operator: Operator, weights: FloatArray, bias: FloatArray) -> None:
        self._layers.append(FloatLayer(name=operator.name, weights=weights, bias=bias, activation=Activation.NONE))

    def _add_bias(self, operator: Operator, tensor: str, path: str) -> None:
        if not self._layers or self._layers[-1].activation is not Activation.NONE:
            raise FileFormatError(path=path, rule="directly after a MatMul or Gemm", value="Add")
        layer, place = self._layers[-1], 1 if operator.inputs[0] == tensor else 0
        bias = _broadcast(self._constant(operator, place, path).reshape(-1), len(layer.bias), path)
        self._layers[-1] = replace(layer, bias=layer.bias + bias)

    def _clip(self, operator: Operator, path: str) -> None:
        limits = []
        for place in (1, 2):
            given = len(operator.inputs) > place and operator.inputs[place]
            found = self._constant(operator, place, path) if given else np.array(math.nan)
            if found.size != 1:
                raise FileFormatError(path=f"{path}.input[{place}]", rule="a single number", value=list(found.shape))
            limits.append(float(found.item()))
        low, high = limits
        if low != 0 or not 0 < high < math.inf:
            raise FileFormatError(path=path, rule="from 0 to a positive limit", value=f"{low:g} to {high:g}")
        self._activate(path, "Clip", Activation.CLIP, high)

    def _activate(self, path: str, kind: str, activation: Activation, limit: float | None) -> None:
        if not self._layers or self._layers[-1].activation is Activation.CLIP:
            raise FileFormatError(path=path, rule="after a layer without clip", value=kind)
        self._layers[-1] = replace(self._layers[-1], activation=activation, limit=limit)

    def _constant(self, operator: Operator, place: int, path: str) -> FloatArray:
        name = operator.inputs[place]
        if name not in self._network.constants:
            raise FileFormatError(path=f"{path}.input[{place}]", rule="a constant stored in the file", value=name)
        found: FloatArray = np.asarray(self._network.constants[name], dtype=np.float64)
        if not np.all(np.isfinite(found)):
            raise FileFormatError(path=f"{path}.input[{place}]", rule="finite numbers", value="NaN or infinity")
        return found


def _broadcast(bias: FloatArray, outputs: int, path: str) -> FloatArray:
    if bias.size not in (1, outputs):
        raise FileFormatError(path=f"{path}.bias", rule=f"{outputs} values", value=bias.size)
    return np.broadcast_to(bias, (outputs,)).copy()
