"""The codebook PE: as the dense one, but the stored weight is an index into a small table."""

import numpy as np

from qsim.actions import Access
from qsim.arch.architecture import Architecture, Array
from qsim.errors import UnsupportedProgram
from qsim.formats.layer import Form, ScalarCoded
from qsim.sim.pe.dense import every_row
from qsim.sim.pe.work import PEVariant, Totals, Work, accumulate, look_up, multiply


def scalar_coded(form: Form, machine: Architecture, layer: str, *, zero_slot: bool) -> ScalarCoded:
    """Return ``form`` if its codebook fits the machine's, with a slot for zero where one is needed.

    Raises :class:`UnsupportedProgram` naming what to change.
    """
    if not isinstance(form, ScalarCoded):
        rule = f"ScalarCoded on a {machine.array.kind} PE (choose another machine, or a recipe with a scalar codebook)"
        raise UnsupportedProgram(path=f"{layer}.form", rule=rule, value=type(form).__name__)
    real = int(np.count_nonzero(form.codebook))
    values = real + int(zero_slot or real < len(form.codebook))
    if values > 1 << machine.array.code_bits:
        least = (values - 1).bit_length()
        rule = f"of at most {1 << machine.array.code_bits} values, zero included (or raise array.code_bits to {least})"
        raise UnsupportedProgram(path=f"{layer}.form.codebook", rule=rule, value=values)
    if form.weight_format.width > machine.array.weight_bits:
        rule = f"of at most {machine.array.weight_bits} bits (array.weight_bits)"
        raise UnsupportedProgram(path=f"{layer}.form.weight_format", rule=rule, value=str(form.weight_format))
    return form


def table_bits(array: Array) -> int:
    """Return the bits of a full codebook."""
    return (1 << array.code_bits) * array.weight_bits


def work(form: Form, machine: Architecture, layer: str) -> Work:
    """Return the work of codebook PEs; pruned weights need a slot that holds zero."""
    coded = scalar_coded(form, machine, layer, zero_slot=isinstance(form, ScalarCoded) and form.mask is not None)
    return every_row(coded, machine.array.pes, table_bits(machine.array))


def actions(totals: Totals, array: Array) -> dict[Access, int]:
    """One look-up, one multiplication and one sum for each weight."""
    return look_up(totals.entries, array) | multiply(totals.entries, array) | accumulate(totals.additions, array)


VARIANT = PEVariant(work=work, actions=actions, pointers=False, codebook=True, scales=False)
