"""The layers of a network that machines run: everything that multiplies matrices with vectors.

This is the seam between a network and the machines. Each :class:`MatrixLayer` names its weights and the tensor that it
reads, so that a simulator takes the weights from the network, the activations from real inference
(:func:`qsim.model.reference.run` with ``keep``), and the window from here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array, Network, Operator
from qsim.model.operators.convolution import convolution_window, transposed_window
from qsim.model.operators.kind import Call, placeholder
from qsim.model.operators.windows import Window


class LayerKind(StrEnum):
    """What a layer is; ``..._gates`` are the matrices of a recurrent layer, ``matmul`` multiplies two activations."""

    FULLY_CONNECTED = "fully_connected"
    CONVOLUTION = "convolution"
    TRANSPOSED_CONVOLUTION = "transposed_convolution"
    LSTM_GATES = "lstm_gates"
    GRU_GATES = "gru_gates"
    RNN_GATES = "rnn_gates"
    MATMUL = "matmul"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixLayer:
    """One layer as matrix-vector products.

    Its weights are ``groups`` matrices of [outputs, columns]; each inference multiplies each of them with ``vectors`` vectors
    of ``columns`` activations, so ``macs = groups * outputs * columns * vectors``.

    | kind | outputs | columns, in this order | vectors |
    |---|---|---|---|
    | fully connected | output features | input features | batch and all other leading axes |
    | convolution | output channels of a group | input channel of the group, then kernel position (C order) | batch x output pixels |
    | transposed convolution | output channel of the group, then kernel position | input channels of a group | batch x input pixels |
    | lstm gates | 4 x hidden (ONNX order: i o f c) | input features, or hidden for the recurrent matrix | batch x steps |
    | gru gates | 3 x hidden (ONNX order: z r h) | as above | batch x steps |
    | matmul | columns of the second operand | the summed axis | rows of the first operand; ``groups`` the leading axes |

    ``operator`` names the operator of the network, ``weight`` and ``bias`` constants of it (None for none; a matmul has no
    weight: both operands are activations, ``second`` names the other one, of ``second_shape``). ``input`` is the tensor that is read;
    of a recurrent matrix it is the tensor of all hidden states, which is the operator's output, used one step later.
    ``window`` is that of a (transposed) convolution, ``auto_pad`` resolved; ``part`` is the direction of a recurrent layer; ``transposed``
    says that the constant already lies as [outputs, columns], of a matmul that ``input`` lies as [columns, vectors]. ``relu`` says that a
    ReLU follows directly, so that output zeros are real.
    """

    name: str
    kind: LayerKind
    operator: str
    weight: str | None
    bias: str | None
    input: str
    output: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    outputs: int
    columns: int
    groups: int = 1
    vectors: int = 1
    window: Window | None = None
    second: str | None = None
    second_shape: tuple[int, ...] = ()
    recurrent: bool = False
    part: int | None = None
    transposed: bool = False
    relu: bool = False

    @property
    def weights(self) -> int:
        """Number of weights; 0 where both operands are activations."""
        return self.groups * self.outputs * self.columns if self.weight is not None else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference of the whole batch, those with padding included."""
        return self.groups * self.outputs * self.columns * self.vectors

    @property
    def depthwise(self) -> bool:
        """Whether every channel is a group of its own."""
        return self.window is not None and self.groups > 1 and self.columns == math.prod(self.window.kernel)


def matrix_layers(network: Network) -> tuple[MatrixLayer, ...]:
    """Return the layers that machines run, in order.

    A layer whose shapes are unknown behind a hole is itself a hole of the network and not listed.
    """
    holes, context = {hole.operator for hole in network.holes}, _Context(network)
    found: list[MatrixLayer] = []
    for operator in network.operators:
        if operator.kind in _LAYERS and operator.name not in holes:
            found += _LAYERS[operator.kind](context, operator)
    return tuple(found)


