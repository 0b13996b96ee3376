"""Asks whether the classifiers keep to scikit-learn's contract for estimators, as its own checks see it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qsim.errors import RecipeError
from qsim.lvq import CLASSIFIERS, GLVQ

QUICK = 6  # epochs: the checks fit some forty times


@parametrize_with_checks([CLASSIFIERS[name](epochs=QUICK) for name in ("glvq", "gmlvq", "krslvq")])
def test_estimator(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([classifier() for classifier in CLASSIFIERS.values()])
def test_every_estimator(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("prototypes_per_class", 0), ("learning_rate", 0.0)])
def test_parameters_outside_their_range_are_told(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"GLVQ\.{name} must be above 0, not {value}"):
        GLVQ(**{name: value}).fit(np.eye(4), [0, 1, 0, 1])


def test_a_class_smaller_than_its_prototypes_is_enough() -> None:
    inputs = np.random.default_rng(0).normal(size=(21, 3))
    found = GLVQ(prototypes_per_class=3, random_state=0).fit(inputs, [0] * 20 + [1])
    assert found.prototype_labels_.tolist() == [0, 0, 0, 1, 1, 1]
