"""The layers of a network that machines run: everything that multiplies matrices with vectors.

This is the seam between a network and the machines. Each :class:`MatrixLayer` names its weights and the tensor that it
reads, so that a simulator takes the weights from the network, the activations from real inference
(:func:`qsim.model.reference.run` with ``keep``), and the geometry from here.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from qsim.model.network import Array, Network


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
class Geometry:
    """Geometry of a (transposed) convolution over one or more spatial axes; one number per axis, ``auto_pad`` resolved.

    ``pads_begin`` and ``pads_end`` are zeros added before and after each axis (for a transposed convolution: outputs cut off).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]


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
    weight: both operands are activations, ``second`` names the other). ``input`` is the activation tensor that is read;
    of a recurrent matrix it is the tensor of all hidden states, which is the operator's output, used one step later.
    ``part`` is the direction of a recurrent layer. ``relu`` says that a ReLU follows directly, so that output zeros are real.
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
    geometry: Geometry | None = None
    second: str | None = None
    recurrent: bool = False
    part: int | None = None
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
        return self.geometry is not None and self.groups > 1 and self.columns == math.prod(self.geometry.kernel)


def matrix_layers(network: Network) -> tuple[MatrixLayer, ...]:
    """Return the layers that machines run, in order. Layers whose shapes are unknown behind a hole are holes themselves."""
    raise NotImplementedError


def weight_matrices(network: Network, layer: MatrixLayer) -> Array:
    """Return the weights of a layer, [groups, outputs, columns], as a view of the constant where one exists."""
    raise NotImplementedError
