"""How close a compressed network stays to the float one, without retraining: outputs on the same inputs, one beside the other.

``SNR = 10 log10(sum y^2 / sum (y - z)^2)`` in dB over all outputs y of the float network and z of the compressed one; the cosine is the
mean over inputs, None where an output is one number; top-1 the share of inputs for which the largest output is the same. Only the first
output of a network counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qsim.errors import DataError
from qsim.model.network import Array, Network
from qsim.model.reference import run
from qsim.progress import Progress, silent

Outputs = Sequence[Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An accuracy that can be measured: the share of right answers, 0 to 1, before and after."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """``snr_db`` is infinite where outputs are equal; ``cosine``, ``top_1`` and ``task`` are None where they mean nothing."""

    samples: int
    words: str
    snr_db: float
    cosine: float | None
    top_1: float | None
    task: Task | None

    @property
    def text(self) -> str:
        """In words."""
        parts = [f"SNR {self.snr_db:.1f} dB"]
        if self.cosine is not None:
            parts.append(f"cosine {self.cosine:.4f}")
        if self.top_1 is not None:
            parts.append(f"top-1 agreement {self.top_1:.1%}")
        if self.task is not None:
            parts.append(f"{self.task.name} {self.task.before:.1%} before, {self.task.after:.1%} after")
        return f"fidelity to the float network on {self.samples} {self.words}: {', '.join(parts)}"


def outputs_of(network: Network, inputs: Sequence[Mapping[str, Array]], progress: Progress = silent) -> list[Array]:
    """Return the first output for every input."""
    if not inputs:
        raise DataError(path="inputs", rule="at least one", value=0)
    found = []
    for number, values in enumerate(inputs, 1):
        found.append(run(network, values, only=network.outputs[:1])[network.outputs[0]])
        progress("fidelity", number, len(inputs))
    return found


def compare_outputs(
    before: Outputs, after: Outputs, *, words: str, classes: bool, score: tuple[str, Callable[[Outputs], float]] | None
) -> Fidelity:
    """Compare outputs, one for every input; ``score``: a task's name and its share of right answers."""
    first = np.stack([value.reshape(-1) for value in before]).astype(np.float64)
    second = np.stack([value.reshape(-1) for value in after]).astype(np.float64)
    noise, norms = float(np.square(first - second).sum()), np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return Fidelity(
        samples=len(first),
        words=words,
        snr_db=10 * np.log10(float(np.square(first).sum()) / noise) if noise else float("inf"),
        cosine=float(np.mean((first * second).sum(axis=1) / np.where(norms > 0, norms, 1.0))) if first.shape[1] > 1 else None,
        top_1=float(np.mean(first.argmax(axis=1) == second.argmax(axis=1))) if classes else None,
        task=None if score is None else Task(name=score[0], before=score[1](before), after=score[1](after)),
    )
