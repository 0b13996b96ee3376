"""What the hardware computes, bit for bit, in numpy: the definition that RTL and PyTorch are compared with.

For each layer, with activations ``a``, weights ``w`` and bias ``b`` as integers of their formats:

1. the accumulator starts at 0 and takes ``w[i, j] * a[j]`` for j ascending; it saturates at *every* addition;
2. drain: ``t = accumulator * scale`` (pyramid layers; elsewhere the scale is 1), plus the bias shifted left to t's fraction;
3. ``y`` is t requantised to the output format, rounded half up and saturated; then ReLU or clip where the layer has it.

A convolution does this for each output pixel, with the activations of its window in the order of the columns
(:mod:`qsim.model.geometry`) and 0 where the window lies outside the image. A max pool takes the largest integer of each window.

Saturation at every addition makes the order matter, so the definition is sequential. Where a bound proves that no partial sum
can saturate, one matrix product gives the same bits and is used instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.formats.arrays import check_range
from qsim.formats.fixed import FixedFormat, FloatArray, IntArray
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.geometry import read_maxima, read_windows
from qsim.model.graph import Activation, Convolution, FullyConnected, MaxPool

CHUNK_ELEMENTS = 1 << 22  # activations held in float64 at a time: 32 MB
WINDOW_ELEMENTS = 1 << 18  # elements of windows at a time: 2 MB
EXACT_FLOAT = 1 << 53  # integers up to here are exact in float64, so a float64 matrix product below it is too


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activations:
    """Integer activations of a run, images channels last.

    ``nodes[k]`` [n, inputs] is what node k of the graph reads, ``inputs[k]`` [n, inputs] what the layer with weights k reads, ``logits``
    [n, outputs] what the last node gives.
    """

    nodes: tuple[IntArray, ...]
    inputs: tuple[IntArray, ...]
    logits: IntArray

    @property
    def classes(self) -> IntArray:
        """The index of the largest logit of each input [n]; the lowest index on ties."""
        found: IntArray = np.argmax(self.logits, axis=1)
        return found


def infer(model: CompressedModel, inputs: npt.ArrayLike) -> Activations:
    """Run integer ``inputs`` [n, features], in the first layer's input format, through the network."""
    values = np.ascontiguousarray(inputs, dtype=np.int64)
    first = model.graph.nodes[0]
    if values.ndim != 2 or values.shape[1] != first.inputs:
        raise FieldError(path="inputs", rule=f"of shape [n, {first.inputs}]", value=list(values.shape))
    check_range(values, first.input_format.minimum, first.input_format.maximum, "inputs")
    nodes, inputs_of_layers = [], []
    for step in model.steps:
        nodes.append(values)
        if isinstance(step, MaxPool):
            values = pool(step, values)
        else:
            inputs_of_layers.append(values)
            values = run_layer(step, values)
    return Activations(nodes=tuple(nodes), inputs=tuple(inputs_of_layers), logits=values)


def run_layer(layer: QuantisedLayer, inputs: IntArray) -> IntArray:
    """Return the outputs [n, outputs] of one layer for integer ``inputs`` [n, inputs]."""
    node = layer.node
    match node:
        case FullyConnected():
            return drain(layer, accumulate(layer.form.reconstruct(), inputs, node.accumulator_format))
        case Convolution():
            return _convolve(layer, node, inputs)
        case _:
            assert_never(node)


def pool(node: MaxPool, inputs: IntArray) -> IntArray:
    """Return the largest of each window [n, outputs] of integer ``inputs`` [n, inputs]."""
    return read_maxima(inputs, node.geometry)


def windows(node: Convolution, inputs: IntArray, group: int = 0) -> IntArray:
    """Return the activations of every window [n * pixels, columns], padding 0, that the filters of ``group`` read."""
    return read_windows(inputs, node.geometry.gather(group))


