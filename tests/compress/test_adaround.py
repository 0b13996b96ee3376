"""Does adaptive rounding do less harm than the nearest one, is every weight still one of its two neighbours, are moments what they say?"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from qsim.compress.bias_correction import correct_biases
from qsim.compress.finetune import effective
from qsim.compress.layer_inputs import means, second_moments, windows_of
from qsim.compress.network import Layout, Samples, error_count, forward, results_and_logits
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.affine import Affine, Granularity, Rounding
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.compress.train import initial_parameters
from qsim.progress import silent
from qsim.sim.semantics import infer
from tests.compress import small
from tests.compress.test_convolution import LAYERS as CONVOLUTIONS
from workloads import WORKLOADS
from workloads.mnist import load_mnist
from workloads.weights import load_weights

LENET = WORKLOADS["lenet-300-100"]
LAYOUT = Layout.of(LENET.layers)
WINDOWS = Layout.of(CONVOLUTIONS)


@cache
def lenet() -> QuantizerInput:
    mnist = load_mnist()
    train, validation = (Samples.of(split, LENET.normalisation) for split in (mnist.train.part(0, 2_000), mnist.validation))
    return QuantizerInput(
        layout=LAYOUT, parameters=LAYOUT.pack(load_weights(LENET)), masks=None, samples=train, validation=validation,
        generator=torch.Generator(), random=np.random.default_rng(0), progress=silent,
    )  # fmt: skip


@cache
def quantised(bits: int, rounding: Rounding) -> Quantised:
    return Affine(bits=bits, rounding=rounding).quantise(lenet())


def wrong(found: Quantised) -> int:
    assert lenet().validation is not None
    return error_count(LAYOUT, effective(LAYOUT, found), lenet().validation)


@pytest.mark.parametrize("bits", [4, 3])
def test_fewer_errors_than_by_nearest_rounding_without_retraining(bits: int) -> None:
    """The claim of the paper, on 5,000 validation digits of LeNet-300-100."""
    assert wrong(quantised(bits, Rounding.ADAPTIVE)) < wrong(quantised(bits, Rounding.NEAREST))


def test_every_weight_goes_to_the_step_below_or_above() -> None:
    for place, weight in enumerate(LAYOUT.weights(lenet().parameters)):
        step = float(quantised(3, Rounding.ADAPTIVE).layers[place].trainable)
        near, found = (quantised(3, rounding).layers[place].weights() for rounding in Rounding)
        inside = (weight - near).abs() <= step / 2  # the others are clipped
        assert float(((weight - found).abs() / step)[inside].max()) <= 1 + 1e-4
        assert 0 < float((found != near).float().mean()) < 0.5


@pytest.mark.parametrize("layer", range(3))
def test_windows_times_weights_are_the_results_of_the_layer(layer: int) -> None:
    """Padding, stride and groups included; then means and second moments are averages over them."""
    generator = torch.Generator().manual_seed(0)
    parameters, other = initial_parameters(WINDOWS, generator), initial_parameters(WINDOWS, generator)
    raw = torch.randint(0, 256, (300, 36), generator=generator, dtype=torch.uint8)
    samples = Samples(raw, torch.zeros(300, dtype=torch.int64), 0.01, -0.4)
    inputs = samples.normalised(slice(None))
    weight, bias = WINDOWS.weights(parameters)[layer], WINDOWS.biases(parameters)[layer]
    x, y = (
        windows_of(WINDOWS, layer, forward(WINDOWS, flat, inputs, samples.offset)[layer], samples.offset * (layer == 0))
        for flat in (parameters, other)
    )
    products = (x @ weight.view(len(x), -1, weight.shape[1]).mT).permute(1, 0, 2).reshape(-1, len(bias)) + bias
    assert torch.allclose(
        results_and_logits(WINDOWS, parameters, inputs, samples.offset)[0][layer].view(-1, len(bias)), products, atol=1e-4
    )
    assert torch.allclose(means(WINDOWS, parameters, layer, samples), x.mean(1), atol=1e-5)
    gram, cross = second_moments(WINDOWS, parameters, other, layer, samples)
    assert torch.allclose(gram, y.mT @ y / y.shape[1], atol=1e-3)
    assert torch.allclose(cross, x.mT @ y / y.shape[1], atol=1e-3)


def test_corrected_biases_give_the_mean_results_of_the_original_network() -> None:
    found = Affine(bits=3).quantise(lenet())
    before = wrong(found)
    correct_biases(LAYOUT, lenet().parameters, found, lenet().samples)
    inputs = lenet().samples.normalised(slice(None))
    original, corrected = (results_and_logits(LAYOUT, flat, inputs)[0] for flat in (lenet().parameters, effective(LAYOUT, found)))
    for wanted, has in zip(original, corrected, strict=True):
        assert torch.allclose(wanted.mean(0), has.mean(0), atol=1e-3)
    assert wrong(found) <= before + 10  # on the digits of others it may go either way by a few


@pytest.mark.parametrize("granularity", Granularity)
def test_a_pruned_network_with_both_goes_into_a_file_that_both_references_run(granularity: Granularity) -> None:
    text = f"""
        name = "both"
        prune = {{method = "gradual", density = 0.4, epochs = 1}}
        calibration = {{samples = 500, correct_biases = true}}
        quantise = {{method = "affine", bits = 3, granularity = "{granularity}", rounding = "adaptive"}}"""
    recipe, images = parse_recipe(text), small.data().test.images[:100]
    model = compress(recipe, small.TASK, small.state(), small.data())
    assert np.array_equal(infer(model, images).logits, TorchReference(model)(images))
    kept = sum(np.count_nonzero(layer.form.reconstruct()) for layer in model.layers)
    assert kept <= 0.41 * Layout.of(small.TASK.layers).weight_count
    plain = replace(recipe, quantise=replace(recipe.quantise, rounding=Rounding.NEAREST))
    assert compress(plain, small.TASK, small.state(), small.data()).content_hash != model.content_hash
