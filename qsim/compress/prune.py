"""Pruning: set most weights to zero and train the rest to make up for it. What every way of pruning gets and gives.

The ways are in :mod:`qsim.compress.pruners`, one file each, and the table that recipes choose from.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qsim.compress.journal import NO_JOURNAL, Journal
from qsim.compress.masks import BoolArray
from qsim.compress.network import Layout, Samples
from qsim.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Pruned:
    """Flat parameters, zero where pruned, and each layer's mask [outputs, inputs], or None where nothing was pruned."""

    parameters: Tensor
    masks: tuple[BoolArray, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningInput:
    """A float network, flat ``parameters`` that pruning may change, and all it may use: training data, randomness, finished stages."""

    layout: Layout
    parameters: Tensor
    samples: Samples
    generator: torch.Generator
    progress: Progress = silent
    journal: Journal = NO_JOURNAL


class Pruning(Protocol):
    """A dataclass of settings that knows what to do with them."""

    def prune(self, given: PruningInput) -> Pruned:
        """Return the pruned network."""


def prune(
    how: Pruning, layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator, progress: Progress = silent,
    journal: Journal = NO_JOURNAL,
) -> Pruned:  # fmt: skip
    """Prune a copy of the flat ``parameters`` and retrain it on ``samples``; stages of ``journal`` that are finished are not repeated."""
    given = PruningInput(
        layout=layout, parameters=parameters.clone(), samples=samples, generator=generator, progress=progress, journal=journal
    )
    return how.prune(given)
