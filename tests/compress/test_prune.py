"""Do the pruning schedules follow their formulas, and does the network end at exactly the density asked for?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qsim.compress.masked import RenewedMask
from qsim.compress.masks import kept_count
from qsim.compress.network import Layout
from qsim.compress.prune import prune
from qsim.compress.pruners.given import NoPruning
from qsim.compress.pruners.gradual import GradualPruning
from qsim.compress.pruners.iterative import IterativePruning
from qsim.compress.train import initial_parameters
from qsim.errors import RecipeError
from tests.compress.test_network import LAYOUT, small_samples


def start(seed: int = 1) -> torch.Tensor:
    return initial_parameters(LAYOUT, torch.Generator().manual_seed(seed))


def test_cubic_schedule() -> None:
    how = GradualPruning(density=0.1, ramp=0.5)
    assert how.density_at(0.0, 1.0, 0.1) == 1.0
    assert how.density_at(0.25, 1.0, 0.1) == pytest.approx(0.1 + 0.9 * 0.125)
    assert how.density_at(0.5, 1.0, 0.1) == how.density_at(1.0, 1.0, 0.1) == 0.1
    assert how.density_at(0.25, 0.1, 0.02) == pytest.approx(0.02 + 0.08 * 0.125)


def test_geometric_schedule() -> None:
    how = IterativePruning(densities=(0.16, 0.81), rounds=4)
    assert [how.density(0, finished) for finished in range(5)] == pytest.approx([1, 0.4**0.5, 0.4, 0.4**1.5, 0.16])
    assert how.density(1, 4) == pytest.approx(0.81)


def test_no_pruning_changes_nothing() -> None:
    pruned = prune(NoPruning(), LAYOUT, start(), small_samples(), torch.Generator())
    assert pruned.masks is None
    assert torch.equal(pruned.parameters, start())


def test_iterative_pruning_ends_at_exact_counts_and_never_revives() -> None:
    how = IterativePruning(densities=(0.1, 0.3, 0.5), rounds=3, epochs=2, batch=10)
    calls: list[tuple[str, int, int]] = []
    pruned = prune(how, LAYOUT, start(), small_samples(), torch.Generator().manual_seed(0), lambda *call: calls.append(call))
    assert pruned.masks is not None
    sizes = zip(pruned.masks, LAYOUT.sizes, how.densities, strict=True)
    assert all(mask.sum() == kept_count(size, density) for mask, size, density in sizes)
    for weight, mask in zip(LAYOUT.weights(pruned.parameters), pruned.masks, strict=True):
        assert np.array_equal(weight.numpy() != 0, mask)
    assert calls == [("prune", done, 6) for done in range(1, 7)]


def test_gradual_pruning_ends_at_the_exact_count() -> None:
    how = GradualPruning(density=0.2, epochs=5, interval=2, batch=10)
    pruned = prune(how, LAYOUT, start(), small_samples(), torch.Generator().manual_seed(0))
    assert pruned.masks is not None
    assert sum(int(mask.sum()) for mask in pruned.masks) == kept_count(LAYOUT.weight_count, 0.2)
    assert all(np.array_equal(w.numpy() != 0, m) for w, m in zip(LAYOUT.weights(pruned.parameters), pruned.masks, strict=True))


def test_a_second_training_goes_on_from_the_pruned_network() -> None:
    """Is the first of two trainings the same as without a second, and does the second end at its own exact count?"""
    once = GradualPruning(density=0.4, epochs=3, interval=2, batch=10)
    calls: list[tuple[str, int, int]] = []
    first, generator = start(), torch.Generator().manual_seed(0)
    pruned = prune(once, LAYOUT, first, small_samples(), generator)
    rest = GradualPruning(density=0.4, epochs=0, interval=2, batch=10, second_density=0.2, second_epochs=2)
    expected = prune(rest, LAYOUT, pruned.parameters, small_samples(), generator)
    both = replace(once, second_density=0.2, second_epochs=2)
    found = prune(both, LAYOUT, start(), small_samples(), torch.Generator().manual_seed(0), lambda *call: calls.append(call))
    assert torch.equal(found.parameters, expected.parameters)
    assert found.masks is not None
    assert sum(int(mask.sum()) for mask in found.masks) == kept_count(LAYOUT.weight_count, 0.2)
    assert calls == [("prune", done, 5) for done in range(1, 6)]
    with pytest.raises(RecipeError, match=r"prune\.second_density must be above 0, at most 0\.4"):
        replace(once, second_density=0.5, second_epochs=1)
    with pytest.raises(RecipeError, match=r"prune\.second_epochs must be at least 0"):
        replace(once, second_epochs=-1)


def test_a_dropped_weight_can_grow_back_until_the_mask_settles() -> None:
    layout = Layout(("a",), ((1, 4),), (False,))
    keep_two = [np.array([True, True, False, False]), np.array([False, True, True, False])]
    rule_calls: list[float] = []

    def rule(part: float, parameters: torch.Tensor) -> np.ndarray:
        rule_calls.append(part)
        return keep_two[len(rule_calls) > 1]

    masked = RenewedMask(layout, rule, interval=5, ramp=0.5)
    parameters = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert masked(0, 20, parameters).tolist() == [1, 2, 0, 0, 5]
    assert masked(4, 20, parameters).tolist() == [1, 2, 0, 0, 5]
    assert masked(5, 20, parameters).tolist() == [0, 2, 3, 0, 5]
    for step in range(6, 20):
        masked(step, 20, parameters)
    assert rule_calls == [0.0, 0.25, 1.0]


def test_pruning_repeats_bit_for_bit() -> None:
    how = GradualPruning(density=0.3, epochs=3, interval=3, batch=10)
    found = [prune(how, LAYOUT, start(), small_samples(), torch.Generator().manual_seed(4)).parameters for _ in range(2)]
    assert torch.equal(found[0], found[1])


def test_one_density_a_layer() -> None:
    with pytest.raises(RecipeError, match=r"prune\.densities must be 3 numbers, one a layer, not 2"):
        prune(IterativePruning(densities=(0.1, 0.1)), LAYOUT, start(), small_samples(), torch.Generator())
