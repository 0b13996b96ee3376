"""Inputs to calibrate with where there is no data: pictures that the float network itself asks for.

Pixels are trained by Adam from noise, batch by batch, so that

- all pixels together have mean 0 and deviation 1 once normalised, as training data has; and either
- the results of every layer have the mean and deviation that its batch norm has seen (Cai et al., ZeroQ, CVPR 2020, arXiv:2001.00281), or,
- where no batch norm says so, the network answers with drawn class probabilities: class impressions (Nayak et al., Zero-shot knowledge
  distillation, ICML 2019, arXiv:1905.08114). These are drawn from Dirichlet distributions around one class each, concentrated as the rows
  of the last layer are alike: a 4 may look like a 9.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.compress.finetune import Adam
from qsim.compress.network import Layout, Samples, results_and_logits
from qsim.compress.statistics import Statistics
from qsim.errors import RecipeError
from qsim.progress import Progress, silent

BATCH = 250
STEPS, RATE = 200, 0.1
CONCENTRATIONS = 1.0, 0.1  # of the Dirichlet distributions, half of the inputs each, as published
BYTE = 255


class CalibrationData(StrEnum):
    """Where inputs for calibration come from."""

    TRAINING = "training"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``samples`` inputs without labels, for adaptive rounding and bias correction; synthetic ones also for the ranges of activations."""

    data: CalibrationData = CalibrationData.TRAINING
    samples: int = 2_000
    correct_biases: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise RecipeError(path="calibration.samples", rule="at least 1", value=self.samples)


def impressions(
    layout: Layout,
    parameters: Tensor,
    like: Samples,
    count: int,
    statistics: dict[int, Statistics],
    generator: torch.Generator,
    random: np.random.Generator,
    progress: Progress = silent,
) -> Samples:
    """Return ``count`` synthetic inputs for the network with flat ``parameters``; labels are the classes that it was asked for.

    Of ``like`` only the width and the normalisation are read.
    """
    targets = class_targets(layout.weights(parameters)[-1], count, random)
    parts = []
    for start in range(0, count, BATCH):
        wanted = targets[start : start + BATCH]
        parts.append(_batch(layout, parameters, like, wanted, statistics, generator))
        progress("synthetic inputs", min(start + BATCH, count), count)
    return Samples(torch.cat(parts), targets.argmax(1), like.scale, like.offset)


def class_targets(last: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Return class probabilities [count, classes], classes in turn, for ``last``, the weights [classes, inputs] of the last layer."""
    rows = f.normalize(last.double(), dim=1)
    alike: npt.NDArray[np.float64] = (rows @ rows.t()).numpy()
    low, high = alike.min(axis=1, keepdims=True), alike.max(axis=1, keepdims=True)
    shares = np.maximum((alike - low) / np.maximum(high - low, 1e-12), 1e-3)
    found = [random.dirichlet(shares[place % len(shares)] * CONCENTRATIONS[place // len(shares) % 2]) for place in range(count)]
    return torch.from_numpy(np.nan_to_num(np.array(found), nan=1 / len(shares))).float()


def _batch(
    layout: Layout, parameters: Tensor, like: Samples, targets: Tensor, statistics: dict[int, Statistics], generator: torch.Generator
) -> Tensor:
    pixels = torch.randn(len(targets), like.raw.shape[1], generator=generator)
    optimiser = Adam([pixels], RATE)
    for step in range(STEPS):
        free = pixels.clone().requires_grad_()
        with torch.enable_grad():
            inputs = torch.sigmoid(free) * (BYTE * like.scale) + like.offset
            loss = _moments_loss(inputs.flatten(), torch.zeros(()), torch.ones(()))
            loss = loss + _network_loss(layout, parameters, inputs, like.offset, targets, statistics)
        optimiser.step([torch.autograd.grad(loss, free)[0] * len(targets)], 1 - step / STEPS)
    return torch.sigmoid(pixels).mul_(BYTE).round_().to(torch.uint8)


def _network_loss(
    layout: Layout, parameters: Tensor, inputs: Tensor, outside: float, targets: Tensor, statistics: dict[int, Statistics]
) -> Tensor:
    results, logits = results_and_logits(layout, parameters, inputs, outside)
    if not statistics:
        return f.cross_entropy(logits, targets)
    losses = []
    for place, seen in statistics.items():
        by_row = results[place].reshape(-1, layout.shapes[place][0])
        losses.append(_moments_loss(by_row, seen.mean, seen.deviation))
    return torch.stack(losses).sum()


def _moments_loss(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the mean squared errors of mean and deviation of ``values`` along their first axis."""
    return (values.mean(0) - mean).square().mean() + (values.std(0) - deviation).square().mean()
