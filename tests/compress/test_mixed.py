"""Is the choice of bits the best one there is, within its budget, and is it better than the same bits everywhere?"""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from qsim.compress.mixed import Sensitivity, choose, score
from qsim.compress.network import Layout, Samples, error_count
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.mixed import MixedAffine
from qsim.compress.quantizers.pvq import PyramidVectors
from qsim.compress.recipe import Recipe, parse_recipe
from qsim.errors import RecipeError
from qsim.formats.layer import StreamKind
from tests.compress.small import TASK, data, state
from tests.contracts.test_quantizers import given

LAYOUT = Layout.of(TASK.layers)


@settings(max_examples=30, deadline=None)
@drawn(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.floats(0, 1))
def test_no_other_choice_within_the_budget_costs_less(seed: int, layers: int, options: int, share: float) -> None:
    """Against all choices, one by one."""
    random = np.random.default_rng(seed)
    costs, sizes = random.exponential(10.0 ** random.integers(-6, 6), (layers, options)), random.integers(1, 50, (layers, options))
    low, high = sizes.min(axis=1).sum(), sizes.max(axis=1).sum()
    budget = int(low + share * (high - low))
    every, rows = list(product(range(options), repeat=layers)), np.arange(layers)
    fitting = [costs[rows, list(choice)].sum() for choice in every if sizes[rows, list(choice)].sum() <= budget]
    found = list(choose(costs, sizes, budget))
    assert sizes[rows, found].sum() <= budget
    assert costs[rows, found].sum() == pytest.approx(min(fitting), rel=1e-6)


def test_a_budget_below_the_smallest_choice_names_the_least_that_works() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.budget_bytes must be at least 5 for these layers and choices, not 4"):
        choose([[1.0, 0.0], [1.0, 0.0]], [[2, 4], [3, 6]], 4)


def test_the_score_is_the_published_formula() -> None:
    """A change of 0.1 everywhere, deviation 1, distances from the mean that sum to 100: 0.1 / 1 * log_100(100)."""
    weights = np.tile([-1.0, 1.0], 50)
    assert score(weights, weights + 0.1) == pytest.approx(0.1)
    assert score(np.tile([-1.0, 1.0], 5_000), np.tile([-0.9, 1.1], 5_000)) == pytest.approx(0.1 * math.log(10_000, 100))


@pytest.mark.parametrize("by", Sensitivity)
def test_the_file_keeps_the_budget_and_more_bytes_are_used(by: Sensitivity) -> None:
    used = []
    for budget in (1_600, 2_200):
        model = compress(
            Recipe(name="mixed", quantise=MixedAffine(budget_bytes=budget, choices=(2, 3, 4, 5), by=by)), TASK, state(), data()
        )
        kinds = model.bytes_by_kind
        used.append(sum(kinds[kind] for kind in kinds if kind not in (StreamKind.BIAS, StreamKind.HEADER)))
        assert used[-1] <= budget
    assert used[0] < used[1]


def test_bits_by_the_hessian_beat_the_opposite_choice() -> None:
    """The bits of the sensitive layers given to the others: more errors at no fewer bytes."""
    how = MixedAffine(budget_bytes=1_500, choices=(2, 4))
    chosen = how.bits(given(LAYOUT.pack(state())))
    assert len(set(chosen)) == 2
    samples = Samples.of(data().validation, TASK.normalisation)

    def wrong(bits: tuple[int, ...]) -> int:
        changed = LAYOUT.pack(state())
        for place, weight in enumerate(LAYOUT.weights(changed)):
            weight.copy_(how.with_bits(bits[place]).share(given(LAYOUT.pack(state())), place, weight).weights())
        return error_count(LAYOUT, changed, samples)

    assert wrong(chosen) < wrong(tuple(6 - bits for bits in chosen))


def test_a_recipe_names_all_of_it() -> None:
    text = 'name = "x"\n[quantise]\nmethod = "mixed"\nbudget_bytes = 90000\nchoices = [2, 4]\nby = "accuracy"'
    assert parse_recipe(text).quantise == MixedAffine(budget_bytes=90_000, choices=(2, 4), by=Sensitivity.ACCURACY)
    with pytest.raises(RecipeError, match=r"quantise\.choices must be some of 2 to 8"):
        parse_recipe(text.replace("[2, 4]", "[1]"))


def test_a_budget_is_of_bytes_or_of_bits_a_weight() -> None:
    by_bits, by_bytes = MixedAffine(budget_bits=3.0, choices=(2, 4)), MixedAffine(budget_bytes=LAYOUT.weight_count * 3 // 8, choices=(2, 4))
    assert by_bits.bits(given(LAYOUT.pack(state()))) == by_bytes.bits(given(LAYOUT.pack(state())))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({}, r"quantise\.budget_bytes must be above 0, or quantise\.budget_bits, not 0"),
        ({"budget_bytes": 9, "budget_bits": 2.0}, r"quantise\.budget_bits must be left out beside quantise\.budget_bytes, not 2\.0"),
        ({"budget_bytes": -5, "budget_bits": 2.0}, r"quantise\.budget_bytes must be at least 0 and finite, not -5"),
        ({"budget_bits": math.inf}, r"quantise\.budget_bits must be at least 0 and finite, not inf"),
        ({"budget_bits": math.nan}, r"quantise\.budget_bits must be at least 0 and finite, not nan"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(settings_: dict[str, float], message: str) -> None:
    for quantizer in (MixedAffine, PyramidVectors):
        if settings_ or quantizer is MixedAffine:
            with pytest.raises(RecipeError, match=message):
                quantizer(**settings_)


def test_a_budget_too_small_is_told_in_its_own_unit() -> None:
    for how in (MixedAffine(budget_bits=0.001), PyramidVectors(budget_bits=0.001, epochs=0)):
        with pytest.raises(RecipeError, match=r"quantise\.budget_bits must be at least \d\.\d+ for these layers and choices, not 0\.001"):
            how.quantise(given(LAYOUT.pack(state())))
