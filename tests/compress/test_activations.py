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


def test_the_rule_of_least_error_takes_the_format_of_least_error() -> None:
    """A few large values among many small ones: the format that holds all of them is coarse, one that saturates a few errs less."""
    seen = np.maximum(np.random.default_rng(0).laplace(size=20_000), 0)

    def error(fraction: int) -> float:
        return float(np.mean((np.clip(np.floor(seen * 2.0**fraction + 0.5), -8, 7) / 2.0**fraction - seen) ** 2))

    found = FixedPoint(activation_bits=4, activation_range=Range.MSE).output_fraction(seen, False)
    assert error(found) == min(error(fraction) for fraction in range(-6, 8))
    whole = FixedPoint(activation_bits=4, headroom_bits=0).output_fraction(seen, False)
    assert found > whole
    assert FixedPoint(activation_bits=4).output_fraction(seen, False) == whole - 1, "headroom, above the whole range only"
    for rule in Range:
        assert FixedPoint(activation_bits=4, activation_range=rule, headroom_bits=0).output_fraction(seen, True) == whole, "logits"
        assert FixedPoint(activation_bits=4, activation_range=rule, headroom_bits=0).output_fraction(seen, False) >= whole


def test_a_rule_that_clips_stays_bit_exact() -> None:
    how = FixedPoint(activation_bits=4, activation_range=Range.MSE)
    model = compress(Recipe(name="x", quantise=FixedPointWeights(), fixed_point=how), TASK, state(), data())
    images = data().test.images[:100]
    assert np.array_equal(infer(model, images).logits, TorchReference(model)(images))


def test_the_recipe_names_the_rule() -> None:
    text = 'name = "x"\nquantise = {method = "fixed"}\nfixed_point = {activation_range = "aciq"}\n'
    assert parse_recipe(text).fixed_point.activation_range is Range.ACIQ
    with pytest.raises(RecipeError, match=r"fixed_point\.activation_range .*minmax, percentile, mse, kl, aciq"):
        parse_recipe(text.replace("aciq", "best"))
