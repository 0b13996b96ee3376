"""The pyramid-vector PE: no multiplier. An entry of magnitude m adds or subtracts the activation m times, one cycle each.

The scale of a row is applied once, by the drain. Source of the idea: Liguori, arXiv:1704.02681.
"""

import numpy as np

from qsim.actions import Access
from qsim.arch.architecture import Architecture, Array
from qsim.encode.interleave import entry_counts
from qsim.errors import UnsupportedProgram
from qsim.formats.layer import Form, Pyramid
from qsim.sim.pe.work import PEVariant, Totals, Work, accumulate, address


def work(form: Form, machine: Architecture, layer: str) -> Work:
    """Return the work of pvq PEs: an entry costs max(1, abs(pulse)) cycles; a filler adds nothing but costs its cycle."""
    array = machine.array
    if not isinstance(form, Pyramid):
        rule = "Pyramid on a pvq PE (choose another machine, or a recipe with pyramid vectors)"
        raise UnsupportedProgram(path=f"{layer}.form", rule=rule, value=type(form).__name__)
    if form.weight_format.width > array.code_bits:
        rule = f"at least {form.weight_format.width}, the bits of the largest pulse of {layer}"
        raise UnsupportedProgram(path="array.code_bits", rule=rule, value=array.code_bits)
    counts = entry_counts(form.pulses, pes=array.pes, index_bits=array.index_bits)
    additions = counts.additions - counts.fillers
    scale_bits = form.rows * form.scale_format.width
    return Work(
        entries=counts.entries, fillers=counts.fillers, additions=additions, issue=np.asarray(counts.additions), table_bits=scale_bits
    )


def actions(totals: Totals, array: Array) -> dict[Access, int]:
    """An address for each entry, a sum for each unit of a pulse's magnitude."""
    return address(totals.entries, array) | accumulate(totals.additions, array)


VARIANT = PEVariant(work=work, actions=actions, pointers=True, codebook=False, scales=True)