def weight_matrices(network: Network, layer: MatrixLayer) -> Array:
    """Return the weights of a layer, [groups, outputs, columns], as a view of the constant where one exists.

    Raises :class:`FieldError` for a layer whose operands are both activations.
    """
    if layer.weight is None:
        raise FieldError(path=f"layer {layer.name}.weight", rule="a constant", value=None)
    constant = network.constants[layer.weight]
    match layer.kind:
        case LayerKind.FULLY_CONNECTED:
            matrix = constant if layer.transposed else np.swapaxes(constant, -1, -2)
            return matrix.reshape(layer.groups, layer.outputs, layer.columns)
        case LayerKind.TRANSPOSED_CONVOLUTION:
            return np.swapaxes(constant.reshape(layer.groups, layer.columns, layer.outputs), 1, 2)
        case LayerKind.LSTM_GATES | LayerKind.GRU_GATES | LayerKind.RNN_GATES:
            return constant[layer.part][None]
        case _:
            return constant.reshape(layer.groups, layer.outputs, layer.columns)


def states_before(network: Network, layer: MatrixLayer, values: Mapping[str, Array]) -> Array:
    """Return what a recurrent matrix reads, [steps, batch, hidden] in order of time: the state before every step.

    ``values`` are the tensors that the executor kept: ``layer.input`` and, where it is no constant, the initial state. A GRU without
    ``linear_before_reset`` multiplies its third gate's part with the reset state instead. Raises :class:`FieldError` for any other layer.
    """
    if not layer.recurrent or layer.part is None:
        raise FieldError(path=f"layer {layer.name}", rule="the recurrent matrix of a recurrent layer", value=str(layer.kind))
    (operator,) = (found for found in network.operators if found.name == layer.operator)
    every = values[layer.input][:, layer.part]
    initial = operator.inputs[5] if len(operator.inputs) > 5 else ""
    known = {**network.constants, **values}
    first = known[initial][layer.part] if initial else np.zeros_like(every[0])
    backwards = operator.attributes.get("direction") == "reverse" or layer.part == 1
    moved = [*every[1:], first] if backwards else [first, *every[:-1]]
    return np.stack(moved)


