"""Does the whole compression yield a model that is right, repeatable and survives its file; is folding exact; are ranges safe?"""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from qsim.compress.calibrate import FixedPoint, fold_normalisation
from qsim.compress.network import Layout, Samples, forward
from qsim.compress.order import order_units
from qsim.compress.pipeline import Compression, compress, compress_in_stages
from qsim.compress.prune import Pruned
from qsim.compress.quality import float_errors, integer_errors
from qsim.compress.quantizers.pvq import PyramidVectors
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.train import Descent, initial_parameters, train_reference
from qsim.errors import DataError, RecipeError
from qsim.formats.layer import Dense, Pyramid, ScalarCoded
from qsim.model.compressed import CompressedModel
from qsim.sim.semantics import infer
from tests.compress.test_network import LAYOUT, small_samples
from workloads import WORKLOADS
from workloads.mnist import Mnist, load_mnist
from workloads.weights import load_weights
from workloads.workload import Workload

LENET = WORKLOADS["lenet-300-100"]
TABLES = {
    "sparse": """
        prune = {method = "gradual", density = 0.1, epochs = 2}
        quantise = {method = "kmeans", entries = 15}
        finetune = {epochs = 1}""",
    "iterative": """
        prune = {method = "iterative", densities = [0.1, 0.1, 0.3], rounds = 2, epochs = 1}
        quantise = {method = "kmeans", entries = 31, start = "forgy"}""",
    "codebook": """
        quantise = {method = "kmeans", entries = 16, start = "optimal", zero = true}
        fixed_point = {bias_bits = 8}""",
    "pvq": """
        quantise = {method = "pvq", pulses = [0.3, 0.6, 2], epochs = 1, interval = 10, learning_rate = 0.001}
        finetune = {epochs = 1}""",
    "dense": """
        quantise = {method = "fixed"}""",
}
SHORT = {name: f'name = "{name}"{table}\n' for name, table in TABLES.items()}


@cache
def data() -> Mnist:
    full = load_mnist()
    return replace(full, train=full.train.part(0, 6_000), validation=full.validation.part(0, 1_000), test=full.test.part(0, 1_000))


@cache
def compressed(name: str) -> Compression:
    return compress_in_stages(parse_recipe(SHORT[name]), LENET, load_weights(LENET), data(), weight_source="shipped")


@pytest.mark.parametrize("name", SHORT)
def test_integer_network_is_nearly_as_good_as_the_float_one(name: str) -> None:
    found = compressed(name).validation
    assert list(found) == ["float", "prune", "quantise", "finetune", "fixed point"]
    assert found["fixed point"].percent <= found["float"].percent + 3.0
    assert abs(found["fixed point"].wrong - found["finetune"].wrong) <= 5  # rounding to 16 bits (8 for biases) changes little
    assert integer_errors(compressed(name).model, data().validation) == found["fixed point"]


@pytest.mark.parametrize("name", SHORT)
def test_both_implementations_agree_on_real_digits_and_after_the_file(name: str, tmp_path: Path) -> None:
    model = compressed(name).model
    model.save(tmp_path / "model.qsz")
    again = CompressedModel.load(tmp_path / "model.qsz")
    images = data().test.images[:200]
    logits = TorchReference(model)(images)
    assert np.array_equal(infer(again, images).logits, logits)
    assert again.recipe_text == SHORT[name]
    assert (tmp_path / "model.qsz").stat().st_size == model.file_bytes


@pytest.mark.parametrize("name", SHORT)
def test_nothing_saturates_on_training_data(name: str) -> None:
    model = compressed(name).model
    images = data().train.images[:1_000]
    wide = [replace(layer.node, accumulator_format=replace(layer.node.accumulator_format, width=44)) for layer in model.layers]
    layers = tuple(replace(layer, node=node) for layer, node in zip(model.layers, wide, strict=True))
    unlimited = replace(model, graph=replace(model.graph, nodes=tuple(wide)), layers=layers)
    assert np.array_equal(infer(model, images).logits, infer(unlimited, images).logits)
    for layer, values in zip(model.layers[1:], infer(model, images).inputs[1:], strict=True):
        assert values.max() < layer.node.input_format.maximum / 1.9  # one bit of headroom


def test_forms_are_what_the_recipes_ask_for() -> None:
    forms = {name: [layer.form for layer in compressed(name).model.layers] for name in SHORT}
    assert all(isinstance(form, Dense) for form in forms["dense"])
    assert all(isinstance(form, Pyramid) for form in forms["pvq"])
    for form in forms["codebook"]:
        assert isinstance(form, ScalarCoded)
        assert form.mask is None
        assert len(form.codebook) <= 16
        assert 0 in form.codebook
    kept = 0
    for form in forms["sparse"]:
        assert isinstance(form, ScalarCoded)
        assert form.mask is not None
        assert len(form.codebook) <= 15
        kept += int(form.mask.sum())
    assert kept == round(0.1 * 266_200)


