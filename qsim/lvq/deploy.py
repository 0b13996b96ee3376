"""A trained LVQ classifier as a network of dot products: what the array computes, in a ``.qsz`` file.

The nearest prototype is that of the largest ``2 (w - c) x - |w|^2`` (and what does not depend on w): a fully connected layer whose weights
are the prototypes, less a common point ``c``, and whose biases hold their lengths. With relevances, weights and lengths are weighted by
them; with one matrix, a layer in front of it projects the inputs. A metric for each prototype (LGRLVQ, LGMLVQ) makes the length of the
input matter, and a kernel needs all training inputs: those do not become dot products.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from qsim.compress.calibrate import chain, fix_point
from qsim.compress.network import Layout, Samples
from qsim.compress.pruners.given import NoPruning
from qsim.compress.recipe import Recipe
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.compress.task import NormalisationLike, SplitLike
from qsim.errors import QsimError, RecipeError
from qsim.lvq.classifier import FloatArray, PrototypeClassifier
from qsim.lvq.gmlvq import GMLVQ
from qsim.lvq.grlvq import GRLVQ
from qsim.lvq.krslvq import KRSLVQ
from qsim.lvq.lgmlvq import LGMLVQ
from qsim.lvq.lgrlvq import LGRLVQ
from qsim.model.compressed import OUTPUT_CLASSES, CompressedModel
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation
from qsim.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A fully connected layer without activation."""

    name: str
    inputs: int
    rows: int
    activation: Activation = Activation.NONE
    geometry: ImageGeometry | None = None
    pool: ImageGeometry | None = None

    @property
    def columns(self) -> int:
        """Columns of the weight matrix."""
        return self.inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """The classifier as a task to compress."""

    name: str
    layers: Sequence[Projection]
    normalisation: NormalisationLike


def dot_products(classifier: PrototypeClassifier) -> list[tuple[FloatArray, FloatArray]]:
    """Return weights [rows, columns] and biases [rows] of each layer, such that the largest of the last results is that of the nearest
    prototype.

    Raises :class:`QsimError` for a method that is not a matter of dot products.
    """
    if isinstance(classifier, LGRLVQ | LGMLVQ | KRSLVQ):
        reason = "compares in a kernel's space" if isinstance(classifier, KRSLVQ) else "has a metric for each prototype"
        raise QsimError(f"{type(classifier).__name__} {reason}: it does not become dot products; GLVQ, GRLVQ, GMLVQ and the others do")
    centre: FloatArray = classifier._center
    away: FloatArray = classifier.prototypes_ - centre
    if isinstance(classifier, GMLVQ):
        omega: FloatArray = classifier.omega_.T
        images: FloatArray = away @ omega.T
        return [(omega, -omega @ centre), (2.0 * images, lengths(2.0 * images, np.zeros(len(omega))))]
    if isinstance(classifier, GRLVQ):
        relevances: FloatArray = classifier.relevances_
        return [(2.0 * relevances * away, -(relevances * classifier.prototypes_**2).sum(axis=1))]
    return [(2.0 * away, lengths(2.0 * away, centre))]


def lengths(weight: FloatArray, centre: FloatArray) -> FloatArray:
    """Return the biases ``-|w|^2`` of prototypes ``w = centre + weight / 2``, less their mean, which decides nothing."""
    squares: FloatArray = -((centre + weight / 2.0) ** 2).sum(axis=1)
    squares -= squares.mean()
    return squares


def to_model(
    classifier: PrototypeClassifier,
    recipe: Recipe,
    normalisation: NormalisationLike,
    train: SplitLike,
    name: str,
    progress: Progress = silent,
) -> CompressedModel:
    """Return the fitted ``classifier`` quantised by ``recipe``; it was fitted on inputs as ``normalisation`` gives them, classes 0, 1, ...

    Nothing is pruned or retrained: the recipe's [quantise], [fixed_point] and [encode] count. The biases are those of the quantised
    prototypes. ``train`` gives the ranges.
    """
    if not isinstance(recipe.prune, NoPruning):
        raise RecipeError(path="prune", rule="left out for a classifier of prototypes", value=type(recipe.prune).__name__)
    parts = dot_products(classifier)
    shapes = [weight.shape for weight, _ in parts]
    names = ["metric", "prototypes"][-len(parts) :]
    task = Classifier(
        name=name,
        layers=[Projection(name=each, inputs=shape[1], rows=shape[0]) for each, shape in zip(names, shapes, strict=True)],
        normalisation=normalisation,
    )
    layout = Layout.of(task.layers)
    state = {f"{each}.weight": weight.astype(np.float32) for each, (weight, _) in zip(names, parts, strict=True)}
    state |= {f"{each}.bias": bias.astype(np.float32) for each, (_, bias) in zip(names, parts, strict=True)}
    given = QuantizerInput(
        layout=layout, parameters=layout.pack(state), masks=None, samples=Samples.of(train, normalisation),
        generator=torch.Generator().manual_seed(recipe.seed), random=np.random.default_rng(recipe.seed), progress=progress,
    )  # fmt: skip
    quantised = _with_lengths(classifier, recipe.quantise.quantise(given), layout)
    layers = fix_point(recipe.fixed_point, task, layout, quantised, train.images)
    return CompressedModel(
        graph=chain(task, layers), layers=layers, recipe_text=recipe.text, weight_source=f"{type(classifier).__name__} fitted by qsim",
        options=recipe.encode, notes=_notes(classifier, recipe),
    )  # fmt: skip


def _with_lengths(classifier: PrototypeClassifier, quantised: Quantised, layout: Layout) -> Quantised:
    """Return ``quantised`` with the biases that belong to the quantised prototypes; relevances near zero would make them arbitrary."""
    if isinstance(classifier, GRLVQ):
        return quantised
    weight: FloatArray = quantised.layers[-1].weights().double().numpy()
    centre = np.zeros(weight.shape[1]) if isinstance(classifier, GMLVQ) else classifier._center
    biases = quantised.biases.clone()
    biases[-len(weight) :] = torch.from_numpy(lengths(weight, centre)).float()
    return replace(quantised, biases=biases)


def _notes(classifier: PrototypeClassifier, recipe: Recipe) -> dict[str, str | int]:
    labels: npt.NDArray[np.int64] = classifier.prototype_labels_
    classes = {} if labels.tolist() == list(range(len(labels))) else {OUTPUT_CLASSES: " ".join(map(str, labels.tolist()))}
    return {"seed": recipe.seed, **classes}
