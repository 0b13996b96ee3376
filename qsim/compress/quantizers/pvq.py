"""Pyramid vector quantisation: each row a scale times integer pulses whose magnitudes sum to K (Liguori, arXiv:1704.02681).

A row of N inputs then costs K additions and one multiplication. It is a gain and a shape: the scale, and the point of the pyramid. K is
``pulses`` times N for each layer, or chosen for each layer under a budget (:mod:`qsim.compress.mixed`). The nearest point of the
pyramid is far from the trained row when K < N, so the network is first trained through the projection: it computes with the projected
rows, the gradient goes to the unprojected ones (straight-through). Projecting takes longer than a step, so rows are projected anew only
every ``interval`` steps and stay until then.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsim.compress.mixed import Budget, Sensitivity, choose_shared
from qsim.compress.network import Layout
from qsim.compress.shared import FormatLimits, Quantised, QuantizerInput, SharedWeights
from qsim.compress.through import Share, ThroughTraining, keep_through, resume_through
from qsim.compress.train import Descent, descend
from qsim.errors import RecipeError
from qsim.formats.fixed import FixedFormat, FloatArray, IntArray, best_fraction
from qsim.formats.layer import Pyramid
from qsim.formats.pvq import best_scales, nearest_points


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidVectors:
    """``pulses`` a weight (K / N, one a layer or one for all), after ``epochs`` of training through the projection.

    Instead of ``pulses``, a budget for pulses and scales of all layers in the file's Huffman code, before any training: ``budget_bytes``,
    or ``budget_bits`` a weight. Each layer gets one of ``choices`` pulses a weight; ``by`` says what they are worth, ``samples`` of the
    training split are read for the Hessian.
    """

    pulses: tuple[float, ...] = ()
    budget_bytes: int = 0
    budget_bits: float = 0.0
    choices: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
    by: Sensitivity = Sensitivity.ACCURACY
    samples: int = 1_000
    epochs: int = 6
    interval: int = 20
    batch: int = 128
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    shift: int = 0

    def __post_init__(self) -> None:
        if bool(self.pulses) == bool(Budget(self.budget_bytes, self.budget_bits)):
            rule = "given, or quantise.budget_bytes or quantise.budget_bits above 0, one of them"
            raise RecipeError(path="quantise.pulses", rule=rule, value="both" if self.pulses else "none")
        if self.samples < 1:
            raise RecipeError(path="quantise.samples", rule="at least 1", value=self.samples)
        if not self.choices:
            raise RecipeError(path="quantise.choices", rule="at least one number of pulses a weight", value="none")
        for name in ("pulses", "choices"):
            for place, ratio in enumerate(getattr(self, name)):
                if not 0 < ratio <= 64:
                    raise RecipeError(path=f"quantise.{name}[{place}]", rule="above 0, at most 64", value=ratio)
        if self.interval < 1:
            raise RecipeError(path="quantise.interval", rule="at least 1", value=self.interval)
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How to train through the projection."""
        return Descent(
            epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate, weight_decay=self.weight_decay, shift=self.shift
        )

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Train through the projection, then keep the projected rows. Pruned weights never receive a pulse."""
        layout, counts = given.layout, self.counts(given)
        kept = None if given.masks is None else torch.from_numpy(np.concatenate([mask.reshape(-1) for mask in given.masks]))
        projected = ProjectedRows(layout, counts, self.interval, kept)
        parameters = given.parameters.clone()
        if not resume_through(given, parameters):
            descend(
                layout, parameters, given.samples, self.descent, given.generator,
                transform=projected, stage="quantise", progress=given.progress,
            )  # fmt: skip
            keep_through(given, parameters)
        projected.project(parameters)
        layers = tuple(PyramidWeights(points, scales) for points, scales in zip(projected.points, projected.scales, strict=True))
        return Quantised(layers, torch.cat(layout.biases(parameters)).clone())

    @property
    def training(self) -> ThroughTraining:
        """The same settings for a training of several quantisers together."""
        return ThroughTraining(
            epochs=self.epochs, interval=self.interval, batch=self.batch, learning_rate=self.learning_rate,
            weight_decay=self.weight_decay, shift=self.shift,
        )  # fmt: skip

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the projection of one layer's kept weights."""
        if not self.pulses:
            raise RecipeError(path="quantise.layers", rule="with pulses, not a budget, which is for all layers", value="patterns")
        counts = self.counts(given)

        def share(place: int, weight: Tensor) -> SharedWeights:
            return PyramidWeights(*project_rows(weight.numpy() * given.kept(place), counts[place]))

        return share

    def counts(self, given: QuantizerInput) -> list[int]:
        """Return the pulses K of a row of each layer."""
        shapes = given.layout.shapes
        ratios = (self.pulses or self.chosen(given)) * (len(shapes) if len(self.pulses) == 1 else 1)
        if len(ratios) != len(shapes):
            raise RecipeError(path="quantise.pulses", rule=f"{len(shapes)} numbers, one a layer, or 1", value=len(self.pulses))
        return [pulses_of(ratio, shape[1]) for ratio, shape in zip(ratios, shapes, strict=True)]

    def chosen(self, given: QuantizerInput) -> tuple[float, ...]:
        """Return which of ``choices`` each layer gets within the budget."""
        budget, tried = Budget(self.budget_bytes, self.budget_bits), []
        for place, weight in enumerate(given.layout.weights(given.parameters)):
            kept = weight.numpy() * given.kept(place)
            tried.append([PyramidWeights(*project_rows(kept, pulses_of(ratio, weight.shape[1]))) for ratio in self.choices])
            given.progress("choose", place + 1, len(given.layout.names))
        return tuple(self.choices[option] for option in choose_shared(self.by, given, self.samples, budget, tried))


