"""What a batch norm tells of the data that a network was trained on, kept when it is folded into the layer before it.

Batch norm maps results of mean m and variance v to ones of mean ``shift`` and deviation ``|scale|``. Folded, the layer gives these
directly; so its results on training data have that mean and deviation, row by row, which synthetic inputs can be made to match.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qsim.compress.network import Layout
from qsim.compress.task import FloatState

EPSILON = 1e-5
FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and deviation of the results of one layer, before its activation: float32 [rows]."""

    mean: Tensor
    deviation: Tensor


def statistics_of(layout: Layout, state: FloatState) -> dict[int, Statistics]:
    """Return what ``state`` tells of each layer: tensors ``x.mean`` and ``x.deviation`` [rows] beside ``x.weight``; often of none."""
    return {
        place: Statistics(torch.from_numpy(state[f"{name}.mean"]), torch.from_numpy(state[f"{name}.deviation"]))
        for place, name in enumerate(layout.names)
        if f"{name}.mean" in state and f"{name}.deviation" in state
    }


def fold(name: str, weight: FloatArray, bias: FloatArray, norm: Sequence[FloatArray], epsilon: float = EPSILON) -> FloatState:
    """Return the state of layer ``name`` with a batch norm folded into it, its statistics included.

    ``weight`` is [rows, columns], ``bias`` [rows]; ``norm`` holds scale, shift, running mean and running variance, each [rows].
    """
    scale, shift, mean, variance = (np.asarray(part, dtype=np.float64) for part in norm)
    factor = scale / np.sqrt(variance + epsilon)
    tensors = {
        "weight": weight * factor[:, None],
        "bias": (bias - mean) * factor + shift,
        "mean": shift,
        "deviation": np.abs(scale),
    }
    return {f"{name}.{part}": value.astype(np.float32) for part, value in tensors.items()}
