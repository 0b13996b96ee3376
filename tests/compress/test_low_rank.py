"""Question: does cutting a layer in two lose just what the theorem says, and does the cut network go all the way to a file and machines?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qsim.compress.low_rank import LowRank
from qsim.compress.network import Layout, Samples, forward
from qsim.compress.pipeline import compress_in_stages
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.errors import FieldError, RecipeError
from qsim.model.compressed import CompressedModel
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state
from workloads import WORKLOADS
from workloads.weights import load_weights

QUANTISE = '[quantise]\nmethod = "kmeans"\nentries = 32\nstart = "optimal"\n'


def test_what_is_lost_is_the_tail_of_the_squared_singular_values() -> None:
    """Eckart and Young, Psychometrika 1936."""
    cut, tensors = LowRank(ranks=(20, 0, 4)).apply(TASK, state())
    assert [layer.name for layer in cut.layers] == ["a.right", "a.left", "b", "c.right", "c.left"]
    assert [(layer.rows, layer.columns) for layer in cut.layers] == [(20, 64), (48, 20), (32, 48), (4, 32), (10, 4)]
    for name, rank in (("a", 20), ("c", 4)):
        weight = state()[f"{name}.weight"].astype(np.float64)
        error = np.sum((tensors[f"{name}.left.weight"].astype(np.float64) @ tensors[f"{name}.right.weight"] - weight) ** 2)
        tail = np.sum(np.linalg.eigvalsh(weight.T @ weight)[: weight.shape[1] - rank])
        assert error == pytest.approx(tail, rel=1e-4)


def test_at_full_rank_the_function_is_the_same() -> None:
    cut, tensors = LowRank(ranks=(48, 32, 10)).apply(TASK, state())
    before, after = Layout.of(TASK.layers), Layout.of(cut.layers)
    inputs = Samples.of(data().validation, TASK.normalisation).normalised(slice(0, 100))
    expected = forward(before, before.pack(state()), inputs)[-1]
    assert torch.allclose(forward(after, after.pack(tensors), inputs)[-1], expected, atol=1e-4)


def test_a_cut_network_is_compressed_to_a_file_that_runs(tmp_path: Path) -> None:
    prune = '{method = "gradual", density = 0.5, epochs = 4}'
    recipe = parse_recipe(f'name = "x"\nlow_rank = {{ranks = [24, 16, 0]}}\nprune = {prune}\n{QUANTISE}')
    found = compress_in_stages(recipe, TASK, state(), data())
    assert list(found.validation) == ["float", "low rank", "prune", "quantise", "finetune", "fixed point"]
    assert found.validation["fixed point"].wrong <= found.validation["float"].wrong + 15  # of 500
    found.model.save(tmp_path / "model.qsz")
    model = CompressedModel.load(tmp_path / "model.qsz")
    assert [layer.node.name for layer in model.layers] == ["a.right", "a.left", "b.right", "b.left", "c"]
    assert model.float_bytes == 4 * Layout.of(TASK.layers).parameter_count  # of the network that was given
    images = data().test.images[:100]
    assert np.array_equal(infer(model, images).logits, TorchReference(model)(images))


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ("[1, 2]", r"low_rank\.ranks must be 3 numbers, one a layer, not 2"),
        ("[-1, 0, 0]", r"low_rank\.ranks\[0\] must be at least 0, not -1"),
        ("[49, 0, 0]", r"low_rank\.ranks\[0\] must be at most 48, the rank of a, not 49"),
        ("[1.5, 0, 0]", r"low_rank\.ranks\[0\] must be a whole number"),
    ],
)
def test_mistakes_are_named(ranks: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        compress_in_stages(parse_recipe(f'name = "x"\nlow_rank = {{ranks = {ranks}}}\n{QUANTISE}'), TASK, state(), data())


def test_a_convolution_is_not_cut() -> None:
    task = WORKLOADS["lenet-5"]
    with pytest.raises(RecipeError, match=r"low_rank\.ranks\[0\] must be 0 for conv1: only fully connected layers are cut, not 5"):
        LowRank(ranks=(5, 0, 0, 0)).apply(task, load_weights(task))


def test_tables_of_recipes_without_it_keep_the_task() -> None:
    assert LowRank().apply(TASK, state())[0] is TASK
    assert parse_recipe(f'name = "x"\n{QUANTISE}').low_rank == LowRank()


def test_a_note_that_is_no_number_of_parameters_is_refused() -> None:
    model = compress_in_stages(parse_recipe(f'name = "x"\n{QUANTISE}'), TASK, state(), data()).model
    with pytest.raises(FieldError, match=r"model\.notes\.float_parameters must be a positive whole number, not 0"):
        replace(model, notes={"float_parameters": 0})
