"""Numbers as a reader wants them: a few significant digits, a unit, and no jumping decimal points within a column."""

import math
from collections.abc import Sequence

NO_BREAK = "\N{NO-BREAK SPACE}"
_PREFIXES = {12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ", -9: "n", -12: "p", -15: "f"}


def _exponent(value: float) -> int:
    """Return the power of 1000 whose prefix suits ``value`` once it is rounded to three digits."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(12, max(-15, int(f"{value:.2e}".partition("e")[2]) // 3 * 3))


def _digits(value: float, significant: int) -> str:
    """Return ``value`` with ``significant`` digits, no exponent, and commas in thousands."""
    if value == 0:
        return "0"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, decimals)
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def quantity(value: float, unit: str) -> str:
    """Return ``value`` with three digits and an SI prefix: ``quantity(1.5e-6, "J") == "1.50 µJ"``."""
    exponent = _exponent(value)
    return f"{_digits(float(f'{value:.2e}') / 10.0**exponent, 3)}{NO_BREAK}{_PREFIXES[exponent]}{unit}"


def factor(value: float) -> str:
    """Return a ratio with three digits and a multiplication sign."""
    return f"{_digits(value, 3)}×"


def integer(value: float) -> str:
    """Return a count with commas; means over inputs are rounded to the nearest whole."""
    return f"{round(value):,}"


def short(value: float) -> str:
    """Return a number with four digits and commas, whole numbers whole."""
    return f"{value:,}" if isinstance(value, int) else _digits(value, 4)


def percent(value: float, decimals: int = 2) -> str:
    """Return ``value``, already in percent."""
    return f"{value:.{decimals}f}{NO_BREAK}%"


def points(value: float) -> str:
    """Return a signed difference of two percentages."""
    return f"{value:+.2f}".replace("-", "−")


class Scale:
    """One prefix and one number of decimals for a whole column, from its smallest value that is not zero.

    Parameters: ``values`` in ``unit``. ``scale.unit`` is the prefixed unit for the column's head, ``scale(value)`` the text of a cell.
    """

    def __init__(self, values: Sequence[float], unit: str) -> None:
        sizes = [abs(value) for value in values if value and math.isfinite(value)]
        smallest = min(sizes, default=1.0)
        self.exponent = _exponent(math.sqrt(smallest * max(sizes, default=1.0)))
        self.unit = _PREFIXES[self.exponent] + unit
        least = smallest / 10.0**self.exponent
        self.decimals = max(0, min(3, 2 - math.floor(math.log10(least))))

    def __call__(self, value: float) -> str:
        """Return the cell's text."""
        return f"{self.value(value):,.{self.decimals}f}"

    def value(self, value: float) -> float:
        """Return ``value`` in the column's prefixed unit."""
        return value / 10.0**self.exponent
