"""Do the orders that the papers report hold on real trained weights (the shipped LeNet-300-100), without retraining (but for the last)?"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from qsim.compress.clusters import Start, assign, lloyd, optimal_centroids, start_centroids
from qsim.compress.curvature import Curvature, importance
from qsim.compress.histogram import Histogram
from qsim.compress.network import Layout, Samples, forward
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.hierarchical import Hierarchical
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.quantizers.scalar import Shared
from qsim.compress.quantizers.uniform import UniformSteps
from qsim.compress.quantizers.vector import ProductQuantisation, ResidualQuantisation, VectorKMeans
from qsim.compress.recipe import parse_recipe
from qsim.formats.pvq import nearest_points
from qsim.formats.symbols import entropy_bits
from workloads import WORKLOADS
from workloads.mnist import load_mnist
from workloads.weights import load_weights

LENET = WORKLOADS["lenet-300-100"]
LAYOUT = Layout.of(LENET.layers)
RANDOM = np.random.default_rng(0)


@cache
def parameters() -> torch.Tensor:
    return LAYOUT.pack(load_weights(LENET))


@cache
def digits() -> tuple[Samples, Samples]:
    """A part of the training split, and the validation split."""
    mnist = load_mnist()
    train, validation = mnist.train.part(0, 1_000), mnist.validation
    return Samples.of(train, LENET.normalisation), Samples.of(validation, LENET.normalisation)


@cache
def weights() -> list[np.ndarray]:
    return [part.numpy().ravel() for part in LAYOUT.weights(parameters())]


def loss(shared: list[Shared]) -> float:
    """Cross-entropy on the validation digits with every layer's weights replaced."""
    values = [torch.from_numpy(item.centroids[item.codes]).float() for item in shared]
    flat = torch.cat([*values, parameters()[LAYOUT.weight_count :]])
    samples = digits()[1]
    return float(torch.nn.functional.cross_entropy(forward(LAYOUT, flat, samples.normalised(slice(None)))[-1], samples.labels))


def entropy(shared: list[Shared]) -> float:
    return sum(entropy_bits(np.bincount(item.codes)) for item in shared) / LAYOUT.weight_count


def kmeans(entries: int, start: Start, counts: list[np.ndarray] | None = None, seed: int = 0) -> list[Shared]:
    found = []
    for place, part in enumerate(weights()):
        histogram = Histogram.of(part, None if counts is None else counts[place].ravel())
        centroids = lloyd(histogram, start_centroids(histogram, entries, start, np.random.default_rng(seed)))
        found.append(Shared(centroids, assign(part, centroids)))
    return found


@pytest.mark.parametrize("entries", [4, 8])
def test_the_linear_start_beats_density_and_forgy(entries: int) -> None:
    """Deep Compression, section 3.2 and figure 6."""
    linear = loss(kmeans(entries, Start.LINEAR))
    assert linear < loss(kmeans(entries, Start.DENSITY))
    assert linear < np.mean([loss(kmeans(entries, Start.FORGY, seed=seed)) for seed in range(3)])


@pytest.mark.parametrize(("curvature", "entries"), [(Curvature.HESSIAN, 8), (Curvature.ADAM, 4)])
def test_weighting_with_the_curvature_beats_plain_kmeans_with_fixed_length_codes(curvature: Curvature, entries: int) -> None:
    """Choi et al., section 3; the same number of centroids, so the same bits. Negative results at other sizes: docs/decisions.md."""
    counts = importance(curvature, LAYOUT, parameters(), digits()[0], 1_000, torch.Generator().manual_seed(0))
    assert loss(kmeans(entries, Start.OPTIMAL, counts)) < loss(kmeans(entries, Start.OPTIMAL))


def test_weighting_with_the_curvature_beats_plain_kmeans_on_convolutions() -> None:
    """The same on the shipped LeNet-5, by second-order back-propagation through its convolutions: 4 centroids a layer."""
    workload = WORKLOADS["lenet-5"]
    layout, mnist = Layout.of(workload.layers), load_mnist()
    trained, digits = layout.pack(load_weights(workload)), Samples.of(mnist.validation.part(0, 1_000), workload.normalisation)
    few = Samples.of(mnist.train.part(0, 500), workload.normalisation)
    counts = importance(Curvature.HESSIAN, layout, trained, few, 500, torch.Generator().manual_seed(0))
    losses = []
    for weighted in (True, False):
        flat = trained.clone()
        for place, part in enumerate(layout.weights(flat)):
            values = part.numpy().ravel().copy()
            centroids = optimal_centroids(Histogram.of(values, counts[place].ravel() if weighted else None), 4)
            part.copy_(torch.from_numpy(centroids[assign(values, centroids)]).view_as(part))
        answers = forward(layout, flat, digits.normalised(slice(None)), digits.offset)[-1]
        losses.append(float(torch.nn.functional.cross_entropy(answers, digits.labels)))
    assert losses[0] < 0.8 * losses[1]


