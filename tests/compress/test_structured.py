"""Do structured masks keep exact counts of the largest, and does a network trained under one have no other weights?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.pipeline import compress
from qsim.compress.pruners.structured import StructuredPruning
from qsim.compress.recipe import parse_recipe
from qsim.compress.structured import Pattern, blocks, n_of_m, units
from qsim.errors import RecipeError
from tests.compress.small import TASK, data, state

matrices = st.tuples(st.integers(1, 9), st.integers(1, 17), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).normal(size=drawn[:2])
)


@given(matrices, st.integers(1, 4), st.integers(4, 6))
def test_n_of_m_keeps_the_largest_of_every_group(weight: np.ndarray, kept: int, group: int) -> None:
    mask = n_of_m(weight, kept, group)
    for row, chosen in zip(np.abs(weight), mask, strict=True):
        for start in range(0, len(row), group):
            part, found = row[start : start + group], chosen[start : start + group]
            assert found.sum() == min(kept, len(part))
            assert part[found].min(initial=np.inf) >= part[~found].max(initial=0)


@given(matrices, st.integers(1, 4), st.integers(1, 4), st.floats(0.05, 1))
def test_blocks_are_kept_or_dropped_whole(weight: np.ndarray, height: int, width: int, density: float) -> None:
    mask = blocks(weight, height, width, density)
    corners = mask[::height, ::width]
    assert np.array_equal(mask, np.kron(corners, np.ones((height, width), dtype=bool))[: mask.shape[0], : mask.shape[1]])
    assert corners.sum() == max(1, np.floor(corners.size * density + 0.5))


def test_units_go_with_their_outgoing_weights_and_outputs_stay() -> None:
    random = np.random.default_rng(0)
    masks = units([random.normal(size=shape) for shape in ((8, 5), (6, 8), (3, 6))], 0.5)
    assert [int(mask.any(axis=1).sum()) for mask in masks] == [4, 3, 3]
    assert np.array_equal(masks[0].any(axis=1), masks[1].any(axis=0))


@pytest.mark.parametrize("pattern", Pattern)
def test_a_trained_network_has_the_structure_and_still_works(pattern: Pattern) -> None:
    recipe = parse_recipe(f'name = "x"\nprune = {{method = "structured", pattern = "{pattern}", density = 0.4, epochs = 4}}\n'
                          'quantise = {method = "kmeans", entries = 15}\n')  # fmt: skip
    model = compress(recipe, TASK, state(), data())
    weights = [layer.form.reconstruct() for layer in model.layers]
    masks = [weight != 0 for weight in weights]
    allowed = replace(recipe.prune, ramp=1.0).masks([np.abs(weight).astype(float) for weight in weights], 1.0)
    assert all(not np.any(mask & ~wide) for mask, wide in zip(masks, allowed, strict=True))
    assert model.notes["validation_errors"] < 100


def test_bad_settings_are_named() -> None:
    with pytest.raises(RecipeError, match=r"prune\.kept must be at most the group of 4, not 5"):
        StructuredPruning(pattern=Pattern.N_OF_M, kept=5)
