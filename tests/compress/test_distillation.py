"""Is the gradient of the distillation loss autograd's, on both kinds of network, and does a teacher without labels teach?"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as f

from qsim.compress.finetune import FineTuning
from qsim.compress.network import Backpropagation, Layout, Samples, forward
from qsim.compress.pipeline import compress_in_stages
from qsim.compress.quantizers.affine import Affine
from qsim.compress.recipe import Recipe, parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.teacher import Teacher
from qsim.compress.train import initial_parameters
from qsim.errors import RecipeError
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state
from tests.compress.test_convolution import LAYERS as CONVOLUTIONS
from tests.compress.test_network import LAYOUT


@pytest.mark.parametrize(("layout", "inputs"), [(LAYOUT, 12), (Layout.of(CONVOLUTIONS), 36)], ids=["dense", "convolutions"])
@pytest.mark.parametrize(("weight", "temperature"), [(0.3, 2.0), (1.0, 5.0)])
def test_gradient_is_autograds(layout: Layout, inputs: int, weight: float, temperature: float) -> None:
    """Against the Kullback-Leibler divergence of PyTorch, times the squared temperature; bfloat16 rounds some of the convolutions."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randint(0, 256, (20, inputs), generator=generator, dtype=torch.uint8)
    samples, chosen = Samples(raw, torch.randint(0, 3, (20,), generator=generator), 0.01, -0.4), torch.tensor([3, 1, 4, 15, 9])
    parameters, original = initial_parameters(layout, generator), initial_parameters(layout, generator)
    gradient = torch.empty_like(parameters)
    Backpropagation(layout, samples, 5, Teacher(original, weight, temperature))(parameters, chosen, gradient)

    variable, part = parameters.clone().requires_grad_(), Samples(raw[chosen], samples.labels[chosen], 0.01, -0.4).normalised(slice(None))
    value = part
    if layout is LAYOUT:
        for matrix, bias, relu in zip(layout.weights(variable), layout.biases(variable), layout.relu, strict=True):
            value = f.linear(value, matrix, bias)
            value = value.relu() if relu else value
    else:
        value = forward(layout, variable, part, -0.4)[-1]
    answers = forward(layout, original, part, -0.4)[-1]
    divergence = f.kl_div(f.log_softmax(value / temperature, 1), f.softmax(answers / temperature, 1), reduction="batchmean")
    loss = (1 - weight) * f.cross_entropy(value, samples.labels[chosen]) + weight * temperature**2 * divergence
    expected = torch.autograd.grad(loss, variable)[0]
    assert torch.allclose(gradient, expected, atol=1e-6 if layout is LAYOUT else 0.02 * float(expected.abs().max()))


def test_a_teacher_without_labels_lowers_the_errors_of_two_bits() -> None:
    recipe = Recipe(name="x", quantise=Affine(bits=2), finetune=FineTuning(epochs=6, teacher_weight=1.0, temperature=2.0))
    shuffled = replace(data(), train=replace(data().train, labels=np.roll(data().train.labels, 1)))
    found = compress_in_stages(recipe, TASK, state(), shuffled)
    assert found.validation["finetune"].wrong < 0.9 * found.validation["quantise"].wrong
    again = compress_in_stages(recipe, TASK, state(), data())
    assert again.model.content_hash == found.model.content_hash  # labels of the training split are not read
    images = data().test.images[:50]
    assert np.array_equal(infer(found.model, images).logits, TorchReference(found.model)(images))


@pytest.mark.parametrize(("field", "value"), [("teacher_weight", "1.5"), ("temperature", "0.0")])
def test_settings_out_of_range_are_named(field: str, value: str) -> None:
    with pytest.raises(RecipeError, match=f"finetune.{field} must be"):
        parse_recipe(f'name = "x"\n[quantise]\nmethod = "fixed"\n[finetune]\n{field} = {value}\n')
