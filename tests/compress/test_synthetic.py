"""Are synthetic inputs what the network asks for, repeatable, and good enough to calibrate with where there is no data?"""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from qsim.compress.network import Layout, Samples, error_count, results_and_logits
from qsim.compress.pipeline import compress_in_stages
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.statistics import Statistics, fold, statistics_of
from qsim.compress.synthetic import class_targets, impressions
from qsim.compress.task import FloatState
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state

LAYOUT = Layout.of(TASK.layers)
TRAIN = Samples.of(data().train, TASK.normalisation)
ZERO_SHOT = """
    name = "zero-shot"
    calibration = {data = "synthetic", samples = 500, correct_biases = true}
    quantise = {method = "affine", bits = 4, rounding = "adaptive"}"""


@cache
def with_batch_norm() -> tuple[nn.Sequential, FloatState]:
    """The small network with batch norm before each ReLU, trained by PyTorch, and the same folded."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for layer in TASK.layers:
        parts += [nn.Linear(layer.inputs, layer.outputs)]
        parts += [nn.BatchNorm1d(layer.outputs), nn.ReLU()] if layer.name != "c" else []
    network = nn.Sequential(*parts)
    optimiser, inputs = torch.optim.Adam(network.parameters(), 3e-3), TRAIN.normalised(slice(None))
    for _ in range(4):
        for chosen in torch.randperm(len(inputs)).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[chosen]), TRAIN.labels[chosen]).backward()
            optimiser.step()
    network.eval()
    return network, folded(network)


def folded(network: nn.Sequential) -> FloatState:
    found: FloatState = {}
    for name, place in (("a", 0), ("b", 3), ("c", 6)):
        weight, bias = (part.detach().numpy() for part in (network[place].weight, network[place].bias))
        if name == "c":
            found |= {"c.weight": weight, "c.bias": bias}
        else:
            norm = network[place + 1]
            parts = [part.detach().numpy() for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
            found |= fold(name, weight, bias, parts)
    return found


def made(weights: FloatState, count: int = 250, statistics: dict[int, Statistics] | None = None) -> Samples:
    asked = statistics_of(LAYOUT, weights) if statistics is None else statistics
    generator, random = torch.Generator().manual_seed(1), np.random.default_rng(1)
    return impressions(LAYOUT, LAYOUT.pack(weights), TRAIN, count, asked, generator, random)


def test_impressions_are_of_the_classes_asked_for_and_repeat() -> None:
    found = made(state())
    assert error_count(LAYOUT, LAYOUT.pack(state()), found) <= 0.05 * len(found)
    assert set(found.labels.tolist()) == set(range(10))
    assert torch.equal(found.raw, made(state()).raw)


def test_targets_are_probabilities_and_alike_rows_share_theirs() -> None:
    last = torch.eye(4)
    last[1] = last[0] + 0.1 * last[2]
    found = class_targets(last, 400, np.random.default_rng(0))
    assert torch.allclose(found.sum(1), torch.ones(400), atol=1e-5)
    mean = found[0::4].mean(0)
    assert float(mean[:2].sum()) > 0.95
    assert abs(float(mean[0] - mean[1])) < 0.15


def test_folding_keeps_the_network_and_its_statistics_are_those_of_the_training_data() -> None:
    network, weights = with_batch_norm()
    inputs = TRAIN.normalised(slice(None))
    results, logits = results_and_logits(LAYOUT, LAYOUT.pack(weights), inputs)
    with torch.no_grad():
        assert torch.allclose(logits, network(inputs), atol=1e-3)
    for place, seen in statistics_of(LAYOUT, weights).items():
        assert torch.allclose(results[place].mean(0), seen.mean, atol=0.25)
        assert torch.allclose(results[place].std(0), seen.deviation, rtol=0.3)


def test_synthetic_inputs_have_the_statistics_of_batch_norm() -> None:
    """Nearer than noise with the same pixels is."""
    weights = with_batch_norm()[1]
    found = made(weights)
    noise = Samples(found.raw.flatten()[torch.randperm(found.raw.numel())].view(found.raw.shape), found.labels, found.scale, found.offset)

    def distance(samples: Samples) -> float:
        results = results_and_logits(LAYOUT, LAYOUT.pack(weights), samples.normalised(slice(None)))[0]
        seen = statistics_of(LAYOUT, weights)
        return sum(float((results[place].std(0) - layer.deviation).square().mean()) for place, layer in seen.items())

    assert distance(found) < 0.3 * distance(noise)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_four_bits_without_data_are_nearly_as_good_as_the_float_network(batch_norm: bool) -> None:
    """The whole recipe; both references run the file."""
    weights = with_batch_norm()[1] if batch_norm else state()
    found = compress_in_stages(parse_recipe(ZERO_SHOT), TASK, weights, data())
    assert found.validation["fixed point"].percent <= found.validation["float"].percent + 2.5
    images = data().test.images[:50]
    assert np.array_equal(infer(found.model, images).logits, TorchReference(found.model)(images))