def test_pulses_of_every_row_sum_to_k() -> None:
    for layer, ratio in zip(compressed("pvq").model.layers, (0.3, 0.6, 2), strict=True):
        assert set(np.abs(layer.form.reconstruct()).sum(axis=1)) == {round(ratio * layer.node.inputs)}


def test_the_same_seed_gives_the_same_file_and_another_does_not() -> None:
    few = replace(data(), train=data().train.part(0, 1_000))
    text = SHORT["sparse"]
    first, second = (compress(parse_recipe(text), LENET, load_weights(LENET), few) for _ in range(2))
    assert first.content_hash == second.content_hash
    other = compress(parse_recipe("seed = 1\n" + text), LENET, load_weights(LENET), few)
    assert not np.array_equal(other.layers[0].form.reconstruct(), first.layers[0].form.reconstruct())


def test_progress_reports_every_stage_to_its_end() -> None:
    calls: list[tuple[str, int, int]] = []
    few = replace(data(), train=data().train.part(0, 1_000))
    compress(parse_recipe(SHORT["sparse"]), LENET, load_weights(LENET), few, lambda *call: calls.append(call))
    assert [call[0] for call in calls if call[1] == call[2]] == ["prune", "quantise", "finetune", "fixed point"]


def test_folded_normalisation_is_the_same_function() -> None:
    random, layout = np.random.default_rng(0), Layout.of(LENET.layers)
    parameters = layout.pack(load_weights(LENET))
    normalisation = LENET.normalisation
    weight, bias = layout.weights(parameters)[0].double().numpy(), layout.biases(parameters)[0].double().numpy()
    folded = fold_normalisation(weight, bias, normalisation.gain, normalisation.offset)
    pixels = random.integers(0, 256, (50, 784))
    trained = ((pixels / 255 - normalisation.mean) / normalisation.deviation) @ weight.T + bias
    assert np.allclose((pixels / 256) @ folded[0].T + folded[1], trained, atol=1e-9)


def test_ordering_units_keeps_the_function_and_sorts() -> None:
    parameters, random = initial_parameters(LAYOUT, torch.Generator().manual_seed(1)), np.random.default_rng(2)
    masks = tuple(random.random(shape) < 0.5 for shape in LAYOUT.shapes)
    for weight, mask in zip(LAYOUT.weights(parameters), masks, strict=True):
        weight.mul_(torch.from_numpy(mask))
    ordered = order_units(LAYOUT, Pruned(parameters, masks))
    assert ordered.masks is not None
    inputs = small_samples().normalised(slice(0, 20))
    assert torch.allclose(forward(LAYOUT, ordered.parameters, inputs)[-1], forward(LAYOUT, parameters, inputs)[-1], atol=1e-5)
    assert all(np.array_equal(w.numpy() != 0, m) for w, m in zip(LAYOUT.weights(ordered.parameters), ordered.masks, strict=True))
    last = ordered.masks[1].sum(axis=1) + ordered.masks[2].sum(axis=0)
    assert all(before >= after for before, after in pairwise(last))


def test_reference_training_learns_from_its_seed() -> None:
    few = replace(data(), train=data().train.part(0, 3_000))
    trained = train_reference(LENET, few, Descent(epochs=2), seed=3)
    assert trained.validation_errors / trained.validation_count < 0.2
    assert float_errors(LENET, trained.state, data().validation).wrong == trained.validation_errors
    assert all(
        np.array_equal(values, train_reference(LENET, few, Descent(epochs=2), seed=3).state[name]) for name, values in trained.state.items()
    )


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_shipped_checkpoint_meets_the_published_error(workload: Workload) -> None:
    errors = float_errors(workload, load_weights(workload), load_mnist().test)
    assert errors.percent <= workload.published.reference_error_percent


def test_samples_are_normalised() -> None:
    samples = Samples.of(data().train, LENET.normalisation)
    expected = (data().train.images[:5] / 255 - 0.13066) / 0.30811
    assert np.allclose(samples.normalised(slice(0, 5)).numpy(), expected, atol=1e-5)


def test_impossible_wishes_are_refused() -> None:
    state = load_weights(LENET)
    with pytest.raises(RecipeError, match=r"quantise\.pulses must be 3 numbers, one a layer, or 1, not 2"):
        compress(parse_recipe('name = "x"\nquantise = {method = "pvq", pulses = [1, 2]}'), LENET, state, data())
    with pytest.raises(DataError, match=r"lack the tensor 'ip1\.bias'"):
        compress(parse_recipe(SHORT["dense"]), LENET, {"ip1.weight": state["ip1.weight"]}, data())
    with pytest.raises(RecipeError, match="learning_rate must be lower, the training diverged"):
        compress(parse_recipe(SHORT["pvq"].replace("0.001", "5")), LENET, state, data())
    with pytest.raises(RecipeError, match=r"fixed_point\.accumulator_bits must be at least"):
        narrow = replace(
            parse_recipe(SHORT["pvq"]), quantise=PyramidVectors(pulses=(4, 4, 4), epochs=0), fixed_point=FixedPoint(accumulator_bits=16)
        )
        compress(narrow, LENET, state, data())
