"""Is the gradient of a step LSQ's, per layer and per row, and do steps that learn end with fewer errors than steps by a rule?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qsim.compress.grid import Grid
from qsim.compress.learned_steps import LearnedSteps
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.affine import Affine, Granularity
from qsim.compress.recipe import Recipe, parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.shared import QuantizerInput
from qsim.compress.train import initial_parameters
from qsim.errors import RecipeError
from qsim.progress import silent
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state
from tests.compress.test_network import LAYOUT, small_samples


@pytest.mark.parametrize("rows", [False, True])
def test_gradients_are_those_of_the_papers_equations_by_autograd(rows: bool) -> None:
    """Rounding whose gradient is 1, written with detach as in the paper's appendix; then one step of rate 1 without momentum."""
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(0))
    given = QuantizerInput(
        layout=LAYOUT, parameters=parameters, masks=None, samples=small_samples(), generator=torch.Generator(),
        random=np.random.default_rng(0), progress=silent,
    )  # fmt: skip
    grids = [Grid(np.linspace(0.05, 0.1, count if rows else 1)[:, None], 4, 1, 7) for count, _ in LAYOUT.shapes]
    learned = LearnedSteps(given, grids, momentum=0.0)
    effective = learned(0, 1, parameters).clone()
    upstream = torch.randn(effective.shape, generator=torch.Generator().manual_seed(1))
    gradient = upstream.clone()
    learned.backward(gradient, rate=1.0)
    for place, grid in enumerate(grids):
        weight = LAYOUT.weights(parameters)[place].clone().requires_grad_()
        step = torch.from_numpy(grid.scale).float().requires_grad_()
        ratio = (weight / step).clamp(-3, 3)
        value = ((ratio.round() - ratio).detach() + ratio) * step
        assert torch.allclose(LAYOUT.weights(effective)[place], value.detach(), atol=1e-6)
        (value * LAYOUT.weights(upstream)[place]).sum().backward()
        assert torch.allclose(LAYOUT.weights(gradient)[place], weight.grad, atol=1e-5)
        moved = step.detach() - step.grad / np.sqrt(3 * weight.numel() / len(step))
        assert np.allclose(learned.grids[place].scale, moved.clamp_min(1e-6), atol=1e-5)


def errors(how: Affine) -> int:
    """On the validation split; both references run the file."""
    model, images = compress(Recipe(name="x", quantise=how), TASK, state(), data()), data().test.images[:50]
    assert np.array_equal(infer(model, images).logits, TorchReference(model)(images))
    return int(str(model.notes["validation_errors"]))


@pytest.mark.parametrize("granularity", [Granularity.TENSOR, Granularity.ROW])
def test_training_the_steps_takes_errors_away_and_is_no_worse_than_a_rule(granularity: Granularity) -> None:
    plain = Affine(bits=2, granularity=granularity)
    learned = errors(replace(plain, epochs=3, learned_steps=True))
    assert learned < errors(plain)
    if granularity is Granularity.TENSOR:  # a rule for every row takes a minute
        assert learned <= errors(replace(plain, epochs=3))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.epochs must be at least 1 where steps are learned"):
        Affine(bits=2, learned_steps=True)
    with pytest.raises(RecipeError, match=r"quantise\.learned_steps must be false with one scale a group"):
        Affine(bits=2, learned_steps=True, epochs=1, granularity=Granularity.GROUP)
    with pytest.raises(RecipeError, match=r"quantise\.learned_steps must be false"):
        parse_recipe('name = "x"\n[quantise]\nmethod = "affine"\nbits = 2\nepochs = 1\nnoise = 0.5\nlearned_steps = true\n')
