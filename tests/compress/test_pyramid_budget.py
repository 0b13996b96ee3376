"""Does each layer get the pulses that a budget of bytes leaves it, where they are worth most?"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from qsim.compress.mixed import Sensitivity
from qsim.compress.network import Layout, Samples, error_count
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.pvq import PyramidVectors, PyramidWeights, project_rows, pulses_of
from qsim.compress.recipe import Recipe, parse_recipe
from qsim.errors import RecipeError
from qsim.formats.layer import Pyramid, StreamKind
from tests.compress.small import TASK, data, state
from tests.contracts.test_quantizers import given

LAYOUT = Layout.of(TASK.layers)
CHOICES = (0.25, 0.5, 1.0, 2.0)


@pytest.mark.parametrize("by", Sensitivity)
def test_the_file_keeps_the_budget_and_more_bytes_are_used(by: Sensitivity) -> None:
    used = []
    for budget in (1_400, 2_200):
        model = compress(
            Recipe(name="x", quantise=PyramidVectors(budget_bytes=budget, choices=CHOICES, by=by, epochs=0)), TASK, state(), data()
        )
        kinds = model.bytes_by_kind
        used.append(sum(size for kind, size in kinds.items() if kind not in (StreamKind.HEADER, StreamKind.BIAS)))
        assert used[-1] <= budget
        assert all(isinstance(layer.form, Pyramid) for layer in model.layers)
    assert used[1] > used[0]


def test_no_other_pulses_within_the_budget_cost_less() -> None:
    """By trying all of them: errors on the training digits of each layer projected alone, summed, and the bytes of the real streams."""
    how = PyramidVectors(budget_bytes=1_800, choices=CHOICES, epochs=0)
    flat = LAYOUT.pack(state())
    samples = Samples.of(data().train, TASK.normalisation)
    costs, sizes = np.zeros((3, 4)), np.zeros((3, 4))
    for place, option in product(range(3), range(4)):
        changed = flat.clone()
        target = LAYOUT.weights(changed)[place]
        shared = PyramidWeights(*project_rows(target.numpy().copy(), pulses_of(CHOICES[option], target.shape[1])))
        target.copy_(shared.weights())
        with torch.no_grad():
            costs[place, option] = error_count(LAYOUT, changed, samples)
        alone = PyramidVectors(pulses=(CHOICES[option],), epochs=0)
        model = compress(Recipe(name="x", quantise=alone), TASK, state(), data())
        sizes[place, option] = sum(
            (stream.bits + 7) // 8 for stream in model.encoded_layers[place].streams if stream.kind is not StreamKind.BIAS
        )
    legal = [options for options in product(range(4), repeat=3) if sum(sizes[place, options[place]] for place in range(3)) <= 1_800]
    best = min(sum(costs[place, options[place]] for place in range(3)) for options in legal)
    chosen = [CHOICES.index(ratio) for ratio in how.chosen(given(flat))]
    assert sum(costs[place, option] for place, option in enumerate(chosen)) == best


def test_pulses_and_a_budget_exclude_each_other() -> None:
    recipe = 'name = "x"\n[quantise]\nmethod = "pvq"\n'
    rule = r"quantise\.pulses must be given, or quantise\.budget_bytes or quantise\.budget_bits above 0, one of them, not"
    for settings, value in (("", "none"), ("pulses = [1]\nbudget_bytes = 9", "both"), ("pulses = [1]\nbudget_bits = 9.0", "both")):
        with pytest.raises(RecipeError, match=f"{rule} '{value}'"):
            parse_recipe(f"{recipe}{settings}\n", where="x")
    by_bits = PyramidVectors(budget_bits=1_800 * 8 / LAYOUT.weight_count, choices=CHOICES, epochs=0)
    assert by_bits.chosen(given(LAYOUT.pack(state()))) == replace(by_bits, budget_bits=0.0, budget_bytes=1_800).chosen(
        given(LAYOUT.pack(state()))
    )
    with pytest.raises(RecipeError, match=r"quantise\.budget_bytes must be at least \d+ for these layers and choices, not 10"):
        PyramidVectors(budget_bytes=10, epochs=0).quantise(given(LAYOUT.pack(state())))