def _convolve(layer: QuantisedLayer, node: Convolution, inputs: IntArray) -> IntArray:
    """Return the outputs [n, outputs] of a convolution; windows are read for a few images at a time, so that they stay in the cache."""
    weights, geometry, filters = layer.form.reconstruct(), node.geometry, node.out_channels // node.geometry.groups
    groups = []
    for group in range(geometry.groups):
        own = weights[group * filters : (group + 1) * filters]
        live = np.any(own, axis=0)
        groups.append((np.ascontiguousarray(own[:, live]), geometry.gather(group)[:, live]))
    result = np.empty((len(inputs), node.outputs), dtype=np.int64)
    for part in _chunks(len(inputs), geometry.pixels * geometry.columns, WINDOW_ELEMENTS):
        sums = [accumulate(own, read_windows(inputs[part], index), node.accumulator_format) for own, index in groups]
        result[part] = drain(layer, np.concatenate(sums, axis=1)).reshape(-1, node.outputs)
    return result


def drain(layer: QuantisedLayer, accumulators: IntArray) -> IntArray:
    """Scale, add the bias, requantise and activate the accumulators [n, rows]."""
    node, total = layer.node, accumulators
    if layer.scales is not None:
        total = total * layer.scales
    total = total + (layer.bias << (layer.total_fraction - node.bias_format.fraction))
    outputs = node.output_format.requantise(total, layer.total_fraction)
    match node.activation:
        case Activation.NONE:
            return outputs
        case Activation.RELU:
            return np.maximum(outputs, 0)
        case Activation.CLIP:
            return np.clip(outputs, 0, node.limit)
        case _:
            assert_never(node.activation)


def accumulate(weights: IntArray, inputs: IntArray, accumulator: FixedFormat) -> IntArray:
    """Return the accumulators [n, rows] after the products of ``weights`` [rows, cols] with ``inputs`` [n, cols].

    Rows and columns without a weight are left out: adding zero changes no sum and saturates none.
    """
    rows, cols = np.any(weights, axis=1), np.any(weights, axis=0)
    if rows.all() and cols.all():
        return _accumulate_live(weights, inputs, accumulator)
    result = np.zeros((len(inputs), weights.shape[0]), dtype=np.int64)
    result[:, rows] = _accumulate_live(weights[np.ix_(rows, cols)], inputs[:, cols], accumulator)
    return result


def _accumulate_live(weights: IntArray, inputs: IntArray, accumulator: FixedFormat) -> IntArray:
    result = np.empty((len(inputs), weights.shape[0]), dtype=np.int64)
    largest_row = int(np.abs(weights).sum(axis=1).max(initial=0))
    real: FloatArray = weights.T.astype(np.float64)
    for part in _chunks(len(inputs), max(1, sum(weights.shape))):
        chunk = inputs[part]
        largest = max(int(chunk.max(initial=0)), -int(chunk.min(initial=0)))
        bound = largest_row * largest
        if bound <= min(accumulator.maximum, EXACT_FLOAT):
            result[part] = (chunk.astype(np.float64) @ real).astype(np.int64)
        else:
            result[part] = _accumulate_checked(weights, real, chunk, accumulator)
    return result


def _accumulate_checked(weights: IntArray, real: FloatArray, inputs: IntArray, accumulator: FixedFormat) -> IntArray:
    """Product where each input's own bound proves it exact; the sequential definition for the inputs where it does not."""
    signed = inputs.astype(np.float64)
    bounds = np.abs(signed) @ np.abs(real)
    limit = min(accumulator.maximum, EXACT_FLOAT) * (1 - 1e-9)  # the margin covers the rounding of the bound itself
    unproven = np.any(bounds > limit, axis=1)
    result = np.empty(bounds.shape, dtype=np.int64)
    result[~unproven] = (signed[~unproven] @ real).astype(np.int64)
    result[unproven] = accumulate_sequentially(weights, inputs[unproven], accumulator)
    return result


def accumulate_sequentially(weights: IntArray, inputs: IntArray, accumulator: FixedFormat) -> IntArray:
    """The definition: one product after the other, in order of columns, saturating each time. Returns [n, rows]."""
    sums = np.zeros((len(inputs), weights.shape[0]), dtype=np.int64)
    for column in np.flatnonzero(np.any(inputs != 0, axis=0)):
        sums += inputs[:, column, None] * weights[:, column]
        np.clip(sums, accumulator.minimum, accumulator.maximum, out=sums)
    return sums


def _chunks(count: int, width: int, elements: int = CHUNK_ELEMENTS) -> Iterator[slice]:
    step = max(1, elements // width)
    return (slice(start, min(count, start + step)) for start in range(0, count, step))
