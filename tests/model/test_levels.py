"""Is a rounded operand on as few levels as its codes have, within half a step, the step the smallest power of two that holds it?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import FieldError
from qsim.model.levels import round_operands
from qsim.model.network import Network
from qsim.model.reference import run
from workloads.builder import Builder


def network() -> Network:
    """Two products that share their second operand."""
    b = Builder("one", 0)
    x, y = b.input("x", 2, 3), b.input("y", 3, 4)
    return b.network(b.op("Add", "sum", b.op("MatMul", "first", x, y), b.op("MatMul", "second", x, y)))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 15), st.integers(-40, 40))
def test_values_lie_on_the_levels_nearest_to_them(seed: int, bits: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    y = (rng.standard_normal((3, 4)) * (rng.random((3, 4)) < 0.7) * 2.0**exponent).astype(np.float32)
    if rng.integers(2):  # the largest magnitude exactly on the highest level
        y[0, 0] = ((1 << (bits - 1)) - 1) * 2.0**exponent
    rounded = round_operands(network(), ["first", "second"], bits)
    names = [f"first.operand.{name}" for name in ("level", "step", "code")]
    found = run(rounded, {"x": np.zeros((2, 3), dtype=np.float32), "y": y}, keep=names)
    level, step, code = (found[name] for name in names)
    most, largest = (1 << (bits - 1)) - 1, float(np.abs(y).max())
    assert np.abs(code).max() <= most
    assert np.array_equal(level, code * step)
    if largest == 0:
        assert not level.any()
        return
    assert float(np.log2(step.item())).is_integer()
    assert most * step.item() / 2 < largest <= most * step.item() * (1 + 2**-16)
    assert np.all(np.abs(level - y) <= step.item() / 2 + largest * 2**-21)  # float32 has 24 bits


def test_an_operand_that_two_products_share_is_rounded_once() -> None:
    rounded = round_operands(network(), ["first", "second"], 4)
    assert [operator.kind for operator in rounded.operators].count("Round") == 1
    assert len({operator.inputs[1] for operator in rounded.operators if operator.kind == "MatMul"}) == 1
    again = round_operands(rounded, ["first"], 3)
    assert [operator.kind for operator in again.operators].count("Round") == 2


def test_one_bit_has_no_levels() -> None:
    with pytest.raises(FieldError, match="bits must be at least 2, for levels on both sides of zero"):
        round_operands(network(), ["first"], 1)
