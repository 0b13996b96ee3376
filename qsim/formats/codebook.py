"""Codebooks as a machine holds them: a small table of weights with slot 0 reserved for zero.

A sparse machine must store filler entries, whose value is zero. So slot 0 of its table is 0, and a table addressed by
``code_bits`` bits has room for ``2**code_bits - 1`` weights that are not zero.
"""

from dataclasses import dataclass

import numpy as np

from qsim.errors import FieldError, UnsupportedProgram
from qsim.formats.arrays import read_only
from qsim.formats.fixed import IntArray
from qsim.formats.layer import ScalarCoded

FILLER_CODE = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MachineCodebook:
    """``table`` [n], integer weights with ``table[0] == 0``, and ``code_bits``, the width of an address into it."""

    table: IntArray
    code_bits: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", read_only(self.table, np.int64, 1, "codebook.table"))
        if not 1 <= self.code_bits <= 16:
            raise FieldError(path="codebook.code_bits", rule="1 to 16", value=self.code_bits)
        if not 1 <= len(self.table) <= 1 << self.code_bits:
            raise FieldError(path="codebook.table", rule=f"1 to {1 << self.code_bits} slots", value=len(self.table))
        if self.table[FILLER_CODE] != 0:
            raise FieldError(path="codebook.table[0]", rule="0, the value of a filler entry", value=int(self.table[0]))

    @property
    def padded(self) -> IntArray:
        """The table with all ``2**code_bits`` slots, unused ones 0, as it is loaded into a PE."""
        return np.pad(self.table, (0, (1 << self.code_bits) - len(self.table)))


def machine_codes(form: ScalarCoded, code_bits: int) -> tuple[IntArray, MachineCodebook]:
    """Return every weight's machine code [rows, cols] and the codebook it addresses.

    Zero weights, pruned or with a zero centroid, have code 0; the centroid ``codebook[c]`` that is not zero has the next
    free slot in order of ``c``. Raises :class:`UnsupportedProgram` when there are more than ``2**code_bits - 1`` of them.
    """
    real = np.flatnonzero(form.codebook)
    if len(real) >= 1 << code_bits:
        rule = f"at most {(1 << code_bits) - 1} values that are not zero, for {code_bits}-bit codes with slot 0 holding zero"
        raise UnsupportedProgram(path="codebook", rule=rule, value=len(real))
    slot = np.zeros(len(form.codebook), dtype=np.int64)
    slot[real] = 1 + np.arange(len(real))
    codes: IntArray = slot[form.codes]
    if form.mask is not None:
        codes[~form.mask] = FILLER_CODE
    table = np.concatenate([np.zeros(1, dtype=np.int64), form.codebook[real]])
    return codes, MachineCodebook(table=table, code_bits=code_bits)
