"""Whether the width rules say what their sources say."""

import math

import pytest

from qsim.energy.scaling import Scaling, width_factor


@pytest.mark.parametrize(
    ("rule", "from_bits", "to_bits", "factor"),
    [
        (Scaling.LINEAR, 32, 16, 0.5),
        (Scaling.LINEAR, 32, 64, 2.0),
        (Scaling.QUADRATIC, 32, 16, 0.25),
        (Scaling.QUADRATIC, 8, 32, 16.0),
        (Scaling.NONE, 32, 32, 1.0),
        (Scaling.NONE, 32, 16, None),
    ],
)
def test_rules(rule: Scaling, from_bits: int, to_bits: int, factor: float | None) -> None:
    assert width_factor(rule, from_bits, to_bits) == factor


def test_multiplier_rule_is_near_the_published_exponent() -> None:
    """Horowitz: 0.2 pJ at 8 bits and 3.1 pJ at 32 bits."""
    exponent = math.log(3.1 / 0.2) / math.log(32 / 8)
    assert exponent == pytest.approx(2.0, abs=0.03)