def pulses_of(ratio: float, cols: int) -> int:
    """Return the pulses K of a row of ``cols`` weights, at least 1."""
    return max(1, round(ratio * cols))


def project_rows(weights: FloatArray, pulses: int) -> tuple[IntArray, FloatArray]:
    """Return the pulses [rows, cols] nearest to each row's direction and the scale [rows], at least 0, of least error."""
    points = nearest_points(weights, pulses)
    return points, np.maximum(best_scales(weights, points), 0.0)


class ProjectedRows:
    """A transform that computes with projected rows, renewed every ``interval`` steps."""

    def __init__(self, layout: Layout, pulses: list[int], interval: int, kept: Tensor | None) -> None:
        self._layout, self._pulses, self._interval, self._kept = layout, pulses, interval, kept
        self._effective = torch.empty(layout.parameter_count)
        self.points: list[IntArray] = []
        self.scales: list[FloatArray] = []

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the projected weights and the current biases; the buffer is reused."""
        if step % self._interval == 0:
            self.project(parameters)
        count = self._layout.weight_count
        self._effective[count:] = parameters[count:]
        return self._effective

    def project(self, parameters: Tensor) -> None:
        """Project the current weights."""
        count = self._layout.weight_count
        current = parameters[:count] if self._kept is None else parameters[:count] * self._kept
        self.points, self.scales = [], []
        targets = self._layout.weights(self._effective)
        for weight, target, pulses in zip(self._layout.weights(current), targets, self._pulses, strict=True):
            points, scales = project_rows(weight.numpy(), pulses)
            target.copy_(torch.from_numpy(points * scales[:, None]))
            self.points.append(points)
            self.scales.append(scales)


class PyramidWeights:
    """Fixed pulses [outputs, inputs] and one trainable scale [outputs] a row."""

    def __init__(self, points: IntArray, scales: FloatArray) -> None:
        self._points = points
        self._pulses = torch.from_numpy(points.astype(np.float32))
        self._scales = torch.from_numpy(scales.astype(np.float32))

    @property
    def trainable(self) -> Tensor:
        """The scales [outputs]."""
        return self._scales

    def weights(self) -> Tensor:
        """Return the scaled pulses."""
        return self._pulses * self._scales[:, None]

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Return each row's gradient along its pulses."""
        return torch.sum(gradient * self._pulses, 1)

    def form(self, limits: FormatLimits) -> Pyramid:
        """Return pulses and integer scales; a scale tuned below zero turns its row's pulses round."""
        scales = self._scales.double().numpy() * limits.gain
        scale_format = FixedFormat(limits.scale_bits, best_fraction(scales, limits.scale_bits, signed=False), signed=False)
        points = np.where(scales[:, None] < 0, -self._points, self._points)
        return Pyramid(pulses=points, scales=scale_format.quantise(np.abs(scales)), scale_format=scale_format)
