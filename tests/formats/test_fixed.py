"""Question: is fixed-point arithmetic exact? Every rule against rational arithmetic or plain Python integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat, Overflow, Rounding, best_fraction

formats = st.builds(
    FixedFormat,
    st.integers(2, 32),
    st.integers(-8, 30),
    st.booleans(),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
reals = st.floats(-1e6, 1e6, allow_nan=False)


def by_definition(form: FixedFormat, value: Fraction) -> int:
    """Round and fit an exact number of steps by the text of the rules."""
    steps = math.floor(value + Fraction(1, 2)) if form.rounding is Rounding.HALF_UP else math.floor(value)
    if form.overflow is Overflow.SATURATE:
        return max(form.minimum, min(form.maximum, steps))
    return (steps - form.minimum) % (1 << form.width) + form.minimum


@given(formats)
def test_range_is_that_of_the_bits(form: FixedFormat) -> None:
    codes = range(1 << form.width) if form.width <= 8 else (0, (1 << form.width) - 1)
    read = [code - (1 << form.width) if form.signed and code >> (form.width - 1) else code for code in codes]
    if form.width <= 8:
        assert (min(read), max(read)) == (form.minimum, form.maximum)
    assert form.maximum - form.minimum + 1 == 1 << form.width


@given(formats, reals)
def test_quantise_follows_the_rules(form: FixedFormat, value: float) -> None:
    exact = Fraction(value) * Fraction(2) ** form.fraction
    assume(abs(exact) < 2**52)  # beyond, the sum with one half is not exact in a double
    assert int(form.quantise(value)) == by_definition(form, exact)


@given(formats, st.integers(-(2**50), 2**50), st.integers(-8, 30))
def test_requantise_follows_the_rules(form: FixedFormat, integer: int, fraction: int) -> None:
    assume(abs(integer) * Fraction(2) ** (form.fraction - fraction) < 2**60)
    assert int(form.requantise(integer, fraction)) == by_definition(form, integer * Fraction(2) ** (form.fraction - fraction))


@given(formats, st.data())
def test_dequantise_is_the_inverse_on_codes(form: FixedFormat, data: st.DataObject) -> None:
    code = data.draw(st.integers(form.minimum, form.maximum))
    assert int(form.quantise(form.dequantise(code))) == code


@pytest.mark.parametrize(("value", "code"), [(0.5, 1), (-0.5, 0), (1.5, 2), (-1.5, -1), (2.49, 2), (1e300, 127), (-1e300, -128)])
def test_half_goes_up_and_the_huge_saturates(value: float, code: int) -> None:
    assert int(FixedFormat(8, 0).quantise(value)) == code


@given(formats)
def test_the_text_form_is_read_back(form: FixedFormat) -> None:
    plain = FixedFormat(form.width, form.fraction, form.signed)
    assert FixedFormat.parse(str(plain)) == plain


@pytest.mark.parametrize("text", ["", "16.8", "s16", "x16.8", "s016.8.1", "s999.8"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(FieldError, match=r"must be like 's16\.8'"):
        FixedFormat.parse(text)


@pytest.mark.parametrize(("width", "fraction"), [(0, 0), (1, 0), (63, 0), (16, 65), (16, -65)])
def test_impossible_formats_are_refused(width: int, fraction: int) -> None:
    with pytest.raises(FieldError):
        FixedFormat(width, fraction)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nothing_stands_for_nan_or_infinity(value: float) -> None:
    with pytest.raises(FieldError, match="finite"):
        FixedFormat(16, 8).quantise([0.0, value])


@example([15.0], 4, True)  # half a step above the largest number: rounds up
@given(st.lists(reals, min_size=1, max_size=5), st.integers(2, 24), st.booleans())
def test_best_fraction_is_the_largest_that_does_not_saturate(values: list[float], width: int, signed: bool) -> None:
    magnitudes = np.abs(values)
    assume(np.max(magnitudes) > 1e-6)
    fraction = best_fraction(magnitudes, width, signed)

    def saturates(fraction: int) -> bool:
        steps = math.floor(Fraction(float(np.max(magnitudes))) * Fraction(2) ** fraction + Fraction(1, 2))
        return steps > FixedFormat(width, fraction, signed).maximum

    assert not saturates(fraction)
    assert saturates(fraction + 1)


def test_best_fraction_of_nothing() -> None:
    assert best_fraction(np.zeros(3), 16) == 15
