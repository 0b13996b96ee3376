"""A matrix layer of a float network in the order of the machines: channels last, columns tap by tap.

====================== ==========================================================================================================
layer                  as
====================== ==========================================================================================================
fully connected        one vector: the streamed program of a fully connected layer; more: a convolution of one tap over the vectors
convolution            itself; with one spatial axis as an image of one row
transposed convolution a convolution with the kernel turned round over the input with zeros between its pixels, which the scan skips
gates (LSTM, GRU, RNN) the matrix of the inputs and that of the hidden states, each with one program a time step
matmul                 a convolution of one tap with a group for each leading index: the first operand goes by, the second is stored
====================== ==========================================================================================================
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import UnsupportedProgram
from qsim.model.geometry import ImageGeometry
from qsim.model.matrix_layers import LayerKind, MatrixLayer, weight_matrices
from qsim.model.network import Network

FloatArray = npt.NDArray[np.float32]
GATES = (LayerKind.LSTM_GATES, LayerKind.GRU_GATES, LayerKind.RNN_GATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLayer:
    """``geometry`` of the layer on a machine, channels last, and its ``rows`` (output channels); ``layer`` is where it comes from."""

    layer: MatrixLayer
    geometry: ImageGeometry
    rows: int

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.name

    @property
    def product(self) -> bool:
        """Whether it multiplies two activations: it has no weights, and the operand that plays them is written at run time."""
        return self.layer.kind is LayerKind.MATMUL

    @property
    def single(self) -> bool:
        """Whether it is one vector through one matrix."""
        return self.geometry.pixels == 1 and self.geometry.taps == 1 and self.geometry.groups == 1


def machine_layer(layer: MatrixLayer) -> MachineLayer:
    """Return ``layer`` in the order of the machines. Raises :class:`UnsupportedProgram`, naming it, for what they cannot run."""
    match layer.kind:
        case LayerKind.CONVOLUTION:
            return MachineLayer(layer=layer, geometry=_convolution(layer), rows=layer.outputs * layer.groups)
        case LayerKind.TRANSPOSED_CONVOLUTION:
            return MachineLayer(layer=layer, geometry=_transposed(layer), rows=layer.output_shape[1])
        case LayerKind.MATMUL:
            return _product(layer)
        case _:
            if layer.groups > 1:
                raise UnsupportedProgram(path=layer.name, rule="one matrix", value=f"{layer.groups} matrices")
            return MachineLayer(layer=layer, geometry=_vectors(layer.vectors, layer.columns), rows=layer.outputs)


def _vectors(count: int, columns: int) -> ImageGeometry:
    return ImageGeometry(height=count, width=1, channels=columns, kernel=(1, 1))


def _product(layer: MatrixLayer) -> MachineLayer:
    """A second operand that is one matrix is stored once, whatever leading axes the first has."""
    if min(len(layer.input_shape), len(layer.second_shape)) < 2:
        raise UnsupportedProgram(path=layer.name, rule="of two operands of two or more axes", value=[layer.input_shape, layer.second_shape])
    groups = layer.groups if math.prod(layer.second_shape[:-2]) > 1 else 1
    vectors = layer.vectors * layer.groups // groups
    geometry = ImageGeometry(height=vectors, width=1, channels=groups * layer.columns, kernel=(1, 1), groups=groups)
    return MachineLayer(layer=layer, geometry=geometry, rows=groups * layer.outputs)


def _plane(sizes: tuple[int, ...], filler: int) -> tuple[int, int]:
    return (filler, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _images(layer: MatrixLayer) -> None:
    if layer.input_shape[0] != 1 or len(layer.input_shape) not in (3, 4):
        raise UnsupportedProgram(path=layer.name, rule="one image or line of pixels with its channels", value=list(layer.input_shape))


def _convolution(layer: MatrixLayer) -> ImageGeometry:
    _images(layer)
    found = layer.window
    assert found is not None
    height, width = _plane(layer.input_shape[2:], 1)
    top, left = _plane(found.begin, 0)
    bottom, right = _plane(found.end, 0)
    return ImageGeometry(
        height=height,
        width=width,
        channels=layer.input_shape[1],
        kernel=_plane(found.kernel, 1),
        stride=_plane(found.strides, 1),
        dilation=_plane(found.dilations, 1),
        padding=(top, left, bottom, right),
        groups=layer.groups,
    )


def _transposed(layer: MatrixLayer) -> ImageGeometry:
    _images(layer)
    found = layer.window
    assert found is not None
    sizes, outputs = _plane(layer.input_shape[2:], 1), _plane(layer.output_shape[2:], 1)
    kernel, strides, dilations = _plane(found.kernel, 1), _plane(found.strides, 1), _plane(found.dilations, 1)
    begin = _plane(found.begin, 0)
    stuffed = [(size - 1) * stride + 1 for size, stride in zip(sizes, strides, strict=True)]
    reach = [gap * (size - 1) for size, gap in zip(kernel, dilations, strict=True)]
    before = [far - cut for far, cut in zip(reach, begin, strict=True)]
    after = [out - size - pad + far for out, size, pad, far in zip(outputs, stuffed, before, reach, strict=True)]
    if min(*before, *after) < 0:
        raise UnsupportedProgram(path=layer.name, rule="cut by no more than the reach of its kernel", value=list(found.begin))
    return ImageGeometry(
        height=stuffed[0],
        width=stuffed[1],
        channels=layer.input_shape[1],
        kernel=kernel,
        dilation=dilations,
        padding=(before[0], before[1], after[0], after[1]),
        groups=layer.groups,
    )


def machine_weights(network: Network, found: MachineLayer) -> FloatArray:
    """Return the weights of a layer [rows, geometry.columns] in the order of the machines: a view where the order is the same."""
    layer, geometry = found.layer, found.geometry
    weights = weight_matrices(network, layer)
    match layer.kind:
        case LayerKind.CONVOLUTION:
            ordered = weights.reshape(found.rows, geometry.group_channels, geometry.taps).transpose(0, 2, 1)
        case LayerKind.TRANSPOSED_CONVOLUTION:
            own = found.rows // geometry.groups
            split = weights.reshape(geometry.groups, own, geometry.taps, geometry.group_channels)
            ordered = split[:, :, ::-1].reshape(found.rows, geometry.taps, geometry.group_channels)
        case _:
            ordered = weights
    return np.asarray(ordered, dtype=np.float32).reshape(found.rows, geometry.columns)


def put_weights(network: Network, found: MachineLayer, weights: FloatArray) -> npt.NDArray[np.float32]:
    """Return the constant of a layer with ``weights`` [rows, geometry.columns] in its place: the inverse of :func:`machine_weights`."""
    layer, geometry = found.layer, found.geometry
    assert layer.weight is not None
    constant = network.constants[layer.weight]
    match layer.kind:
        case LayerKind.CONVOLUTION:
            return weights.reshape(found.rows, geometry.taps, geometry.group_channels).transpose(0, 2, 1).reshape(constant.shape)
        case LayerKind.TRANSPOSED_CONVOLUTION:
            own = found.rows // geometry.groups
            split = weights.reshape(geometry.groups, own, geometry.taps, geometry.group_channels)[:, :, ::-1]
            return split.transpose(0, 3, 1, 2).reshape(constant.shape)
        case LayerKind.FULLY_CONNECTED:
            matrix = weights if layer.transposed else weights.T
            return matrix.reshape(constant.shape)
        case _:
            changed = np.array(constant, dtype=np.float32)
            changed[layer.part] = weights
            return changed


def machine_activations(found: MachineLayer, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the activations that a layer reads [geometry.inputs], in the order of the machines, from the ``tensor`` of the network."""
    layer, geometry = found.layer, found.geometry
    match layer.kind:
        case LayerKind.CONVOLUTION:
            flat: npt.NDArray[Any] = np.moveaxis(tensor[0], 0, -1).reshape(-1)
            return flat
        case LayerKind.TRANSPOSED_CONVOLUTION:
            assert layer.window is not None
            strides = _plane(layer.window.strides, 1)
            stuffed = np.zeros((geometry.height, geometry.width, geometry.channels), dtype=tensor.dtype)
            pixels = np.moveaxis(tensor[0], 0, -1)
            stuffed[:: strides[0], :: strides[1]] = pixels if pixels.ndim == 3 else pixels[None]
            return stuffed.reshape(-1)
        case LayerKind.MATMUL:
            return _vectors_of_groups(found, tensor)
        case _:
            return _steps(layer, tensor).reshape(-1)


def _vectors_of_groups(found: MachineLayer, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the first operand of a product, vector by vector, of each the columns of all groups one after the other."""
    layer, groups = found.layer, found.geometry.groups
    values = np.swapaxes(tensor, -1, -2) if layer.transposed else tensor
    if groups > 1:
        values = np.broadcast_to(values, (*layer.output_shape[:-2], layer.vectors, layer.columns))
        values = np.swapaxes(values.reshape(groups, layer.vectors, layer.columns), 0, 1)
    return values.reshape(-1)


def _steps(layer: MatrixLayer, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the vectors [steps * batch, columns]; of hidden states those of the step before, zero before the first."""
    if not layer.recurrent:
        swapped = layer.kind is LayerKind.FULLY_CONNECTED and layer.transposed and values.ndim > 1 and values.shape[-1] != layer.columns
        return (np.swapaxes(values, -1, -2) if swapped else values).reshape(layer.vectors, layer.columns)
    assert layer.part is not None
    states = values[:, layer.part]
    before = np.zeros_like(states)
    if layer.part == 1:
        before[:-1] = states[1:]
    else:
        before[1:] = states[:-1]
    return before.reshape(layer.vectors, layer.columns)