def test_uniform_steps_with_entropy_coding_beat_kmeans() -> None:
    """Choi et al., section 4: fewer bits of entropy and a lower loss at once."""
    uniform = [UniformSteps(entries=16).share(part, None, RANDOM) for part in weights()]
    clustered = kmeans(8, Start.OPTIMAL)
    assert entropy(uniform) < 0.85 * entropy(clustered)
    assert loss(uniform) < loss(clustered)


def test_ward_is_the_best_linkage_at_three_bits() -> None:
    """Hu and Rao, table 1: the only linkage that stays good."""
    losses = {
        linkage: loss([Hierarchical(entries=8, linkage=linkage).share(part, None, RANDOM) for part in weights()])
        for linkage in ("ward", "complete", "average", "single")
    }
    assert losses["ward"] < 0.5 * min(losses[name] for name in ("complete", "average", "single"))


def test_vectors_beat_scalars_and_low_rank_is_worst_below_two_bits_a_weight() -> None:
    """Gong et al., figure 3 in kind, on the largest layer, bits of 16-bit codebooks counted: vectors < k-means < low rank."""
    weight = LAYOUT.weights(parameters())[0].numpy()
    rows, cols = weight.shape
    vectors = (
        VectorKMeans(entries=128, length=4, iterations=5),  # 7/4 + 0.03 bits
        ResidualQuantisation(entries=128, length=8, stages=2, iterations=5),  # 14/8 + 0.14
        ProductQuantisation(entries=8, length=2, iterations=5),  # 3/2 + 0.43
    )
    errors = [np.mean((item.share(weight, np.random.default_rng(0)).weights().numpy() - weight) ** 2) for item in vectors]
    scalar = KMeans(entries=4, start=Start.OPTIMAL).share(weight.ravel(), None, RANDOM)
    clustered = np.mean((scalar.centroids[scalar.codes] - weight.ravel()) ** 2)
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    rank = 2 * weight.size // (16 * (rows + cols))
    low_rank = np.mean(((left[:, :rank] * values[:rank]) @ right[:rank] - weight) ** 2)
    assert max(errors) < clustered < low_rank


def test_the_angle_to_the_pyramid_falls_with_its_pulses() -> None:
    """Liguori, arXiv:1704.02681: more pulses a weight, a finer lattice of directions."""
    weight = LAYOUT.weights(parameters())[1].numpy()
    angles = []
    for ratio in (0.25, 0.5, 1, 2, 4):
        points = nearest_points(weight, round(ratio * weight.shape[1]))
        cosines = np.sum(weight * points, axis=1) / np.linalg.norm(weight, axis=1) / np.linalg.norm(points, axis=1)
        angles.append(np.degrees(np.arccos(cosines)).mean())
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] < angles[0] / 8


def test_pruning_and_quantisation_together_reach_rates_that_neither_reaches_alone() -> None:
    """Deep Compression, figure 6 in kind: whole files, each fine-tuned for an epoch, errors on the validation digits."""
    mnist = replace(load_mnist(), train=load_mnist().train.part(0, 8_000), test=load_mnist().test.part(0, 100))

    def rate_and_errors(density: float | None, quantise: str) -> tuple[float, int]:
        prune = "" if density is None else f'prune = {{method = "gradual", density = {density}, epochs = 3}}\n'
        recipe = parse_recipe(f'name = "x"\n{prune}quantise = {{{quantise}}}\nfinetune = {{epochs = 1}}\n', where="x")
        model = compress(recipe, LENET, load_weights(LENET), mnist)
        return LENET.float_bytes / model.file_bytes, int(model.notes["validation_errors"])

    pruned = rate_and_errors(0.03, 'method = "fixed"')
    clustered = rate_and_errors(None, 'method = "kmeans", entries = 3, start = "linear"')
    together = rate_and_errors(0.05, 'method = "kmeans", entries = 7, start = "linear"')
    assert together[0] > 1.5 * max(pruned[0], clustered[0])
    assert together[1] < 0.95 * min(pruned[1], clustered[1])
