"""Are vectors found by what their errors do to the results of the layer, exactly and better than by the weights alone?"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from qsim.compress.network import Layout, Samples, forward
from qsim.compress.quantizers.ipq import IterativeProductQuantisation, segment_moments
from qsim.compress.quantizers.vector import VectorKMeans
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.compress.weighted_vectors import cluster_weighted, settle
from qsim.errors import RecipeError
from qsim.progress import silent
from workloads import WORKLOADS
from workloads.mnist import load_mnist
from workloads.weights import load_weights

SEGMENTS, VECTORS, WIDTH, ENTRIES = 3, 40, 4, 6
POINTS = np.random.default_rng(0).normal(size=(SEGMENTS, VECTORS, WIDTH)).astype(np.float32)
FACTORS = np.random.default_rng(1).normal(size=(SEGMENTS, WIDTH, WIDTH))
MOMENTS = FACTORS @ FACTORS.transpose(0, 2, 1)
LENET = WORKLOADS["lenet-300-100"]
LAYOUT = Layout.of(LENET.layers)


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def damped() -> np.ndarray:
    """The moments that are minimised: 1 % of the mean diagonal is added to every diagonal."""
    return MOMENTS + 0.01 * np.einsum("sdd->", MOMENTS) / (SEGMENTS * WIDTH) * np.eye(WIDTH)


def test_it_ends_where_neither_a_vector_nor_a_centroid_would_move() -> None:
    """Both conditions by the definition: every distance written out, every centroid by least squares on the square roots of the moments."""
    found = cluster_weighted(POINTS, MOMENTS, ENTRIES, 200, random())
    rest = POINTS[:, :, None] - found.vectors[None, None]
    distances = np.einsum("snkd,sde,snke->snk", rest, damped(), rest).reshape(-1, ENTRIES)
    chosen = distances[np.arange(len(distances)), found.indices]
    assert np.allclose(chosen, distances.min(1), rtol=1e-4, atol=1e-5)
    roots = np.linalg.cholesky(damped()).transpose(0, 2, 1)
    segments = np.repeat(np.arange(SEGMENTS), VECTORS)
    for place, centre in enumerate(found.vectors):
        members = np.flatnonzero(found.indices == place)
        left = np.concatenate([roots[segments[member]] for member in members])
        right = np.concatenate([roots[segments[member]] @ POINTS.reshape(-1, WIDTH)[member] for member in members])
        assert np.allclose(np.linalg.lstsq(left, right, rcond=None)[0], centre, atol=1e-3)


def test_more_iterations_never_raise_the_error() -> None:
    errors = []
    for iterations in range(8):
        found = cluster_weighted(POINTS, MOMENTS, ENTRIES, iterations, random())
        rest = POINTS - found.vectors[found.indices].reshape(POINTS.shape)
        errors.append(sum(float(e @ level @ e) for part, level in zip(rest, damped(), strict=True) for e in part))
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(errors)), errors
    assert errors[-1] < 0.9 * errors[0]


def test_inputs_that_are_almost_alike_do_not_drown_the_differences() -> None:
    """One strong common direction of the inputs, vectors far from zero: products of 1e7 that differ by less than 1."""
    random_, ones = np.random.default_rng(2), np.ones((WIDTH, WIDTH)) * 1e5
    points = (10 + 0.05 * random_.normal(size=(1, 400, WIDTH))).astype(np.float32)
    moments = (ones + np.eye(WIDTH))[None]
    found = cluster_weighted(points, moments, 8, 5, random())
    level = moments[0] + 0.01 * np.trace(moments[0]) / WIDTH * np.eye(WIDTH)
    rest = (points[0, :, None] - found.vectors[None]).astype(np.float64)
    distances = np.einsum("nkd,de,nke->nk", rest, level, rest)
    assert distances[np.arange(400), found.indices].sum() <= 1.001 * distances.min(1).sum()


def test_parts_of_many_rows_are_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(6).normal(size=(12, 12))
    weight, moments = np.random.default_rng(5).normal(size=(50, 12)), whole @ whole.T
    results = []
    for block in (1 << 14, 7):
        monkeypatch.setattr("qsim.compress.weighted_vectors.BLOCK", block)
        found = cluster_weighted(POINTS, MOMENTS, ENTRIES, 5, random())
        indices = settle(weight, moments, found.vectors, np.zeros((50, 3), dtype=np.int64), 2)
        results.append((found.indices, indices))
    assert all(np.array_equal(one, other) for one, other in zip(*results, strict=True))


def test_inputs_alike_everywhere_give_plain_means() -> None:
    found = cluster_weighted(POINTS, np.tile(np.eye(WIDTH), (SEGMENTS, 1, 1)), ENTRIES, 200, random())
    for place, centre in enumerate(found.vectors):
        assert np.allclose(POINTS.reshape(-1, WIDTH)[found.indices == place].mean(0), centre, atol=1e-5)


def test_moments_of_segments_are_the_blocks_on_the_diagonal() -> None:
    gram = torch.arange(2 * 36, dtype=torch.float32).view(2, 6, 6)
    blocks = segment_moments(gram, 3)
    assert np.array_equal(blocks, [gram[0, :3, :3], gram[0, 3:, 3:], gram[1, :3, :3], gram[1, 3:, 3:]])


@cache
def samples() -> Samples:
    return Samples.of(load_mnist().train.part(0, 1_000), LENET.normalisation)


def given(masks: tuple[np.ndarray, ...] | None = None) -> QuantizerInput:
    return QuantizerInput(
        layout=LAYOUT, parameters=LAYOUT.pack(load_weights(LENET)), masks=masks, samples=samples(),
        generator=torch.Generator().manual_seed(1), random=np.random.default_rng(1), progress=silent,
    )  # fmt: skip


def loss(found: Quantised) -> float:
    """Cross-entropy on the validation digits, the biases as they were."""
    flat = LAYOUT.pack(load_weights(LENET))
    for target, layer in zip(LAYOUT.weights(flat), found.layers, strict=True):
        target.copy_(layer.weights())
    digits = Samples.of(load_mnist().validation, LENET.normalisation)
    return float(torch.nn.functional.cross_entropy(forward(LAYOUT, flat, digits.normalised(slice(None)))[-1], digits.labels))


def test_trained_weights_lose_less_by_the_results_than_by_the_weights() -> None:
    """Stock et al., section 3.2, on the shipped LeNet-300-100: the same number of vectors of the same length, nothing fine-tuned."""
    plain = loss(VectorKMeans(entries=16, length=4, iterations=8).quantise(given()))
    assert loss(IterativeProductQuantisation(entries=16, length=4, iterations=8).quantise(given())) < 0.7 * plain


def test_settling_ends_where_no_single_vector_would_be_chosen_otherwise() -> None:
    """By the definition: the error of a whole row, with every single vector replaced by every other, is never lower."""
    weight, whole = np.random.default_rng(5).normal(size=(5, 12)), np.random.default_rng(6).normal(size=(12, 12))
    moments, vectors = whole @ whole.T, np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
    level = moments + 0.01 * np.trace(moments) / 12 * np.eye(12)
    start = np.zeros((5, 4), dtype=np.int64)

    def errors(indices: np.ndarray) -> np.ndarray:
        rest = vectors[indices].reshape(weight.shape) - weight
        return np.einsum("rc,cd,rd->r", rest, level, rest)

    found = settle(weight, moments, vectors, start, 50)
    assert np.all(errors(found) <= errors(start)) and errors(found).sum() < 0.5 * errors(start).sum()
    assert np.all(errors(settle(weight, moments, vectors, start, 1)) <= errors(start))
    for segment in range(4):
        for entry in range(4):
            other = found.copy()
            other[:, segment] = entry
            assert np.all(errors(other) >= errors(found) - 1e-9)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.sweeps must be at least 0, not -1"):
        IterativeProductQuantisation(entries=4, length=4, sweeps=-1)

    masks = tuple(np.arange(shape[0] * shape[1]).reshape(shape) > 0 for shape in LAYOUT.shapes)
    with pytest.raises(RecipeError, match=r"prune\.method must be none where vectors are quantised"):
        IterativeProductQuantisation(entries=4, length=4).quantise(given(masks))
