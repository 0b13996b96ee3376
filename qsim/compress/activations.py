"""Activations in few bits: simulated with float scales, static or dynamic, beside the integers that hardware computes with.

Simulated quantisation computes in floats and rounds the activations between the layers to ``2^bits`` even steps of a range (Jacob et al.,
CVPR 2018, section 3). The range is static, by a rule of :mod:`qsim.compress.ranges` over calibration inputs, for the whole tensor or for
each channel, or dynamic, from the lowest to the highest value of each input's tensor. A machine of qsim has none of these scales: its
activations are fixed point, one binary point a layer, found by the same rules (``[fixed_point] activation_range``). The difference between
both is what a simulation in floats promises too much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.calibrate import FixedPoint
from qsim.compress.convolution import Window, follow, results_of
from qsim.compress.histogram import Histogram
from qsim.compress.network import Layout, Samples, forward
from qsim.compress.pipeline import compress
from qsim.compress.quality import integer_errors
from qsim.compress.quantizers.fixed import FixedPointWeights
from qsim.compress.ranges import Range, range_of
from qsim.compress.recipe import Recipe
from qsim.compress.task import DataLike, FloatState, SplitLike, TaskLike
from qsim.progress import Progress

BITS = (8, 6, 5, 4)
CALIBRATION = 500  # inputs behind a static range
CHUNK = 500  # inputs at once
Steps = Callable[[Tensor], Tensor]
DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPoint:
    """Test errors in percent with activations of ``bits`` bits, weights of 16; ``channel`` and ``integer`` are None where there is none."""

    bits: int
    range: str
    tensor: float
    channel: float | None
    integer: float | None


def compare_activations(
    task: TaskLike, state: FloatState, data: DataLike, test: SplitLike, progress: Progress
) -> tuple[ActivationPoint, ...]:
    """Return every rule at :data:`BITS`, and the dynamic ranges; static ones are calibrated on training inputs."""
    layout, points = Layout.of(task.layers), list[ActivationPoint]()
    parameters = layout.pack(state)
    samples, unseen = Samples.of(data.train, task.normalisation).first(CALIBRATION), Samples.of(test, task.normalisation)
    for number, bits in enumerate(BITS):
        for done, rule in enumerate(Range, 1):
            errors = [_static(layout, parameters, samples, unseen, bits, rule, by_channel) for by_channel in (False, True)]
            integer = integer_test_error(task, state, data, test, bits, rule)
            points.append(ActivationPoint(bits=bits, range=str(rule), tensor=errors[0], channel=errors[1], integer=integer))
            progress("activations", number * len(Range) + done, len(BITS) * len(Range))
        dynamic = simulated_error(layout, parameters, unseen, [DynamicSteps(bits)] * len(layout.names))
        points.append(ActivationPoint(bits=bits, range=DYNAMIC, tensor=dynamic, channel=None, integer=None))
    return tuple(points)


@dataclass(frozen=True, slots=True)
class StaticSteps:
    """``2^bits`` even steps from ``low`` to ``high``, each [channels] or [1]."""

    bits: int
    low: Tensor
    high: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Return ``values`` [n, features], channels last, at the nearest steps."""
        planes = values.view(len(values), -1, len(self.low))
        return _rounded(planes, self.low, self.high, self.bits, axis=2).view_as(values)


@dataclass(frozen=True, slots=True)
class DynamicSteps:
    """``2^bits`` even steps from the lowest to the highest value of each input's tensor."""

    bits: int

    def __call__(self, values: Tensor) -> Tensor:
        """Return ``values`` [n, features] at the nearest steps."""
        return _rounded(values, values.amin(1).clamp_max(0), values.amax(1).clamp_min(0), self.bits, axis=0)


def _rounded(values: Tensor, low: Tensor, high: Tensor, bits: int, *, axis: int) -> Tensor:
    """Return ``values`` at the nearest of the steps from ``low`` to ``high``, of each index of ``axis`` its own; a zero stays one."""
    most = (1 << bits) - 1
    step = ((high - low) / most).clamp_min(1e-30)
    return torch.fake_quantize_per_channel_affine(values, step, torch.round(-low / step).int(), axis, 0, most)


def simulated_error(layout: Layout, parameters: Tensor, samples: Samples, steps: Sequence[Steps]) -> float:
    """Return the errors in percent with what leaves each layer but the last rounded by its entry of ``steps``."""
    wrong = 0
    for start in range(0, len(samples), CHUNK):
        part = slice(start, start + CHUNK)
        with torch.no_grad():
            logits = _simulate(layout, parameters, samples.normalised(part), samples.offset, steps)
        wrong += int((logits.argmax(1) != samples.labels[part]).sum())
    return 100.0 * wrong / len(samples)


def _simulate(layout: Layout, parameters: Tensor, inputs: Tensor, outside: float, steps: Sequence[Steps]) -> Tensor:
    windows, value = layout.windows or (Window(),) * len(layout.names), inputs
    layers = zip(windows, layout.weights(parameters), layout.biases(parameters), layout.relu, strict=True)
    for place, (window, weight, bias, relu) in enumerate(layers):
        value = follow(window, results_of(window, weight, bias, value, 0.0 if place else outside), relu)
        value = value if place == len(layout.names) - 1 else steps[place](value)
    return value


def _static(layout: Layout, parameters: Tensor, samples: Samples, test: Samples, bits: int, rule: Range, by_channel: bool) -> float:
    values = forward(layout, parameters, samples.normalised(slice(None)), samples.offset)[1:-1]  # the logits are not rounded
    steps = [calibrated(value, rows if by_channel else 1, bits, rule) for value, (rows, _) in zip(values, layout.shapes[:-1], strict=True)]
    return simulated_error(layout, parameters, test, steps)


def calibrated(values: Tensor, channels: int, bits: int, rule: Range) -> StaticSteps:
    """Return the steps that ``rule`` finds for ``values`` [n, features] with ``channels`` last."""
    parts = values.reshape(-1, channels).numpy().T
    ends = [range_of(rule, Histogram.of(np.ascontiguousarray(part)), bits) for part in parts]
    low, high = torch.tensor(ends, dtype=torch.float32).unbind(1)
    return StaticSteps(bits, low, high)


def integer_test_error(task: TaskLike, state: FloatState, data: DataLike, test: SplitLike, bits: int, rule: Range) -> float:
    """Return the errors in percent of the integer network with activations of ``bits`` bits, without headroom, and weights of 16."""
    how = FixedPoint(activation_bits=bits, activation_range=rule, headroom_bits=0)
    model = compress(Recipe(name="activations", quantise=FixedPointWeights(), fixed_point=how), task, state, data)
    return integer_errors(model, test).percent
