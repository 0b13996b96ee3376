"""The dense PE: one stored weight a cycle, for every local row of every column. The baseline: nothing is skipped, nothing coded."""

import numpy as np

from qsim.actions import Access
from qsim.arch.architecture import Architecture, Array
from qsim.encode.interleave import local_rows
from qsim.errors import UnsupportedProgram
from qsim.formats.layer import Form, Pyramid
from qsim.sim.pe.work import PEVariant, Totals, Work, accumulate, multiply


def every_row(form: Form, pes: int, table_bits: int) -> Work:
    """Return the work of PEs that issue each of their rows for each column."""
    entries = np.repeat(local_rows(form.rows, pes)[:, None], form.cols, axis=1)
    return Work(entries=entries, fillers=np.zeros_like(entries), additions=entries, issue=entries, table_bits=table_bits)


def work(form: Form, machine: Architecture, layer: str) -> Work:
    """Return the work of dense PEs: any form whose integer weights need no scale."""
    if isinstance(form, Pyramid):
        rule = "a form without row scales on a dense PE (choose a pvq machine, or another recipe)"
        raise UnsupportedProgram(path=f"{layer}.form", rule=rule, value="Pyramid")
    if form.weight_format.width > machine.array.weight_bits:
        rule = f"of at most {machine.array.weight_bits} bits (array.weight_bits)"
        raise UnsupportedProgram(path=f"{layer}.form.weight_format", rule=rule, value=str(form.weight_format))
    return every_row(form, machine.array.pes, 0)


def actions(totals: Totals, array: Array) -> dict[Access, int]:
    """One multiplication and one sum for each weight."""
    return multiply(totals.entries, array) | accumulate(totals.additions, array)


VARIANT = PEVariant(work=work, actions=actions, pointers=False, codebook=False, scales=False)
