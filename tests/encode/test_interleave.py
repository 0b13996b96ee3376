"""Whether every PE's memory image holds exactly its rows, in the order and with the filler entries that EIE describes."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.encode.interleave import InterleavedImage, deinterleave, entry_counts, interleave, local_rows
from qsim.errors import FieldError, FileFormatError, UnsupportedProgram
from qsim.formats.codebook import machine_codes
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Pyramid, ScalarCoded
from tests.formats.forms import S16, pyramid, scalar_coded, shapes

sparse_forms = shapes.flatmap(lambda shape: st.one_of(scalar_coded(*shape), pyramid(*shape)))
pe_counts = st.integers(1, 9)


def by_hand(codes: np.ndarray, pes: int, largest: int) -> list[list[list[tuple[int, int]]]]:
    """Walk every column of every PE row by row: (code, gap) entries."""
    image = []
    for pe in range(pes):
        columns = []
        for column in codes[pe::pes].T:
            entries, pending, zeros = [], [], 0
            for code in column.tolist():
                if code:
                    entries += [*pending, (code, zeros)]
                    pending, zeros = [], 0
                elif zeros == largest:
                    pending, zeros = [*pending, (0, largest)], 0
                else:
                    zeros += 1
            columns.append(entries)
        image.append(columns)
    return image


def test_worked_example_of_eie():
    # Han et al., ISCA 2016, section III-B.
    column = np.array([0, 0, 1, 2] + [0] * 18 + [3])
    form = ScalarCoded(codes=column[:, None], codebook=[0, 100, 200, 300], weight_format=S16)
    image = interleave(form, pes=1, index_bits=4, code_bits=4)
    assert image.codes.tolist() == [1, 2, 0, 3]
    assert image.gaps.tolist() == [2, 0, 15, 2]
    assert image.pointers.tolist() == [[0, 4]]
    assert image.values.tolist() == [100, 200, 0, 300]


@given(sparse_forms, pe_counts, st.integers(1, 4))
def test_image_equals_the_walk_by_hand(form, pes, index_bits):
    image = interleave(form, pes=pes, index_bits=index_bits, code_bits=6)
    codes = machine_codes(form, 6)[0] if isinstance(form, ScalarCoded) else form.pulses
    expected = by_hand(codes, pes, (1 << index_bits) - 1)
    for pe in range(pes):
        found_codes, found_gaps = image.memory(pe)
        for col in range(form.cols):
            part = slice(image.pointers[pe, col], image.pointers[pe, col + 1])
            found = list(zip(found_codes[part].tolist(), found_gaps[part].tolist(), strict=True))
            assert found == expected[pe][col]


@given(sparse_forms, pe_counts, st.integers(1, 8))
def test_deinterleave_is_the_inverse(form, pes, index_bits):
    image = interleave(form, pes=pes, index_bits=index_bits, code_bits=6)
    codes = deinterleave(image)
    weights = codes if image.table is None else image.table[codes]
    assert np.array_equal(weights, form.reconstruct())


@given(sparse_forms, pe_counts, st.integers(1, 4))
def test_counts_equal_those_of_the_image(form, pes, index_bits):
    image = interleave(form, pes=pes, index_bits=index_bits, code_bits=6)
    counts = entry_counts(form.reconstruct(), pes=pes, index_bits=index_bits)
    assert np.array_equal(counts.entries, image.entries)
    segments = np.repeat(np.arange(counts.entries.size), image.entries.ravel())
    size = counts.entries.size
    assert np.array_equal(counts.fillers.ravel(), np.bincount(segments[image.codes == 0], minlength=size))
    additions = np.bincount(segments, np.maximum(1, np.abs(image.values)), minlength=size)
    assert np.array_equal(counts.additions.ravel(), additions)
    only_places = entry_counts(form.reconstruct() != 0, pes=pes, index_bits=index_bits)
    assert np.array_equal(only_places.entries, counts.entries)
    assert np.array_equal(only_places.additions, counts.entries)


@given(st.integers(0, 40), st.integers(1, 12))
def test_local_rows_count_the_owned_rows(rows, pes):
    assert local_rows(rows, pes).tolist() == [len(range(pe, rows, pes)) for pe in range(pes)]


@pytest.mark.parametrize(("density", "expected"), [(0.09, 0.193), (0.04, 0.561)])
def test_fillers_of_random_layers_follow_the_formula_and_are_quick(density, expected):
    # Fillers per non-zero at 64 PEs, 64 local rows, 4-bit gaps, independent weights:
    # sum over k of d (n - 16 k) (1 - d)^(16 k) / (n d); 0.193 at AlexNet's 9 %, 0.561 at VGG's 4 %.
    n = 64
    formula = sum((n - 16 * k) * (1 - density) ** (16 * k) for k in range(1, 4)) / n
    assert formula == pytest.approx(expected, abs=1e-3)
    rng = np.random.default_rng(1)
    mask = rng.random((4096, 4096)) < density
    form = ScalarCoded(codes=mask.astype(np.uint16), codebook=[0, 5], weight_format=S16)
    start = time.process_time()
    image = interleave(form, pes=64, index_bits=4, code_bits=4)
    assert time.process_time() - start < 2  # 0.5 s on a quiet core
    assert (len(image.codes) - mask.sum()) / mask.sum() == pytest.approx(formula, rel=0.02)


def test_forms_and_codes_that_do_not_fit_are_refused():
    with pytest.raises(UnsupportedProgram, match="a sparse form, not 'Dense'"):
        interleave(Dense(values=[[1]], weight_format=S16), pes=1, index_bits=4, code_bits=4)
    wide = Pyramid(pulses=[[8]], scales=[1], scale_format=FixedFormat(16, 12, signed=False))
    with pytest.raises(UnsupportedProgram, match="at least 5, to hold every pulse"):
        interleave(wide, pes=1, index_bits=4, code_bits=4)
    with pytest.raises(FieldError, match="pes must be at least 1"):
        entry_counts(np.ones((2, 2)), pes=0, index_bits=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pointers": [[1, 1]]}, "rising from 0"),
        ({"pointers": [[0, 2]]}, "image.codes"),
        ({"gaps": [4]}, "image.gaps"),
        ({"codes": [2]}, "image.codes"),
    ],
)
def test_impossible_images_are_refused(change, message):
    parts = {"pointers": [[0, 1]], "codes": [1], "gaps": [3], "table": [0, 7]} | change
    with pytest.raises(FieldError, match=message):
        InterleavedImage(rows=4, cols=1, index_bits=2, code_bits=2, **parts)


@pytest.mark.parametrize(("codes", "gaps", "message"), [([1, 1], [3, 0], "within 4 rows"), ([0, 1], [1, 0], "largest gap")])
def test_images_of_impossible_layers_are_refused(codes, gaps, message):
    image = InterleavedImage(rows=4, cols=1, index_bits=2, code_bits=2, pointers=[[0, 2]], codes=codes, gaps=gaps, table=[0, 7])
    with pytest.raises(FileFormatError, match=message):
        deinterleave(image)
