"""A file and a machine to a result: simulate, count, price.

The model's activations come from real inference on the given inputs; nothing here reads more than the `.qsz` file, the inputs, the machine
and the technology. No PyTorch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim import __version__
from qsim.arch.architecture import Architecture
from qsim.energy.account import MemoryInstance, account
from qsim.energy.technology import Technology
from qsim.errors import DataError
from qsim.model.compressed import CompressedModel
from qsim.results import Quality, RunResult, Source
from qsim.sim.model import simulate_model, trace_busiest

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Integer inputs of a network and where they came from: ``values`` [n, features], ``indices`` into the data set."""

    values: npt.NDArray[np.int64]
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.indices) or not len(self.values):
            raise DataError(path="inputs", rule="one row of features for each index, at least one", value=self.values.shape)
