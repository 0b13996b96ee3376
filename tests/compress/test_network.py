"""Is the hand-written gradient the one autograd finds, also through shared weights, and does training repeat exactly?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qsim.compress.clusters import assign
from qsim.compress.finetune import FineTuning, effective, finetune
from qsim.compress.network import Backpropagation, Layout, Samples, error_count, forward
from qsim.compress.quantizers.pvq import PyramidWeights
from qsim.compress.quantizers.scalar import CodebookWeights
from qsim.compress.shared import Quantised
from qsim.compress.train import Descent, descend, initial_parameters, random_shift, training_arithmetic
from qsim.errors import RecipeError
from qsim.model.graph import Activation
from workloads.workload import LayerShape

LAYOUT = Layout(("a", "b", "c"), ((7, 12), (5, 7), (3, 5)), (True, True, False))


def small_samples(count: int = 40, seed: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    raw = torch.from_numpy(random.integers(0, 256, (count, 12), dtype=np.uint8))
    return Samples(raw, torch.from_numpy(random.integers(0, 3, count)), 0.01, -0.4)


def loss(parameters: torch.Tensor, samples: Samples, chosen: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy by torch's own operations."""
    value = samples.raw[chosen].to(parameters.dtype) * samples.scale + samples.offset
    for weight, bias, relu in zip(LAYOUT.weights(parameters), LAYOUT.biases(parameters), LAYOUT.relu, strict=True):
        value = torch.nn.functional.linear(value, weight, bias)
        value = torch.relu(value) if relu else value
    return torch.nn.functional.cross_entropy(value, samples.labels[chosen])


def test_gradient_is_autograds() -> None:
    samples, chosen = small_samples(), torch.tensor([3, 1, 4, 15, 9, 2])
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
    gradient = torch.empty_like(parameters)
    Backpropagation(LAYOUT, samples, 6)(parameters, chosen, gradient)
    variable = parameters.clone().requires_grad_()
    loss(variable, samples, chosen).backward()
    assert torch.allclose(gradient, variable.grad, atol=1e-6)


@pytest.mark.parametrize("mask", [None, np.random.default_rng(0).random((7, 12)) < 0.4])
def test_gradient_of_a_centroid_is_the_sum_over_its_members(mask: np.ndarray | None) -> None:
    weights = np.random.default_rng(1).normal(size=(7, 12)).astype(np.float32)
    kept = np.ones((7, 12), dtype=bool) if mask is None else mask
    shared = CodebookWeights(assign(weights[kept], np.array([-1.0, 0.0, 0.25, 1.5])), kept, np.array([-1.0, 0.0, 0.25, 1.5]), mask)
    upstream = torch.from_numpy(np.random.default_rng(2).normal(size=(7, 12)).astype(np.float32))
    centroids = shared.trainable.clone().requires_grad_()
    nearest = np.abs(weights[..., None] - np.array([-1.0, 0.0, 0.25, 1.5])).argmin(axis=-1)
    (centroids[torch.from_numpy(nearest)] * torch.from_numpy(kept) * upstream).sum().backward()
    expected = centroids.grad * torch.tensor([1.0, 0.0, 1.0, 1.0])  # the centroid at zero is held there
    assert torch.allclose(shared.pull_back(upstream), expected, atol=1e-5)


def test_gradient_of_a_scale_is_along_the_pulses() -> None:
    points = np.random.default_rng(3).integers(-2, 3, (7, 12))
    shared = PyramidWeights(points, np.linspace(0.1, 1, 7))
    upstream = torch.from_numpy(np.random.default_rng(4).normal(size=(7, 12)).astype(np.float32))
    scales = shared.trainable.clone().requires_grad_()
    (torch.from_numpy(points).float() * scales[:, None] * upstream).sum().backward()
    assert torch.allclose(shared.pull_back(upstream), scales.grad, atol=1e-5)


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (-1, 2)])
def test_a_shift_moves_every_image_over_a_black_background(shift: tuple[int, int]) -> None:
    layout, random = Layout(("a",), ((3, 16),), (False,)), np.random.default_rng(6)
    images = random.integers(1, 256, (5, 4, 4), dtype=np.uint8)
    moved = np.zeros_like(images)
    for row in range(4):
        for column in range(4):
            if 0 <= row - shift[0] < 4 and 0 <= column - shift[1] < 4:
                moved[:, row, column] = images[:, row - shift[0], column - shift[1]]
    labels, gradients = torch.from_numpy(random.integers(0, 3, 5)), []
    parameters = initial_parameters(layout, torch.Generator().manual_seed(1))
    for raw, move in ((images, shift), (moved, (0, 0))):
        samples, gradient = Samples(torch.from_numpy(raw.reshape(5, 16)), labels, 0.01, -0.4), torch.empty_like(parameters)
        Backpropagation(layout, samples, 4)(parameters, torch.tensor([4, 0, 2, 1]), gradient, move)
        gradients.append(gradient)
    assert torch.equal(gradients[0], gradients[1])


def test_shifts_are_uniform_and_need_square_images() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = np.array([random_shift(1, generator) for _ in range(900)])
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    # Nine shifts, 100 expected of each; five standard deviations of a binomial are 47.
    assert len(counts) == 9
    assert np.all(np.abs(counts - 100) < 47)
    assert random_shift(0, generator) == (0, 0)
    with pytest.raises(RecipeError, match="shift must be 0 where inputs are not square images"):
        descend(LAYOUT, initial_parameters(LAYOUT, generator), small_samples(), Descent(epochs=5, batch=8, shift=1), generator)