class _Context:
    """What follows each tensor."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._readers: dict[str, list[Operator]] = {}
        for operator in network.operators:
            for tensor in operator.inputs:
                self._readers.setdefault(tensor, []).append(operator)

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.network.type_of(tensor).shape

    def is_constant(self, tensor: str) -> bool:
        return tensor in self.network.constants

    def reader(self, tensor: str) -> Operator | None:
        """Return the only operator that reads a tensor, or None where there are more, none, or the network gives it out."""
        readers = self._readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.network.outputs else None

    def biased(self, tensor: str, outputs: int) -> tuple[str | None, str]:
        """Return the constant that is added to a product of ``outputs`` features directly after it, and the tensor after that."""
        reader = self.reader(tensor)
        if reader is not None and reader.kind == "Add":
            other = reader.inputs[1] if reader.inputs[0] == tensor else reader.inputs[0]
            if self.is_constant(other) and self.network.constants[other].shape in ((outputs,), (1, outputs), (1, 1, outputs)):
                return other, reader.outputs[0]
        return None, tensor

    def relu(self, tensor: str) -> bool:
        """Whether a ReLU, or a clip from 0, is the only one that reads a tensor."""
        reader = self.reader(tensor)
        if reader is None or reader.kind not in ("Relu", "Clip"):
            return False
        low = self.network.constants.get(reader.inputs[1]) if reader.kind == "Clip" and len(reader.inputs) > 1 else None
        return reader.kind == "Relu" or (low is not None and float(low.reshape(())) == 0)

    def call(self, operator: Operator) -> Call:
        types = [self.network.type_of(tensor) if tensor else None for tensor in operator.inputs]
        return Call(operator, [None if found is None else placeholder(found.shape, found.dtype) for found in types])


def _convolution(context: _Context, operator: Operator) -> list[MatrixLayer]:
    x, weight, output = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if not context.is_constant(weight):
        return []
    shape, call = context.shape(weight), context.call(operator)
    if operator.kind == "Conv":
        kind, (window, groups) = LayerKind.CONVOLUTION, convolution_window(call)
        outputs, columns = shape[0] // groups, math.prod(shape[1:])
    else:
        kind, (window, groups, _) = LayerKind.TRANSPOSED_CONVOLUTION, transposed_window(call)
        outputs, columns = math.prod(shape[1:]), shape[0] // groups
    pixels = context.shape(output if operator.kind == "Conv" else x)
    bias = operator.inputs[2] if len(operator.inputs) > 2 and operator.inputs[2] else None
    return [
        MatrixLayer(
            name=operator.name, kind=kind, operator=operator.name, weight=weight, bias=bias, input=x, output=output,
            input_shape=context.shape(x), output_shape=context.shape(output), outputs=outputs, columns=columns, groups=groups,
            vectors=pixels[0] * math.prod(pixels[2:]), window=window, relu=context.relu(output),
        )
    ]  # fmt: skip


def _gemm(context: _Context, operator: Operator) -> list[MatrixLayer]:
    x, weight, output = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    transposed = bool(operator.attributes.get("transB", 0))
    rows, columns = context.shape(output)[0], context.shape(weight)[1 if transposed else 0]
    bias = operator.inputs[2] if len(operator.inputs) > 2 and operator.inputs[2] else None
    constant = context.is_constant(weight)
    return [
        MatrixLayer(
            name=operator.name, kind=LayerKind.FULLY_CONNECTED if constant else LayerKind.MATMUL, operator=operator.name,
            weight=weight if constant else None, bias=bias, input=x, output=output, input_shape=context.shape(x),
            output_shape=context.shape(output), outputs=context.shape(output)[1], columns=columns, vectors=rows,
            second=None if constant else weight, second_shape=() if constant else context.shape(weight),
            transposed=transposed if constant else bool(operator.attributes.get("transA", 0)), relu=context.relu(output),
        )
    ]  # fmt: skip


def _matmul(context: _Context, operator: Operator) -> list[MatrixLayer]:
    """Weights may be the first operand as well; a product of more than two axes on both sides is a group per leading index."""
    left, right, output = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    swapped = context.is_constant(left) and not context.is_constant(right)
    x, other = (right, left) if swapped else (left, right)
    weight = other if context.is_constant(other) else None
    shape, full = context.shape(other), context.shape(output)
    shape = shape if len(shape) > 1 else (*shape, 1) if not swapped else (1, *shape)
    columns, outputs = (shape[-1], shape[-2]) if swapped else (shape[-2], shape[-1])
    groups = math.prod(shape[:-2]) if weight is not None else math.prod(full[:-2])
    bias, after = (None, output) if swapped or weight is None else context.biased(output, outputs)
    return [
        MatrixLayer(
            name=operator.name, kind=LayerKind.MATMUL if weight is None else LayerKind.FULLY_CONNECTED, operator=operator.name,
            weight=weight, bias=bias, input=x, output=after, input_shape=context.shape(x), output_shape=full, outputs=outputs,
            columns=columns, groups=groups, vectors=math.prod(full) // max(1, outputs * groups), second=None if weight else other,
            second_shape=() if weight else context.shape(other), transposed=swapped, relu=context.relu(after),
        )
    ]  # fmt: skip


def _recurrent(context: _Context, operator: Operator) -> list[MatrixLayer]:
    """Two matrices per direction: that of the inputs and that of the hidden states."""
    x, output = operator.inputs[0], operator.outputs[0]
    steps, batch, features = context.shape(x)
    directions, height, hidden = context.shape(operator.inputs[2])
    kind = {"LSTM": LayerKind.LSTM_GATES, "GRU": LayerKind.GRU_GATES, "RNN": LayerKind.RNN_GATES}[operator.kind]
    every = (steps, directions, batch, hidden)
    bias = operator.inputs[3] if len(operator.inputs) > 3 and operator.inputs[3] else None
    return [
        MatrixLayer(
            name=f"{operator.name}.{'recurrent' if recurrent else 'input'}{'.reverse' * part}", kind=kind, operator=operator.name,
            weight=operator.inputs[2 if recurrent else 1], bias=bias, input=output if recurrent else x, output=output,
            input_shape=every if recurrent else (steps, batch, features), output_shape=every, outputs=height,
            columns=hidden if recurrent else features, vectors=steps * batch, recurrent=recurrent, part=part,
        )
        for part in range(directions)
        for recurrent in (False, True)
    ]  # fmt: skip


_LAYERS: dict[str, Callable[[_Context, Operator], list[MatrixLayer]]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
