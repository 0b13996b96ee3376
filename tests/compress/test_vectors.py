"""Are vectors assigned to the nearest, trained by their own gradient, and stored as what they stand for?"""

import numpy as np
import pytest
import torch

from qsim.compress.quantizers.vector import ProductQuantisation, ResidualQuantisation, VectorKMeans
from qsim.compress.shared import FormatLimits
from qsim.compress.vectors import cluster, nearest
from qsim.errors import RecipeError
from qsim.formats.layer import VectorCoded

WEIGHT = np.random.default_rng(0).normal(size=(24, 12)).astype(np.float32)
LIMITS = FormatLimits(weight_bits=16, scale_bits=16, largest_fraction=30, gain=1.3)
QUANTIZERS = [
    VectorKMeans(entries=9, length=4),
    ProductQuantisation(entries=5, length=4),
    ResidualQuantisation(entries=6, length=3, stages=3),
    ProductQuantisation(entries=40, length=5),  # more than there are vectors; 4 is the largest divisor
]


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_nearest_is_the_nearest() -> None:
    points, centroids = WEIGHT.reshape(-1, 4), WEIGHT[:5, :4]
    distances = ((points[:, None] - centroids) ** 2).sum(-1)
    assert np.array_equal(nearest(points, centroids), distances.argmin(1))


def test_clustering_ends_where_no_centroid_moves_and_none_is_empty() -> None:
    found = cluster(WEIGHT.reshape(-1, 2), 7, 200, random())
    for place, centre in enumerate(found.vectors):
        assert np.allclose(WEIGHT.reshape(-1, 2)[found.indices == place].mean(0), centre, atol=1e-5)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_form_stands_for_the_weights(quantizer: VectorKMeans) -> None:
    shared = quantizer.share(WEIGHT, random())
    form = shared.form(LIMITS)
    assert isinstance(form, VectorCoded)
    assert np.allclose(form.weight_format.dequantise(form.reconstruct()), shared.weights().numpy() * LIMITS.gain, atol=1e-3)
    assert form.segments == (3 if isinstance(quantizer, ProductQuantisation) else 1)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_gradient_is_that_of_autograd(quantizer: VectorKMeans) -> None:
    shared = quantizer.share(WEIGHT, random())
    upstream = torch.randn(WEIGHT.shape, generator=torch.Generator().manual_seed(0))
    start, step = shared.trainable.clone(), 1e-2
    pulled = shared.pull_back(upstream)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(1))
    before = (shared.weights() * upstream).sum()
    shared.trainable.add_(direction, alpha=step)  # the weights are linear in the vectors, so any step will do
    assert float((shared.weights() * upstream).sum() - before) == pytest.approx(step * float(pulled @ direction), rel=1e-3, abs=1e-4)


def test_enough_vectors_lose_nothing() -> None:
    assert np.allclose(ProductQuantisation(entries=24, length=4).share(WEIGHT, random()).weights().numpy(), WEIGHT)


def test_bad_settings_are_named() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.length must be at least 1, not 0"):
        VectorKMeans(entries=4, length=0)
    with pytest.raises(RecipeError, match=r"quantise\.stages must be 1 to 16, not 17"):
        ResidualQuantisation(entries=4, length=2, stages=17)
