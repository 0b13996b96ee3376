"""Asks whether every LVQ method descends the cost of its paper: gradients, limits, and what one method becomes as a case of another."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor

from qsim.lvq import CLASSIFIERS, GLVQ, GMLVQ, GRLVQ, KRSLVQ, RSLVQ, distances
from qsim.lvq.classifier import Batch, PrototypeClassifier
from qsim.lvq.glvq import relative_difference
from qsim.lvq.h2mlvq import power_mean

METHODS = tuple(CLASSIFIERS)


def begun(classifier: PrototypeClassifier, seed: int = 0) -> tuple[PrototypeClassifier, Tensor, Tensor]:
    """Return a classifier that stands at its start, a few inputs of iris and their classes."""
    inputs, targets = load_iris(return_X_y=True)
    chosen = np.random.default_rng(seed).choice(150, 24, replace=False)
    x, t = torch.from_numpy(inputs[chosen]), torch.from_numpy(targets[chosen].astype(np.int64))
    classifier._scale = 1.0
    classifier._begin(x, t, np.random.RandomState(seed))
    return classifier, x, t


def cost(classifier: PrototypeClassifier, x: Tensor, t: Tensor, part: float = 0.5) -> Tensor:
    return classifier._cost(Batch(classifier._distances(x), t[:, None] == classifier._labels, part)).mean()


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_finite_differences(method: str) -> None:
    # SGNG counts which prototypes are neighbours as it is asked: the weights must be those of one state.
    count = 1 if method == "sgng" else 2
    classifier, x, t = begun(CLASSIFIERS[method](prototypes_per_class=count))
    cost(classifier, x, t).backward()
    for value in classifier._values.values():
        assert value.grad is not None
        flat, slope = value.detach().view(-1), value.grad.view(-1)
        for place in np.random.default_rng(0).choice(len(flat), min(6, len(flat)), replace=False):
            kept, step = float(flat[place]), 1e-6
            flat[place] = kept + step
            above = cost(classifier, x, t).item()
            flat[place] = kept - step
            below = cost(classifier, x, t).item()
            flat[place] = kept
            assert float(slope[place]) == pytest.approx((above - below) / (2 * step), abs=1e-6)


def test_relevances_that_are_equal_and_the_identity_are_glvq() -> None:
    glvq, x, t = begun(GLVQ(prototypes_per_class=2))
    for other in (GRLVQ(prototypes_per_class=2), GMLVQ(prototypes_per_class=2)):
        begun(other)
        assert torch.allclose(other._distances(x) * x.shape[1], glvq._distances(x))
        assert float(cost(other, x, t)) == pytest.approx(float(cost(glvq, x, t)))


def test_a_linear_kernel_is_rslvq() -> None:
    kernel, x, t = begun(KRSLVQ(prototypes_per_class=1, kernel="linear"))
    plain, _, _ = begun(RSLVQ(prototypes_per_class=1))
    # One prototype a class begins at the class's mean, but for the jitter of the start.
    plain._values["prototypes"] = torch.stack([x[t == code].mean(dim=0) for code in range(3)])
    plain._variance = kernel._variance
    assert torch.allclose(kernel._distances(x), plain._distances(x))
    assert float(cost(kernel, x, t)) == pytest.approx(float(cost(plain, x, t)))


def test_power_means_go_from_the_harmonic_mean_to_the_smallest() -> None:
    values, chosen = torch.tensor([[1.0, 3.0, 6.0, 0.1]], dtype=torch.float64), torch.tensor([[True, True, True, False]])
    assert float(power_mean(values, chosen, 1.0)) == pytest.approx(3.0 / (1.0 + 1.0 / 3.0 + 1.0 / 6.0))
    assert float(power_mean(values, chosen, 200.0)) == pytest.approx(1.0, rel=0.01)


def test_the_relative_difference_is_negative_where_the_answer_is_right() -> None:
    right, wrong = torch.tensor([1.0, 3.0, 2.0]), torch.tensor([3.0, 1.0, 2.0])
    assert relative_difference(right, wrong).tolist() == pytest.approx([-0.5, 0.5, 0.0])


def test_distances_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    x, w, relevances, omega = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 4), (3, 4), (3, 4), (3, 4, 2))
    )
    differences = x[:, None] - w
    assert torch.allclose(distances.euclidean(x, w), differences.square().sum(dim=2))
    squares = relevances.square()
    assert torch.allclose(distances.weighted(x, w, squares), (squares * differences.square()).sum(dim=2))
    assert torch.allclose(distances.weighted(x, w, squares[0]), (squares[0] * differences.square()).sum(dim=2))
    images = torch.stack([differences[:, place] @ omega[place] for place in range(3)], dim=1)
    assert torch.allclose(distances.projected(x, w, omega), images.square().sum(dim=2))
    assert float(distances.normalised_matrix(omega)[0].square().sum()) == pytest.approx(1.0)
    assert float(distances.normalised_relevances(relevances)[1].sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_training_lowers_the_error(method: str) -> None:
    inputs, targets = load_iris(return_X_y=True)
    classifier = CLASSIFIERS[method](prototypes_per_class=2, random_state=0).fit(inputs, targets)
    assert classifier.score(inputs, targets) > 0.92, "class means alone reach 0.926"


def test_sgng_grows_to_what_was_asked() -> None:
    inputs, targets = load_iris(return_X_y=True)
    grown = CLASSIFIERS["sgng"](prototypes_per_class=4, random_state=0).fit(inputs, targets)
    assert grown.prototype_labels_.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_sgng_inserts_between_neighbours_and_keeps_the_graph() -> None:
    classifier, x, t = begun(CLASSIFIERS["sgng"](prototypes_per_class=3))
    classifier._epoch_ends(0.4)  # two a class; no edges yet but the new ones
    cost(classifier, x, t)
    joined = classifier._ages >= 0
    assert joined.any(dim=1).all(), "the two of each class are the two nearest of its samples"
    before = classifier._values["prototypes"].detach().clone()
    classifier._epoch_ends(1.0)
    after, labels = classifier._values["prototypes"].detach(), classifier._labels
    assert labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    for code in range(3):
        pair, three = before[2 * code : 2 * code + 2], after[labels == code]
        assert (torch.isclose(three, pair.mean(dim=0)).all(dim=1)).sum() == 1
        edges = (classifier._ages[labels == code][:, labels == code] >= 0).sum()
        assert int(edges) == 4, "the edge of the two became two edges"
