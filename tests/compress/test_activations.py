"""Do activations of few bits cost what their rounding does, simulated and in integers, and is the simulation told from the hardware?"""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.compress.activations import (
    BITS,
    ActivationPoint,
    DynamicSteps,
    StaticSteps,
    calibrated,
    compare_activations,
    integer_test_error,
    simulated_error,
)
from qsim.compress.calibrate import FixedPoint
from qsim.compress.network import Layout, Samples, error_count
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.fixed import FixedPointWeights
from qsim.compress.ranges import Range
from qsim.compress.recipe import Recipe, parse_recipe
from qsim.compress.reference import TorchReference
from qsim.errors import RecipeError
from qsim.progress import silent
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state

LAYOUT = Layout.of(TASK.layers)


@cache
def points() -> tuple[ActivationPoint, ...]:
    return compare_activations(TASK, state(), data(), data().test, silent)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40))
def test_rounding_moves_no_value_within_the_range_by_more_than_half_a_step(bits: int, numbers: list[float]) -> None:
    values = torch.tensor([numbers])
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    step = (high - low) / ((1 << bits) - 1)
    for steps in (DynamicSteps(bits), StaticSteps(bits, torch.tensor([low]), torch.tensor([high]))):
        moved = (steps(values) - values).abs()
        assert float(moved.max()) <= step * 1.001 + 1e-6, "half a step, and half more at the ends, where the zero is an integer"
        assert len(torch.unique(steps(values))) <= 1 << bits
        assert not steps(torch.zeros(1, 5)).any(), "a zero stays one"


def test_channels_have_steps_of_their_own_and_inputs_when_they_are_dynamic() -> None:
    values = torch.tensor([[1.0, 100.0, 0.5, 50.0], [0.1, 10.0, 0.05, 5.0]])
    found = calibrated(values, 2, 8, Range.MINMAX)
    assert np.allclose(found.high, [1.0, 100.0])
    assert torch.allclose(found(values), values, atol=0.2)
    assert torch.allclose(found(values)[:, ::2], values[:, ::2], atol=0.002)
    assert torch.allclose(DynamicSteps(8)(values)[1], values[1], atol=10 / 255 / 2 + 1e-6)


def test_many_bits_change_nothing() -> None:
    samples = Samples.of(data().test, TASK.normalisation)
    flat = LAYOUT.pack(state())
    assert simulated_error(LAYOUT, flat, samples, [DynamicSteps(20)] * 3) == 100 * error_count(LAYOUT, flat, samples) / len(samples)


def test_every_rule_is_compared_at_every_width_and_simulation_promises_more_than_integers_keep() -> None:
    rules = {*map(str, Range), "dynamic"}
    assert {(point.bits, point.range) for point in points()} == {(bits, rule) for bits in BITS for rule in rules}
    for point in points():
        assert (point.integer is None) == (point.range == "dynamic")
    four = [point for point in points() if point.bits == 4 and point.integer is not None]
    assert np.mean([point.tensor for point in four]) < np.mean([point.integer for point in four if point.integer is not None])


def test_a_rule_that_clips_uses_few_bits_better_than_the_whole_range_and_stays_bit_exact() -> None:
    errors = [integer_test_error(TASK, state(), data(), data().test, 4, rule) for rule in (Range.MINMAX, Range.MSE)]
    assert errors[1] < errors[0]
    how = FixedPoint(activation_bits=4, activation_range=Range.MSE, headroom_bits=0)
    model = compress(Recipe(name="x", quantise=FixedPointWeights(), fixed_point=how), TASK, state(), data())
    images = data().test.images[:100]
    assert np.array_equal(infer(model, images).logits, TorchReference(model)(images))


def test_the_recipe_names_the_rule() -> None:
    text = 'name = "x"\nquantise = {method = "fixed"}\nfixed_point = {activation_range = "aciq"}\n'
    assert parse_recipe(text).fixed_point.activation_range is Range.ACIQ
    with pytest.raises(RecipeError, match=r"fixed_point\.activation_range .*minmax, percentile, mse, kl, aciq"):
        parse_recipe(text.replace("aciq", "best"))
