"""Whether a machine codebook keeps slot 0 for zero and gives every weight its value back."""

import numpy as np
import pytest
from hypothesis import given

from qsim.errors import FieldError, UnsupportedProgram
from qsim.formats.codebook import MachineCodebook, machine_codes
from qsim.formats.layer import ScalarCoded
from tests.formats.forms import S16, scalar_coded


@given(scalar_coded(6, 9))
def test_machine_codes_look_up_the_same_weights(form):
    codes, codebook = machine_codes(form, 6)
    assert np.array_equal(codebook.table[codes], form.reconstruct())
    assert np.array_equal(codes == 0, form.reconstruct() == 0)
    assert len(codebook.padded) == 64


def test_fifteen_values_fill_four_bits():
    form = ScalarCoded(codes=[[0, 14]], codebook=np.arange(1, 16), weight_format=S16)
    assert machine_codes(form, 4)[0].tolist() == [[1, 15]]
    more = ScalarCoded(codes=[[0, 14]], codebook=np.arange(1, 17), weight_format=S16)
    with pytest.raises(UnsupportedProgram, match="at most 15 values that are not zero"):
        machine_codes(more, 4)


def test_a_zero_centroid_takes_no_slot():
    form = ScalarCoded(codes=[[0, 1, 2]], codebook=[5, 0, -5], weight_format=S16)
    codes, codebook = machine_codes(form, 2)
    assert (codes.tolist(), codebook.table.tolist()) == ([[1, 0, 2]], [0, 5, -5])


@pytest.mark.parametrize(("table", "bits", "message"), [([1], 4, r"table\[0\]"), ([0] * 5, 2, "1 to 4 slots"), ([0], 17, "1 to 16")])
def test_impossible_codebooks_are_refused(table, bits, message):
    with pytest.raises(FieldError, match=message):
        MachineCodebook(table=table, code_bits=bits)
