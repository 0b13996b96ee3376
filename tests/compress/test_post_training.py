"""Does quantisation without retraining keep what it says it keeps, and store exactly the weights that it gives back?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.masks import kept_count, largest
from qsim.compress.post_training import Coding, PostTraining, kept, real_weights
from qsim.errors import RecipeError
from qsim.formats.layer import Pyramid


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1.0), st.sampled_from([0, 1, 3]))
def test_the_mask_is_that_of_a_sort(seed: int, density: float, decimals: int) -> None:
    """An independent way: a full partition of the magnitudes. Rounding makes ties."""
    rng = np.random.default_rng(seed)
    weights = np.round(rng.standard_normal((7, 11)), decimals).astype(np.float32)
    expected = largest(np.abs(weights).reshape(-1), kept_count(weights.size, density)).reshape(weights.shape) & (weights != 0)
    assert np.array_equal(kept(weights, density), expected)


@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
def test_the_form_stands_for_the_weights_that_are_given_back(coding: Coding, density: float) -> None:
    weights = np.random.default_rng(3).standard_normal((40, 60)).astype(np.float32)
    form = PostTraining(coding=coding, bits=8).quantise(weights, density)
    real = real_weights(form)
    stored = form.reconstruct() * form.weight_format.lsb
    if isinstance(form, Pyramid):
        stored = stored * (form.scales * form.scale_format.lsb)[:, None]
    np.testing.assert_allclose(real, stored, rtol=1e-6)
    assert np.count_nonzero(real) <= kept_count(weights.size, density)
    if coding is not Coding.PULSES:
        assert np.count_nonzero(real) >= 0.95 * kept_count(weights.size, density)
        assert np.max(np.abs(real - weights)[real != 0]) < 0.2


def test_a_codebook_leaves_a_code_for_zero() -> None:
    weights = np.random.default_rng(3).standard_normal((40, 60)).astype(np.float32)
    form = PostTraining(coding=Coding.CODEBOOK, bits=4).quantise(weights, 0.3)
    assert np.unique(form.reconstruct()).size <= 16


def test_a_layer_of_zeros_stays_one() -> None:
    for coding in Coding:
        form = PostTraining(coding=coding, bits=4).quantise(np.zeros((3, 4), dtype=np.float32), 0.5)
        assert not real_weights(form).any()
        assert form.rows == 3


@pytest.mark.parametrize("density", [0.0, 1.5])
def test_an_impossible_density_is_refused(density: float) -> None:
    with pytest.raises(RecipeError, match="density must be above 0, at most 1"):
        PostTraining(coding=Coding.FIXED, bits=8).quantise(np.ones((2, 2), dtype=np.float32), density)
    with pytest.raises(RecipeError, match="bits must be 1 to 16"):
        PostTraining(coding=Coding.FIXED, bits=17)


def test_codebooks_of_long_tailed_weights_are_near_the_best_scalar_quantiser() -> None:
    """Panter and Dite (Proc. IRE 1951): the least error of k intervals is ``(integral of p^(1/3))^3 / (12 k^2)``; for a Laplace density of
    deviation 1 that is 9 / (2 k^2). A start spread evenly over the range ends far above it (6 dB and more at 8 bits).
    """
    weights = (np.random.default_rng(0).laplace(size=(200, 500)) / np.sqrt(2)).astype(np.float32)
    for bits in (4, 6, 8):
        form = PostTraining(coding=Coding.CODEBOOK, bits=bits).quantise(weights, 1.0)
        error = float(np.mean((real_weights(form) - weights) ** 2))
        assert error < 1.1 * 9 / (2 * ((1 << bits) - 1) ** 2)
