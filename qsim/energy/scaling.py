"""How a price stated for one width carries over to another: three explicit rules, each with its source."""

from enum import StrEnum
from typing import assert_never


class Scaling(StrEnum):
    """The rule by which one cost follows the width.

    ``NONE``: the cost holds for its own width only, and any other is refused.

    ``LINEAR``: memories, registers and adders. Horowitz (ISSCC 2014) states 10 pJ per 64-bit and 5 pJ per 32-bit access of 8 KB, and
    0.03, 0.05, 0.1 pJ for integer additions of 8, 16, 32 bits.

    ``QUADRATIC``: multipliers, whose partial products grow with the square of the width. Horowitz states 0.2 pJ for 8 bits and
    3.1 pJ for 32 bits, an exponent of ln(15.5)/ln(4) = 1.98. EIE (ISCA 2016) states 5x between 32 and 16 bits where this rule gives 4x,
    so the rule errs towards the higher energy.
    """

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


def width_factor(rule: Scaling, from_bits: int, to_bits: int) -> float | None:
    """Return by what a price for ``from_bits`` is multiplied to hold for ``to_bits``, or None where the rule forbids it."""
    ratio = to_bits / from_bits
    match rule:
        case Scaling.NONE:
            return 1.0 if from_bits == to_bits else None
        case Scaling.LINEAR:
            return ratio
        case Scaling.QUADRATIC:
            return ratio * ratio
        case _:
            assert_never(rule)
