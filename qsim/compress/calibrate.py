"""From float to integers: fold the normalisation, measure ranges on training data, choose every binary point.

Training saw ``gain * x + offset``, the hardware reads ``x``. For the first layer,
``W (gain x + offset) + b = (gain W) x + (b + offset * sum_j W_ij)``: gain goes into the weights, offset into the biases.

Fractions are the largest that leave ``headroom_bits`` unused above the values seen on training data:

- outputs: the largest value seen (largest magnitude where there is no ReLU);
- accumulator: the largest ``sum_j |w_ij a_j|`` seen, which bounds every partial sum in any order. It limits the fraction of the weights;
- biases and weights: their own largest magnitude.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.compress.network import Layout
from qsim.compress.shared import FormatLimits, Quantised, SharedWeights
from qsim.compress.task import LayerLike, TaskLike
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, FloatArray, best_fraction
from qsim.formats.layer import Form, Pyramid
from qsim.model.compressed import QuantisedLayer
from qsim.model.graph import Activation, FullyConnected

CALIBRATION_SAMPLES = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """Widths of the integer network, in bits, and the headroom left above the ranges seen in calibration."""

    weight_bits: int = 16
    activation_bits: int = 16
    bias_bits: int = 16
    accumulator_bits: int = 32
    scale_bits: int = 16
    headroom_bits: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 16), ("activation_bits", 4, 16), ("bias_bits", 2, 24),
            ("accumulator_bits", 16, 40), ("scale_bits", 2, 16), ("headroom_bits", 0, 8),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise RecipeError(path=f"fixed_point.{name}", rule=f"{low} to {high}", value=getattr(self, name))


def fold_normalisation(weight: FloatArray, bias: FloatArray, gain: float, offset: float) -> tuple[FloatArray, FloatArray]:
    """Return the weights [outputs, inputs] and biases [outputs] that give on ``x`` what the given ones give on ``gain x + offset``."""
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
        built = _fix_layer(how, layer, shared, gain, source, values, weight, bias)
        layers.append(built)
        values = np.maximum(values @ weight.T + bias, 0) if layer.activation is Activation.RELU else values @ weight.T + bias
        source = built.node.output_format
    return tuple(layers)


def _fix_layer(
    how: FixedPoint,
    layer: LayerLike,
    shared: SharedWeights,
    gain: float,
    source: FixedFormat,
    values: FloatArray,
    weight: FloatArray,
    bias: FloatArray,
) -> QuantisedLayer:
    partial = float((np.abs(values) @ np.abs(weight).T).max(initial=0.0))
    room = best_fraction(partial, how.accumulator_bits) - how.headroom_bits - source.fraction
    form = shared.form(
        FormatLimits(weight_bits=how.weight_bits, scale_bits=how.scale_bits, largest_fraction=max(-64, min(64, room)), gain=gain)
    )
    results = values @ weight.T + bias
    seen = np.maximum(results, 0) if layer.activation is Activation.RELU else results
    _check_pulses(how, layer.name, form, np.abs(values) / source.lsb)
    accumulator = FixedFormat(how.accumulator_bits, source.fraction + form.weight_format.fraction)
    total = accumulator.fraction + (form.scale_format.fraction if isinstance(form, Pyramid) else 0)
    bias_format = FixedFormat(how.bias_bits, min(best_fraction(bias, how.bias_bits), total))
    node = FullyConnected(
        name=layer.name,
        inputs=layer.inputs,
        outputs=layer.outputs,
        activation=layer.activation,
        input_format=source,
        output_format=FixedFormat(how.activation_bits, best_fraction(seen, how.activation_bits) - how.headroom_bits),
        bias_format=bias_format,
        accumulator_format=accumulator,
    )
    return QuantisedLayer(node=node, form=form, bias=bias_format.quantise(bias))


def _check_pulses(how: FixedPoint, name: str, form: Form, magnitudes: FloatArray) -> None:
    """Pulses are whole numbers, so their fraction cannot be lowered to make the sums fit."""
    limit = 2.0 ** (how.accumulator_bits - 1)
    largest = float((magnitudes @ np.abs(form.reconstruct()).T).max(initial=0.0)) if isinstance(form, Pyramid) else 0.0
    if largest > limit:
        bits = how.accumulator_bits + int(np.ceil(np.log2(largest / limit)))
        raise RecipeError(path="fixed_point.accumulator_bits", rule=f"at least {bits} for the pulses of {name}", value=how.accumulator_bits)