def test_training_is_torchs_sgd() -> None:
    samples, how = small_samples(), Descent(epochs=3, batch=8, learning_rate=0.1, momentum=0.8, weight_decay=0.01)
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
    theirs = parameters.clone().requires_grad_()
    descend(LAYOUT, parameters, samples, how, torch.Generator().manual_seed(5))
    optimiser = torch.optim.SGD([theirs], lr=0.1, momentum=0.8, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=15)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        order = torch.randperm(40, generator=generator)
        for start in range(0, 40, 8):
            optimiser.zero_grad()
            loss(theirs, samples, order[start : start + 8]).backward()
            optimiser.step()
            schedule.step()
    # Both arithmetics may use bfloat16 factors differently, hence the tolerance; the path is 15 steps long.
    assert torch.allclose(parameters, theirs.detach(), atol=0.02)
    assert not torch.allclose(parameters, initial_parameters(LAYOUT, torch.Generator().manual_seed(1)), atol=0.05)


def test_a_long_gradient_is_cut_as_torch_cuts_it() -> None:
    """Is one step with ``max_norm`` that of torch's clip_grad_norm_ and SGD, for gradients longer and shorter than it?"""
    samples, start = small_samples(), initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
    for max_norm in (1e-3, 1e3):
        parameters, theirs = start.clone(), start.clone().requires_grad_()
        how = Descent(epochs=1, batch=40, learning_rate=0.5, momentum=0.0, weight_decay=0.0, max_norm=max_norm)
        descend(LAYOUT, parameters, samples, how, torch.Generator().manual_seed(5))
        loss(theirs, samples, torch.arange(40)).backward()
        torch.nn.utils.clip_grad_norm_([theirs], max_norm)
        torch.optim.SGD([theirs], lr=0.5).step()
        moved = (theirs.detach() - start).norm()
        assert float((parameters - theirs.detach()).norm()) < 0.02 * float(moved)  # bfloat16 factors may differ
        assert max_norm > 1 or float(moved) == pytest.approx(0.5e-3, rel=1e-3)


def test_training_learns_and_repeats_bit_for_bit() -> None:
    samples = small_samples(count=60)
    results = []
    for _ in range(2):
        parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
        before = error_count(LAYOUT, parameters, samples)
        descend(LAYOUT, parameters, samples, Descent(epochs=60, batch=10), torch.Generator().manual_seed(2))
        results.append(parameters)
    assert error_count(LAYOUT, results[0], samples) < before / 2
    assert torch.equal(results[0], results[1])


def test_a_layer_with_clip_is_not_trained() -> None:
    layer = LayerShape(name="a", inputs=4, outputs=3, activation=Activation.CLIP)
    with pytest.raises(RecipeError, match=r"a\.activation must be none or relu where weights are trained"):
        Layout.of([layer])


def test_packing_is_reversible() -> None:
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(3))
    state = LAYOUT.unpack(parameters)
    assert state["b.weight"].shape == (5, 7)
    assert torch.equal(LAYOUT.pack(state), parameters)
    assert len(parameters) == LAYOUT.parameter_count == 7 * 13 + 5 * 8 + 3 * 6


def test_finetuning_never_ends_worse_than_it_began_and_moves_only_what_is_shared() -> None:
    samples, random = small_samples(count=60), np.random.default_rng(7)
    layers = []
    for shape in LAYOUT.shapes:
        weights = random.normal(size=shape).astype(np.float32)
        layers.append(
            CodebookWeights(
                assign(weights.reshape(-1), np.array([-1.0, 0.0, 1.0])), np.ones(shape, dtype=bool), np.array([-1.0, 0.0, 1.0]), None
            )
        )
    quantised = Quantised(tuple(layers), torch.zeros(15))
    before = error_count(LAYOUT, effective(LAYOUT, quantised), samples)
    codes = [layer.weights().unique(return_inverse=True)[1].clone() for layer in layers]
    after = finetune(FineTuning(epochs=20, batch=10, learning_rate=0.02), LAYOUT, quantised, samples, samples, torch.Generator())
    assert after < before
    assert after == error_count(LAYOUT, effective(LAYOUT, quantised), samples)
    for layer, old in zip(layers, codes, strict=True):
        assert torch.equal(layer.weights().unique(return_inverse=True)[1], old)
        assert layer.trainable[1] == 0.0


def test_forward_gives_every_layers_inputs() -> None:
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(3))
    values = forward(LAYOUT, parameters, small_samples().normalised(slice(0, 4)))
    assert [tuple(value.shape) for value in values] == [(4, 12), (4, 7), (4, 5), (4, 3)]


def test_training_arithmetic_restores_torchs_settings() -> None:
    before = torch.get_float32_matmul_precision(), torch.get_num_threads()
    with training_arithmetic():
        assert torch.get_num_threads() == 1
    assert (torch.get_float32_matmul_precision(), torch.get_num_threads()) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", -1), ("batch", 0), ("learning_rate", 0.0), ("momentum", 1.0), ("weight_decay", -1e-3), ("shift", 5), ("max_norm", -1.0)],
)
def test_impossible_training_is_refused(field: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{field} must be"):
        replace(Descent(epochs=1), **{field: value})
