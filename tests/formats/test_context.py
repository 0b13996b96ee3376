"""Is the context coder exact, are its tables the same on every machine, and does it do what no code without context can?"""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.coding import decode_form, encode_form
from qsim.formats.context import alphabet_of, decisions, decode_cells, encode_cells, tables
from qsim.formats.context_kernel import LIMIT
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import FixedFormat
from qsim.formats.symbols import EncodeOptions, entropy_bits
from tests.formats.forms import forms

BIAS = FixedFormat(8, 4)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, int | None, int]:
    """Symbols [rows, cols], the hole and the picture's width, extremes included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, cols = draw(st.integers(0, 9)), draw(st.integers(0, 30))
    largest = draw(st.sampled_from([0, 1, 2, 6, 255]))
    cells = rng.integers(0, largest + 1, (rows, cols))
    hole = draw(st.one_of(st.none(), st.integers(0, 300)))
    if hole is not None:
        cells[rng.random(cells.shape) < draw(st.sampled_from([0, 0.5, 0.95, 1]))] = hole
    return cells, hole, draw(st.integers(0, cols))


@given(matrices())
@settings(deadline=None)
def test_decoding_is_the_inverse(given_matrix: tuple[np.ndarray, int | None, int]) -> None:
    cells, hole, grid = given_matrix
    payload = encode_cells(cells, hole, grid)
    assert np.array_equal(decode_cells(payload, *cells.shape, hole, alphabet_of(cells, hole), grid), cells)


@given(st.integers(1, 6).flatmap(lambda rows: st.integers(1, 5).flatmap(lambda cols: forms(rows, 2 * cols))))
@settings(deadline=None)
def test_every_form_survives_a_file_coded_by_context(form: object) -> None:
    bias = np.zeros(form.rows, dtype=np.int64)
    encoded = encode_form(form, bias, BIAS, EncodeOptions(context=True))
    payload = Bytes(encoded.payload, "x")
    again, _ = decode_form(Fields(encoded.header, "x"), payload, form.rows, form.cols, BIAS)
    payload.end()
    assert np.array_equal(again.reconstruct(), form.reconstruct())


def clustered(rows: int = 80, side: int = 16) -> np.ndarray:
    """Masks as pruning leaves them: some pixels matter, and some rows have more of them."""
    rng = np.random.default_rng(3)
    across = np.exp(-((np.arange(side) - side / 2) ** 2) / 12)
    chance = np.outer(np.linspace(1.6, 0.1, rows), np.outer(across, across).ravel() * 0.4)
    return np.where(rng.random(chance.shape) < chance, rng.integers(0, 4, chance.shape), 4)


def test_structure_is_worth_bits_that_no_code_without_context_can_save() -> None:
    cells = clustered()
    coded = 8 * len(encode_cells(cells, 4, 16))
    assert coded < 0.9 * entropy_bits(np.bincount(cells.ravel()))


def test_unstructured_cells_cost_little_more_than_their_entropy() -> None:
    cells = np.where(np.random.default_rng(4).random((200, 200)) < 0.1, 0, 1)
    assert 8 * len(encode_cells(cells, 1)) < 1.05 * entropy_bits(np.bincount(cells.ravel()))


def test_tables_do_not_depend_on_the_last_bit_of_a_logarithm() -> None:
    logits, squash, _ = tables()
    with localcontext() as context:
        context.prec = 25
        for place in range(0, 4096, 7):
            chance = (Decimal(place) + Decimal("0.5")) / 4096
            exact = 256 * (chance / (1 - chance)).ln()
            assert int(logits[place]) == round(exact)
            assert abs(abs(exact - int(logits[place])) - Decimal("0.5")) > Decimal("1e-9")
        for place in range(-LIMIT, LIMIT + 1, 7):
            exact = 65536 / (1 + (-Decimal(place) / 256).exp())
            assert int(squash[place + LIMIT]) == min(65535, max(1, round(exact)))


def test_decisions_are_counted() -> None:
    cells = np.array([[4, 4, 0], [3, 4, 4]])
    assert decisions(cells, 4) == 6 + 2 * 2  # six cells, two symbols of two bits
    assert decisions(cells.astype(np.uint16), None) == 6 * 3


def test_damaged_streams_are_refused() -> None:
    cells = clustered(20)
    payload = encode_cells(cells, 4, 16)
    for other in (payload + b"\0", payload[:-1] + bytes([payload[-1] ^ 255])):  # the same cells, or others with another ending
        with pytest.raises(FileFormatError, match=r"context\.payload"):
            decode_cells(other, *cells.shape, 4, 4, 16)
    with pytest.raises(FileFormatError, match=r"context\.payload"):
        decode_cells(payload, *cells.shape, 4, 3, 16)
    with pytest.raises(FieldError, match="at most 256 symbols"):
        encode_cells(np.array([[256]]), None)
    with pytest.raises(FieldError, match=r"encode\.context must be off"):
        EncodeOptions(context=True, by_column=True)
