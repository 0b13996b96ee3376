"""Pruning: set most weights to zero and train the rest to make up for it. One table.

``iterative`` (Han et al., Learning both weights and connections, NIPS 2015; the first stage of Deep Compression): in
each of several rounds, every layer drops its smallest weights for good, then the survivors are retrained. The density
falls geometrically, ``density_r = target^(r / rounds)``.

``gradual`` keeps all weights trainable: the network computes with the weights of highest LAMP score over all layers
(see :mod:`qsim.compress.masks`), the gradient goes to all of them, so a weight dropped too early grows back (Guo et
al., Dynamic network surgery, NIPS 2016). The density follows the cubic schedule of Zhu and Gupta (arXiv:1710.01878),
``d(t) = d + (1 - d) (1 - t / T)^3``, over the first part of the training; then the mask stays.

``structured`` trains in the same way under a mask of a pattern (:mod:`qsim.compress.structured`); ``zeros`` takes a network as pruned
where it is zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from qsim.compress.journal import NO_JOURNAL, Epochs, Journal, Tensors
from qsim.compress.masks import BoolArray, FloatArray, kept_count, lamp_mask, magnitude_mask
from qsim.compress.network import Layout, Samples
from qsim.compress.structured import Pattern, blocks, n_of_m, units
from qsim.compress.train import Descent, descend
from qsim.errors import RecipeError
from qsim.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPruning:
    """Keep every weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepZeros:
    """Take the zeros of the given weights as pruned: for a network that was pruned before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IterativePruning:
    """Drop to ``densities`` (one a layer, 0 to 1) in ``rounds``, each followed by ``epochs`` of retraining."""

    densities: tuple[float, ...]
    rounds: int = 4
    epochs: int = 6
    batch: int = 128
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    shift: int = 0
    max_norm: float = 0.0

    def __post_init__(self) -> None:
        for place, density in enumerate(self.densities):
            _check_density(f"prune.densities[{place}]", density)
        if self.rounds < 1:
            raise RecipeError(path="prune.rounds", rule="at least 1", value=self.rounds)
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How one round retrains."""
        return _descent(self)

    def density(self, layer: int, finished: int) -> float:
        """Density of ``layer`` after ``finished`` rounds."""
        return float(self.densities[layer] ** (finished / self.rounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class GradualPruning:
    """Fall to ``density`` of all weights over ``ramp`` (0 to 1) of ``epochs``; renew the mask every ``interval`` steps.

    With ``second_epochs``, a second training of that many begins from the pruned network, at the full learning rate, and falls to
    ``second_density`` in the same way.
    """

    density: float
    epochs: int = 40
    ramp: float = 0.6
    interval: int = 20
    batch: int = 128
    learning_rate: float = 0.05
    weight_decay: float = 1e-4
    shift: int = 0
    max_norm: float = 0.0
    second_density: float = 0.0
    second_epochs: int = 0

    def __post_init__(self) -> None:
        _check_density("prune.density", self.density)
        if self.second_epochs < 0:
            raise RecipeError(path="prune.second_epochs", rule="at least 0", value=self.second_epochs)
        if self.second_epochs and not 0 < self.second_density <= self.density:
            raise RecipeError(path="prune.second_density", rule=f"above 0, at most {self.density}", value=self.second_density)
        if not 0 < self.ramp <= 1:
            raise RecipeError(path="prune.ramp", rule="above 0, at most 1", value=self.ramp)
        if self.interval < 1:
            raise RecipeError(path="prune.interval", rule="at least 1", value=self.interval)
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How the whole training goes."""
        return _descent(self)

    @property
    def passes(self) -> tuple[tuple[float, float, Descent], ...]:
        """Density at the start and the end of each training, and how it goes."""
        first = (1.0, self.density, self.descent)
        second = (self.density, self.second_density, replace(self.descent, epochs=self.second_epochs))
        return (first, second) if self.second_epochs else (first,)

    def density_at(self, part: float, start: float, end: float) -> float:
        """Density when ``part`` (0 to 1) of a training from density ``start`` to ``end`` is done."""
        return _falling(part, self.ramp, start, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredPruning:
    """A mask of ``pattern`` (:mod:`qsim.compress.structured`) over ``ramp`` of ``epochs``, renewed every ``interval`` steps.

    ``kept`` of ``group`` neighbours for "n:m"; ``density`` of the blocks (``height`` x ``width``) or units of each layer for the others, to
    which it falls as in gradual pruning.
    """

    pattern: Pattern
    kept: int = 2
    group: int = 4
    height: int = 4
    width: int = 4
    density: float = 0.25
    epochs: int = 10
    ramp: float = 0.6
    interval: int = 20
    batch: int = 128
    learning_rate: float = 0.05
    weight_decay: float = 1e-4
    shift: int = 0
    max_norm: float = 0.0

    def __post_init__(self) -> None:
        _check_density("prune.density", self.density)
        for name in ("kept", "group", "height", "width", "interval"):
            if getattr(self, name) < 1:
                raise RecipeError(path=f"prune.{name}", rule="at least 1", value=getattr(self, name))
        if self.kept > self.group:
            raise RecipeError(path="prune.kept", rule=f"at most the group of {self.group}", value=self.kept)
        if not 0 < self.ramp <= 1:
            raise RecipeError(path="prune.ramp", rule="above 0, at most 1", value=self.ramp)
        _ = self.descent

    @property
    def descent(self) -> Descent:
        """How the whole training goes."""
        return _descent(self)

    def masks(self, weights: list[FloatArray], part: float) -> list[BoolArray]:
        """Return each layer's mask when ``part`` (0 to 1) of the training is done."""
        density = _falling(part, self.ramp, 1.0, self.density)
        match self.pattern:
            case Pattern.N_OF_M:
                return [n_of_m(weight, self.kept, self.group) for weight in weights]
            case Pattern.BLOCK:
                return [blocks(weight, self.height, self.width, density) for weight in weights]
            case Pattern.UNIT:
                return units(weights, density)


def _falling(part: float, ramp: float, start: float, end: float) -> float:
    """Return the density when ``part`` (0 to 1) is done: cubic from ``start`` to ``end`` over ``ramp`` (arXiv:1710.01878)."""
    return end + (start - end) * max(0.0, 1.0 - part / ramp) ** 3


def _descent(how: IterativePruning | GradualPruning | StructuredPruning) -> Descent:
    return Descent(
        epochs=how.epochs, batch=how.batch, learning_rate=how.learning_rate, weight_decay=how.weight_decay,
        shift=how.shift, max_norm=how.max_norm,
    )  # fmt: skip


Pruning = NoPruning | KeepZeros | IterativePruning | GradualPruning | StructuredPruning
PRUNERS: dict[str, type[Pruning]] = {
    "none": NoPruning,
    "zeros": KeepZeros,
    "iterative": IterativePruning,
    "gradual": GradualPruning,
    "structured": StructuredPruning,
}


@dataclass(frozen=True, slots=True)
class Pruned:
    """Flat parameters, zero where pruned, and each layer's mask [outputs, inputs], or None where nothing was pruned."""

    parameters: Tensor
    masks: tuple[BoolArray, ...] | None


def prune(
    how: Pruning, layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator, progress: Progress = silent,
    journal: Journal = NO_JOURNAL,
) -> Pruned:  # fmt: skip
    """Prune a copy of the flat ``parameters`` and retrain it on ``samples``; stages of ``journal`` that are finished are not repeated."""
    match how:
        case NoPruning():
            return Pruned(parameters.clone(), None)
        case KeepZeros():
            return Pruned(parameters.clone(), tuple(weight.numpy() != 0 for weight in layout.weights(parameters)))
        case IterativePruning():
            return _iterative(how, layout, parameters.clone(), samples, generator, progress, journal)
        case GradualPruning():
            return _gradual(how, layout, parameters.clone(), samples, generator, progress, journal)
        case StructuredPruning():
            return _structured(how, layout, parameters.clone(), samples, generator, progress, journal)
        case _:
            assert_never(how)


def _iterative(
    how: IterativePruning, layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator, progress: Progress,
    journal: Journal,
) -> Pruned:  # fmt: skip
    if len(how.densities) != len(layout.names):
        raise RecipeError(path="prune.densities", rule=f"{len(layout.names)} numbers, one a layer", value=len(how.densities))
    mask = np.ones(layout.weight_count, dtype=np.bool_)
    kept = journal.read("prune rounds")
    if kept is not None:
        parameters, mask = kept["parameters"].clone(), kept["mask"].numpy()
        generator.set_state(kept["torch random"])
    for finished in range(int(kept["rounds"]) if kept else 0, how.rounds):
        counts = [kept_count(size, how.density(layer, finished + 1)) for layer, size in enumerate(layout.sizes)]
        mask = magnitude_mask(_flat_weights(layout, parameters), counts)
        masked = MaskedParameters(layout, torch.from_numpy(mask))

        def report(stage: str, done: int, total: int, before: int = finished * how.epochs) -> None:
            progress(stage, before + done, how.rounds * total)

        descend(layout, parameters, samples, how.descent, generator, transform=masked, stage="prune", progress=report)
        parameters = masked(0, 1, parameters).clone()  # what was dropped in this round stays dropped
        state = {"parameters": parameters, "mask": torch.from_numpy(mask), "rounds": torch.tensor(finished + 1)}
        journal.write("prune rounds", {**state, "torch random": generator.get_state()})
    return Pruned(parameters, _by_layer(layout, mask))


def _gradual(
    how: GradualPruning, layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator, progress: Progress,
    journal: Journal,
) -> Pruned:  # fmt: skip
    mask = np.ones(layout.weight_count, dtype=np.bool_)
    finished, epochs = 0, how.epochs + how.second_epochs
    later = journal.read("prune pass 1") is not None  # holds all that the first pass left
    for number, (start, end, descent) in enumerate(how.passes):
        if later and number == 0:
            finished += descent.epochs
            continue

        def rule(part: float, current: Tensor, start: float = start, end: float = end) -> BoolArray:
            return lamp_mask(_flat_weights(layout, current), kept_count(layout.weight_count, how.density_at(part, start, end)))

        def report(stage: str, done: int, total: int, before: int = finished) -> None:
            progress(stage, before + done, epochs)

        masked = RenewedMask(layout, rule, how.interval, how.ramp)
        epochs_kept = Epochs(journal, f"prune pass {number}", masked)
        descend(layout, parameters, samples, descent, generator, transform=masked, stage="prune", progress=report, epochs=epochs_kept)
        parameters, mask, finished = masked.settle(parameters), masked.mask, finished + descent.epochs
    return Pruned(parameters, _by_layer(layout, mask))


def _structured(
    how: StructuredPruning, layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator, progress: Progress,
    journal: Journal,
) -> Pruned:  # fmt: skip
    def mask(part: float, current: Tensor) -> BoolArray:
        weights: list[FloatArray] = [weight.numpy() for weight in layout.weights(current)]
        return np.concatenate([found.reshape(-1) for found in how.masks(weights, part)])

    masked = RenewedMask(layout, mask, how.interval, how.ramp)
    epochs = Epochs(journal, "prune pass 0", masked)
    descend(layout, parameters, samples, how.descent, generator, transform=masked, stage="prune", progress=progress, epochs=epochs)
    return Pruned(masked.settle(parameters), _by_layer(layout, masked.mask))


class MaskedParameters:
    """A transform that computes with the masked weights; biases pass."""

    def __init__(self, layout: Layout, mask: Tensor) -> None:
        self._factor = torch.ones(layout.parameter_count)
        self._factor[: layout.weight_count] = mask
        self._effective = torch.empty(layout.parameter_count)

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the masked vector; the buffer is reused."""
        return torch.mul(parameters, self._factor, out=self._effective)


class RenewedMask:
    """A transform whose mask is computed anew every ``interval`` steps until ``ramp`` of the training is done."""

    def __init__(self, layout: Layout, rule: Callable[[float, Tensor], BoolArray], interval: int, ramp: float) -> None:
        self._layout, self._rule, self._interval, self._ramp = layout, rule, interval, ramp
        self._settled = False
        self.mask: BoolArray = np.ones(layout.weight_count, dtype=np.bool_)
        self._masked = MaskedParameters(layout, torch.from_numpy(self.mask))

    def __call__(self, step: int, steps: int, parameters: Tensor) -> Tensor:
        """Return the masked vector at ``step``."""
        part = step / steps
        if part >= self._ramp:
            self.settle(parameters)
        elif step % self._interval == 0:
            self._renew(part, parameters)
        return self._masked(step, steps, parameters)

    def settle(self, parameters: Tensor) -> Tensor:
        """Fix the mask at the final density, once, and return a copy of the masked vector."""
        if not self._settled:
            self._renew(1.0, parameters)
            self._settled = True
        return self._masked(0, 1, parameters).clone()

    def state(self) -> dict[str, Tensor]:
        """Return the mask and whether it stays."""
        return {"mask": torch.from_numpy(self.mask), "settled": torch.tensor(self._settled)}

    def restore(self, kept: Tensors) -> None:
        """Take up a mask that :meth:`state` gave."""
        self.mask, self._settled = kept["mask"].numpy(), bool(kept["settled"])
        self._masked = MaskedParameters(self._layout, kept["mask"])

    def _renew(self, part: float, parameters: Tensor) -> None:
        self.mask = self._rule(part, parameters)
        self._masked = MaskedParameters(self._layout, torch.from_numpy(self.mask))


def _flat_weights(layout: Layout, parameters: Tensor) -> list[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]:
    return [weight.numpy().reshape(-1) for weight in layout.weights(parameters)]


def _by_layer(layout: Layout, mask: BoolArray) -> tuple[BoolArray, ...]:
    parts = np.split(mask, np.cumsum(layout.sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, layout.shapes, strict=True))


def _check_density(path: str, density: float) -> None:
    if not 0 < density <= 1:
        raise RecipeError(path=path, rule="above 0, at most 1", value=density)
