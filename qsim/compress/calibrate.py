"""From float to integers: fold the normalisation, measure ranges on training data, choose every binary point.

Training saw ``gain * x + offset``, the hardware reads ``x``. For the first layer,
``W (gain x + offset) + b = (gain W) x + (b + offset * sum_j W_ij)``: gain goes into the weights, offset into the biases.

Fractions are the largest that leave ``headroom_bits`` unused above the values seen on training data:

- outputs: the largest value seen (largest magnitude where there is no ReLU), or what a rule takes for it;
- accumulator: the largest ``sum_j |w_ij a_j|`` seen, which bounds every partial sum in any order. It limits the fraction of the weights;
- biases and weights: their own largest magnitude.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.compress.histogram import Histogram
from qsim.compress.network import Layout
from qsim.compress.ranges import Range, range_of
from qsim.compress.shared import FormatLimits, Quantised, SharedWeights
from qsim.compress.task import LayerLike, TaskLike
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, FloatArray, best_fraction
from qsim.formats.layer import Form, Pyramid
from qsim.model.compressed import QuantisedLayer
from qsim.model.geometry import expand_groups, read_maxima, read_windows
from qsim.model.graph import Activation, Convolution, FullyConnected, Graph, MaxPool, Node, Weighted

CALIBRATION_SAMPLES = 5_000
FINER = 6  # binary points that are tried above the one that holds everything
CHUNK_ELEMENTS = 1 << 22  # elements of windows held in float64 at a time: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """Widths of the integer network, in bits, and the headroom left above the ranges seen in calibration.

    ``activation_range`` finds how far the activations between layers reach (:mod:`qsim.compress.ranges`); beyond, they saturate. Headroom
    is left above the whole range only, which is what the logits always have: a rule that clips has chosen what may saturate.
    """

    weight_bits: int = 16
    activation_bits: int = 16
    bias_bits: int = 16
    accumulator_bits: int = 32
    scale_bits: int = 16
    headroom_bits: int = 1
    activation_range: Range = Range.MINMAX

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 16), ("activation_bits", 4, 16), ("bias_bits", 2, 24),
            ("accumulator_bits", 16, 40), ("scale_bits", 2, 16), ("headroom_bits", 0, 8),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise RecipeError(path=f"fixed_point.{name}", rule=f"{low} to {high}", value=getattr(self, name))

    def output_fraction(self, seen: FloatArray, last: bool) -> int:
        """Return the fraction for a layer's activations ``seen`` on calibration inputs; ``last``: they are the logits.

        The rule of least squared error compares the formats themselves; the others find a range, and the finest format that holds it is
        taken. A signed format has half of its steps below zero, where nothing comes out of a ReLU.
        """
        bits, whole = self.activation_bits, best_fraction(seen, self.activation_bits)
        if last or self.activation_range is Range.MINMAX:
            return whole - self.headroom_bits
        if self.activation_range is Range.MSE:
            errors = [_rounding_error(FixedFormat(bits, whole + finer), seen) for finer in range(FINER)]
            return whole + int(np.argmin(errors))
        steps = bits - int(float(seen.min(initial=0.0)) >= 0)
        return best_fraction(np.array(range_of(self.activation_range, Histogram.of(seen), steps)), bits)


def _rounding_error(found: FixedFormat, values: FloatArray) -> float:
    return float(np.mean((found.dequantise(found.quantise(values)) - values) ** 2))


def fold_normalisation(weight: FloatArray, bias: FloatArray, gain: float, offset: float) -> tuple[FloatArray, FloatArray]:
    """Return the weights [outputs, inputs] and biases [outputs] that give on ``x`` what the given ones give on ``gain x + offset``.

    The same holds for a convolution whose padding reads a raw zero, as it does in training (:mod:`qsim.compress.convolution`).
    """
    return weight * gain, bias + offset * weight.sum(axis=1)


def fix_point(
    how: FixedPoint, task: TaskLike, layout: Layout, quantised: Quantised, images: npt.NDArray[np.uint8]
) -> tuple[QuantisedLayer, ...]:
    """Return the integer layers of ``quantised``, calibrated on raw ``images`` [n, inputs] of the training split."""
    source = task.normalisation.input_format
    values: FloatArray = source.dequantise(images[:CALIBRATION_SAMPLES])
    biases = np.split(quantised.biases.double().numpy(), np.cumsum([shape[0] for shape in layout.shapes])[:-1])
    layers = []
    for place, (layer, shared, bias) in enumerate(zip(task.layers, quantised.layers, biases, strict=True)):
        weight, gain = shared.weights().double().numpy(), 1.0
        if place == 0:
            gain = task.normalisation.gain
            weight, bias = fold_normalisation(weight, bias, gain, task.normalisation.offset)
        products = Products(layer, values)
        results = products.results(weight, bias)
        last = place == len(quantised.layers) - 1
        built = _fix_layer(how, layer, shared, gain, source, products, results, weight, bias, last)
        layers.append(built)
        values = np.maximum(results, 0) if layer.activation is Activation.RELU else results
        values = values if layer.pool is None else read_maxima(values, layer.pool)
        source = built.node.output_format
    return tuple(layers)


class Products:
    """The matrix-vector products of a layer with activations ``values`` [n, inputs]; windows are read for a few images at a time."""

    def __init__(self, layer: LayerLike, values: FloatArray) -> None:
        self._geometry, self._values = layer.geometry, values
        self._index = None if layer.geometry is None else dataclasses.replace(layer.geometry, groups=1).gather()

    def results(self, weight: FloatArray, bias: FloatArray) -> FloatArray:
        """Return the flat results [n, outputs] for ``weight`` [rows, columns] and ``bias`` [rows]."""
        results = [part @ self._expanded(weight).T + bias for part in self._parts()]
        return np.concatenate(results).reshape(len(self._values), -1)

    def largest_sum(self, weight: FloatArray) -> float:
        """Return the largest ``sum_j |w_ij a_j|`` of any row and input, which bounds every partial sum in any order."""
        magnitudes = np.abs(self._expanded(weight)).T
        return max((float((np.abs(part) @ magnitudes).max(initial=0.0)) for part in self._parts()), default=0.0)

    def _expanded(self, weight: FloatArray) -> FloatArray:
        return weight if self._geometry is None else expand_groups(weight, self._geometry)

    def _parts(self) -> Iterator[FloatArray]:
        if self._index is None:
            yield self._values
            return
        step = max(1, CHUNK_ELEMENTS // self._index.size)
        for start in range(0, len(self._values), step):
            yield read_windows(self._values[start : start + step], self._index)


def _fix_layer(
    how: FixedPoint,
    layer: LayerLike,
    shared: SharedWeights,
    gain: float,
    source: FixedFormat,
    products: Products,
    results: FloatArray,
    weight: FloatArray,
    bias: FloatArray,
    last: bool,
) -> QuantisedLayer:
    room = best_fraction(products.largest_sum(weight), how.accumulator_bits) - how.headroom_bits - source.fraction
    form = shared.form(
        FormatLimits(weight_bits=how.weight_bits, scale_bits=how.scale_bits, largest_fraction=max(-64, min(64, room)), gain=gain)
    )
    seen = np.maximum(results, 0) if layer.activation is Activation.RELU else results
    _check_pulses(how, layer.name, form, products, source)
    accumulator = FixedFormat(how.accumulator_bits, source.fraction + form.weight_format.fraction)
    total = accumulator.fraction + (form.scale_format.fraction if isinstance(form, Pyramid) else 0)
    bias_format = FixedFormat(how.bias_bits, min(best_fraction(bias, how.bias_bits), total))
    output = FixedFormat(how.activation_bits, how.output_fraction(seen, last))
    node = _node(layer, source, output, bias_format, accumulator)
    return QuantisedLayer(node=node, form=form, bias=bias_format.quantise(bias))


def _node(layer: LayerLike, source: FixedFormat, output: FixedFormat, bias: FixedFormat, accumulator: FixedFormat) -> Weighted:
    if layer.geometry is None:
        return FullyConnected(
            name=layer.name,
            inputs=layer.columns,
            outputs=layer.rows,
            activation=layer.activation,
            input_format=source,
            output_format=output,
            bias_format=bias,
            accumulator_format=accumulator,
        )
    return Convolution(
        name=layer.name,
        geometry=layer.geometry,
        out_channels=layer.rows,
        activation=layer.activation,
        input_format=source,
        output_format=output,
        bias_format=bias,
        accumulator_format=accumulator,
    )


def chain(task: TaskLike, layers: Sequence[QuantisedLayer]) -> Graph:
    """Return the graph of the integer ``layers`` with the pools of ``task`` between them, each named after the layer before it."""
    nodes: list[Node] = []
    for given, layer in zip(task.layers, layers, strict=True):
        nodes.append(layer.node)
        if given.pool is not None:
            nodes.append(MaxPool(name=f"{given.name}-pool", geometry=given.pool, input_format=layer.node.output_format))
    first = task.layers[0]
    shape = (first.inputs,) if first.geometry is None else first.geometry.input_shape
    return Graph(name=task.name, nodes=tuple(nodes), input_shape=shape)


def _check_pulses(how: FixedPoint, name: str, form: Form, products: Products, source: FixedFormat) -> None:
    """Pulses are whole numbers, so their fraction cannot be lowered to make the sums fit."""
    limit = 2.0 ** (how.accumulator_bits - 1)
    largest = products.largest_sum(form.reconstruct().astype(np.float64)) / source.lsb if isinstance(form, Pyramid) else 0.0
    if largest > limit:
        bits = how.accumulator_bits + int(np.ceil(np.log2(largest / limit)))
        raise RecipeError(path="fixed_point.accumulator_bits", rule=f"at least {bits} for the pulses of {name}", value=how.accumulator_bits)
