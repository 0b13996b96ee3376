"""Whether numbers keep three digits of truth in every text form, and columns their alignment."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.text import NO_BREAK, Scale, factor, integer, percent, points, quantity, short

PREFIX = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-6, "1.50 µJ"), (0.0, "0 J"), (999.6, "1.00 kJ"), (999.4, "999 J"), (1234.0, "1.23 kJ"), (5e-13, "500 fJ"), (12e12, "12.0 TJ")],
)
def test_quantities(value: float, text: str) -> None:
    assert quantity(value, "J") == text.replace(" ", NO_BREAK)


@example(999.5001)  # rounds to a thousand, by less than one can see
@given(st.floats(1e-15, 9e14))
def test_a_quantity_reads_back_within_half_of_its_last_digit(value: float) -> None:
    number, unit = quantity(value, "J").split(NO_BREAK)
    assert float(number.replace(",", "")) * PREFIX[unit[:-1]] == pytest.approx(value, rel=0.0051)
    assert len(number.replace(".", "").replace(",", "")) == 3


@given(st.lists(st.floats(1e-12, 1e6), min_size=1, max_size=8))
def test_a_column_has_one_unit_and_one_number_of_decimals(values: list[float]) -> None:
    scale = Scale(values, "J")
    cells = [scale(value) for value in values]
    assert len({len(cell.split(".")[1]) if "." in cell else 0 for cell in cells}) == 1
    for value, cell in zip(values, cells, strict=True):
        assert float(cell.replace(",", "")) * PREFIX[scale.unit[:-1]] == pytest.approx(
            value, abs=0.51 * PREFIX[scale.unit[:-1]] * 10**-scale.decimals
        )


def test_the_rest() -> None:
    assert factor(40.22) == "40.2×"
    assert factor(1234.5) == "1,234×" or factor(1234.5) == "1,235×"
    assert integer(66627.4) == "66,627"
    assert percent(1.62) == f"1.62{NO_BREAK}%"
    assert points(-0.06) == "−0.06"
    assert points(0.09) == "+0.09"
    assert (short(12345), short(0.123456)) == ("12,345", "0.1235")
    assert Scale([], "J").unit == "J"
