"""Low rank: a fully connected layer as two, by singular value decomposition (Denton et al., NIPS 2014; Gong et al., arXiv:1412.6115).

``W = U S V^T`` is cut after the k largest singular values, ``W ~ (U sqrt(S)) (sqrt(S) V^T)``: a layer ``name.right`` of k rows without
activation or bias, then ``name.left`` with the bias and the activation of the layer. What is lost is the sum of the squares of the
singular values left out (Eckart and Young, 1936). Everything after it, pruning and training included, sees the two layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsim.compress.task import FloatState, LayerLike, NormalisationLike, TaskLike
from qsim.errors import RecipeError
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """``ranks``: one a layer, 0 for a layer that stays whole; empty: all stay whole."""

    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for place, rank in enumerate(self.ranks):
            if rank < 0:
                raise RecipeError(path=f"low_rank.ranks[{place}]", rule="at least 0", value=rank)

    def apply(self, task: TaskLike, state: FloatState) -> tuple[TaskLike, FloatState]:
        """Return the network with the chosen layers cut in two, and its float weights."""
        if not any(self.ranks):
            return task, state
        if len(self.ranks) != len(task.layers):
            raise RecipeError(path="low_rank.ranks", rule=f"{len(task.layers)} numbers, one a layer", value=len(self.ranks))
        layers: list[LayerLike] = []
        cut: FloatState = {}
        for place, (layer, rank) in enumerate(zip(task.layers, self.ranks, strict=True)):
            path = f"low_rank.ranks[{place}]"
            if rank == 0:
                layers.append(layer)
                cut |= {f"{layer.name}.{part}": state[f"{layer.name}.{part}"] for part in ("weight", "bias")}
                continue
            if layer.geometry is not None or layer.pool is not None:
                raise RecipeError(path=path, rule=f"0 for {layer.name}: only fully connected layers are cut", value=rank)
            if rank > min(layer.rows, layer.columns):
                raise RecipeError(path=path, rule=f"at most {min(layer.rows, layer.columns)}, the rank of {layer.name}", value=rank)
            halves, tensors = _halves(layer, state, rank)
            layers += halves
            cut |= tensors
        return CutTask(task.name, layers, task.normalisation), cut


@dataclass(frozen=True, slots=True)
class CutTask:
    """A task with other layers."""

    name: str
    layers: Sequence[LayerLike]
    normalisation: NormalisationLike


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two layers: ``rows`` x ``columns`` weights, fully connected."""

    name: str
    columns: int
    rows: int
    activation: Activation

    @property
    def inputs(self) -> int:
        """Activations it reads."""
        return self.columns

    @property
    def geometry(self) -> ImageGeometry | None:
        """No window."""
        return None

    @property
    def pool(self) -> ImageGeometry | None:
        """No pool."""
        return None


def _halves(layer: LayerLike, state: FloatState, rank: int) -> tuple[list[LayerLike], FloatState]:
    left, values, right = np.linalg.svd(state[f"{layer.name}.weight"].astype(np.float64), full_matrices=False)
    root = np.sqrt(values[:rank])
    first = Half(f"{layer.name}.right", layer.columns, rank, Activation.NONE)
    second = Half(f"{layer.name}.left", rank, layer.rows, layer.activation)
    tensors = {
        f"{first.name}.weight": (root[:, None] * right[:rank]).astype(np.float32),
        f"{first.name}.bias": np.zeros(rank, dtype=np.float32),
        f"{second.name}.weight": (left[:, :rank] * root).astype(np.float32),
        f"{second.name}.bias": state[f"{layer.name}.bias"],
    }
    return [first, second], tensors
