"""Question: do scores, sensitivities and lottery tickets follow their formulas, and does every way of pruning keep exactly what it says?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.compress.journal import FileJournal
from qsim.compress.masks import kept_count, magnitude_mask
from qsim.compress.network import Backpropagation, Layout, Samples, error_count
from qsim.compress.prune import Pruned, Pruning, prune
from qsim.compress.pruners.gradual import GradualPruning
from qsim.compress.pruners.lottery import LotteryPruning, Start
from qsim.compress.pruners.sensitivity import SensitivityPruning, equal_rise, sensitivities
from qsim.compress.scores import MOMENTUM, GatheredScore, Score
from qsim.compress.train import initial_parameters
from qsim.errors import RecipeError
from tests.compress.small import TASK, data, state
from tests.compress.test_network import LAYOUT, loss, small_samples

SMALL = Layout.of(TASK.layers)


def start(seed: int = 1) -> torch.Tensor:
    return initial_parameters(LAYOUT, torch.Generator().manual_seed(seed))


def pruned_by(how: Pruning, seed: int = 0) -> Pruned:
    return prune(how, LAYOUT, start(), small_samples(), torch.Generator().manual_seed(seed))


def flat(parameters: torch.Tensor) -> list[np.ndarray]:
    return [weight.numpy().reshape(-1) for weight in LAYOUT.weights(parameters)]


@pytest.mark.parametrize("kind", [Score.MOVEMENT, Score.TAYLOR])
def test_scores_are_those_of_the_papers(kind: Score) -> None:
    """Three steps of the real gradient, and the sums written out."""
    parameters, samples = start(), small_samples()
    score, expected = GatheredScore(kind, LAYOUT, parameters), np.zeros(LAYOUT.weight_count)
    for step, rate in enumerate((0.3, 0.2, 0.1)):
        gradient, chosen = torch.empty_like(parameters), torch.arange(step, 40, 3)
        Backpropagation(LAYOUT, samples, len(chosen))(parameters, chosen, gradient)
        score(gradient, rate)
        product = (gradient * parameters)[: LAYOUT.weight_count].double().numpy()
        expected = expected - rate * product if kind is Score.MOVEMENT else MOMENTUM * expected + (1 - MOMENTUM) * product**2
        parameters.add_(gradient, alpha=-rate)
    found = score.state()["scores"].numpy()
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-9)
    mask = score.mask(20)
    assert mask.sum() == 20
    best = [part.argmax() + place for part, place in zip(np.split(expected, np.cumsum(LAYOUT.sizes)[:-1]), (0, 84, 119), strict=True)]
    assert mask[best].all()
    others = np.setdiff1d(np.arange(len(expected)), best)
    assert set(others[mask[others]]) == set(others[np.argsort(-expected[others])[:17]])


def test_taylor_tells_what_the_loss_loses() -> None:
    """A weight whose removal changes the loss more scores higher: against the change itself, for small weights."""
    parameters, samples = start() * 0.05, small_samples()
    chosen, gradient = torch.arange(40), torch.empty(LAYOUT.parameter_count)
    Backpropagation(LAYOUT, samples, 40)(parameters, chosen, gradient)
    score = GatheredScore(Score.TAYLOR, LAYOUT, parameters)
    score(gradient, 0.1)
    whole, changes = float(loss(parameters.double(), samples, chosen)), []
    for place in range(LAYOUT.weight_count):
        without = parameters.double().clone()
        without[place] = 0
        changes.append((float(loss(without, samples, chosen)) - whole) ** 2)
    found = score.state()["scores"].numpy()
    assert np.corrcoef(np.argsort(np.argsort(found)), np.argsort(np.argsort(changes)))[0, 1] > 0.95


def test_a_weight_that_movement_dropped_rests_while_its_score_goes_on() -> None:
    parameters = start()
    score, gradient = GatheredScore(Score.MOVEMENT, LAYOUT, parameters), torch.ones(LAYOUT.parameter_count)
    score(gradient, 0.1)
    dropped = torch.from_numpy(~score.mask(20))
    before = score.state()["scores"].clone()
    score(gradient, 0.1)
    weights = slice(0, LAYOUT.weight_count)
    assert torch.equal(gradient[weights] == 0, dropped) and bool((gradient[LAYOUT.weight_count :] == 1).all())
    assert torch.allclose(score.state()["scores"] - before, -0.1 * parameters[weights])


@pytest.mark.parametrize("score", Score)
def test_gradual_pruning_ends_at_the_exact_count_by_any_score(score: Score) -> None:
    pruned = pruned_by(GradualPruning(density=0.2, score=score, epochs=5, interval=2, batch=10))
    assert pruned.masks is not None
    assert sum(int(mask.sum()) for mask in pruned.masks) == kept_count(LAYOUT.weight_count, 0.2)
    assert all(mask.any() for mask in pruned.masks)
    assert all(np.array_equal(w.numpy() != 0, m) for w, m in zip(LAYOUT.weights(pruned.parameters), pruned.masks, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.floats(0.02, 1.0), st.data())
def test_densities_of_equal_rise_solve_their_equation(slopes: list[float], density: float, draw: st.DataObject) -> None:
    """With a rise of ``slope * -ln(density)`` a layer keeps ``exp(-rise / slope)``; together they keep what was asked for."""
    sizes = np.array(draw.draw(st.lists(st.integers(1, 10_000), min_size=len(slopes), max_size=len(slopes))))
    levels = np.geomspace(1, density / 8, 12)
    found = equal_rise(-np.outer(slopes, np.log(levels)), levels, sizes, density)
    assert float(found @ sizes) / sizes.sum() == pytest.approx(density, rel=1e-6)
    rises = -np.array(slopes) * np.log(found)
    inside = found > levels[-1] * (1 + 1e-9)
    assert inside.any()
    assert rises[inside] == pytest.approx(np.full(inside.sum(), rises[inside].max()), rel=1e-5, abs=1e-9)
    assert (rises[~inside] <= rises[inside].max() * (1 + 1e-6)).all()


def test_sensitivity_is_the_loss_of_one_layer_pruned_alone() -> None:
    levels = np.array([1.0, 0.5, 0.1])
    parameters, samples = start(), small_samples()
    rises = sensitivities(LAYOUT, parameters, samples, levels)
    assert rises.shape == (3, 3) and (rises[:, 0] == 0).all() and (np.diff(rises, axis=1) >= 0).all()
    chosen, alone = torch.arange(40), parameters.clone()
    counts = [size if place != 1 else kept_count(size, 0.1) for place, size in enumerate(LAYOUT.sizes)]
    alone[: LAYOUT.weight_count] *= torch.from_numpy(magnitude_mask(flat(parameters), counts))
    expected = float(loss(alone, samples, chosen) - loss(parameters, samples, chosen))
    half = parameters.clone()
    counts[1] = kept_count(LAYOUT.sizes[1], 0.5)
    half[: LAYOUT.weight_count] *= torch.from_numpy(magnitude_mask(flat(parameters), counts))
    halved = float(loss(half, samples, chosen) - loss(parameters, samples, chosen))
    assert rises[1].tolist() == pytest.approx([0, max(0, halved), max(0, halved, expected)], abs=1e-6)


def test_pruning_by_sensitivity_keeps_the_density_and_more_of_what_matters_more() -> None:
    """On real digits the last layer, the smallest, is the most sensitive (Han et al., Fig. 6)."""
    samples = Samples.of(data().train, TASK.normalisation)
    how = SensitivityPruning(density=0.15, rounds=2, epochs=1)
    pruned = prune(how, SMALL, SMALL.pack(state()), samples, torch.Generator().manual_seed(0))
    assert pruned.masks is not None
    kept = [float(mask.mean()) for mask in pruned.masks]
    assert sum(int(mask.sum()) for mask in pruned.masks) == pytest.approx(0.15 * SMALL.weight_count, abs=3)
    assert kept[2] > max(kept[:2])


def test_a_ticket_goes_back_to_its_start() -> None:
    """With steps too small to move a float32, each round must find the start again."""
    how = LotteryPruning(density=0.25, rounds=2, epochs=1, batch=10, learning_rate=1e-30)
    pruned = pruned_by(how, seed=5)
    assert pruned.masks is not None
    first = initial_parameters(LAYOUT, torch.Generator().manual_seed(5))
    counts = [kept_count(84, 0.25), kept_count(35, 0.25), kept_count(15, 0.75**2)]
    mask = magnitude_mask(flat(first), counts)
    assert np.array_equal(np.concatenate([mask.reshape(-1) for mask in pruned.masks]), mask)
    assert torch.equal(pruned.parameters[: LAYOUT.weight_count], first[: LAYOUT.weight_count] * torch.from_numpy(mask))
    other = pruned_by(LotteryPruning(density=0.25, rounds=2, epochs=1, batch=10, learning_rate=1e-30, start=Start.RANDOM), seed=5)
    assert not torch.equal(other.parameters, pruned.parameters)


def test_rewound_to_an_early_epoch() -> None:
    """One round that trains once and goes back to epoch 1 of 2: the same survivors as after a whole training, the values of epoch 1."""
    how = LotteryPruning(density=0.5, rounds=1, epochs=2, batch=10, rewind_epochs=1)
    pruned = pruned_by(how, seed=5)
    assert pruned.masks is not None
    again = pruned_by(how, seed=5)
    assert torch.equal(pruned.parameters, again.parameters)
    assert not torch.equal(pruned.parameters, pruned_by(LotteryPruning(density=0.5, rounds=1, epochs=2, batch=10), seed=5).parameters)
    with pytest.raises(RecipeError, match=r"prune\.rewind_epochs must be 0 to 1, not 2"):
        LotteryPruning(density=0.5, epochs=2, rewind_epochs=2)


def test_a_real_network_survives_each() -> None:
    """At 15 % of its weights the small network keeps most of its accuracy, whichever way it is pruned."""
    samples, validation = (Samples.of(split, TASK.normalisation) for split in (data().train, data().validation))
    before = error_count(SMALL, SMALL.pack(state()), validation)
    for how in (
        GradualPruning(density=0.15, epochs=6, score=Score.MOVEMENT),
        GradualPruning(density=0.15, epochs=6, score=Score.TAYLOR),
        LotteryPruning(density=0.15, rounds=3, epochs=6),
    ):
        pruned = prune(how, SMALL, SMALL.pack(state()), samples, torch.Generator().manual_seed(0))
        assert error_count(SMALL, pruned.parameters, validation) <= before + 25, how  # 500 digits


class Stopped(Exception):
    """The job was stopped."""


@pytest.mark.parametrize(
    "how",
    [
        LotteryPruning(density=0.3, rounds=3, epochs=2, batch=10, rewind_epochs=1),
        GradualPruning(density=0.3, score=Score.MOVEMENT, epochs=4, interval=2, batch=10, second_density=0.2, second_epochs=2),
    ],
)
def test_a_stopped_pruning_goes_on_to_the_same_bits(how: Pruning, tmp_path: Path) -> None:
    expected, reports = pruned_by(how).parameters, 0
    while True:
        left = [reports + 1]

        def stop(stage: str, done: int, total: int, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Stopped

        journal, generator = FileJournal(tmp_path / "journal", "a" * 64), torch.Generator().manual_seed(0)
        try:
            found = prune(how, LAYOUT, start(), small_samples(), generator, stop, journal)
            break
        except Stopped:
            reports += 1
    assert torch.equal(found.parameters, expected)
    assert reports > 2
