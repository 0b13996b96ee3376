"""The sparse PE: stores only weights that are not zero, each with the run of zeros before it; a filler entry costs a cycle like
any other.
"""

from qsim.actions import Access
from qsim.arch.architecture import Architecture, Array
from qsim.encode.interleave import entry_counts
from qsim.formats.layer import Form
from qsim.sim.pe.codebook import scalar_coded, table_bits
from qsim.sim.pe.work import PEVariant, Totals, Work, accumulate, address, look_up, multiply


def work(form: Form, machine: Architecture, layer: str) -> Work:
    """Return the work of sparse PEs; slot 0 of the codebook is the fillers' zero."""
    array = machine.array
    coded = scalar_coded(form, machine, layer, zero_slot=True)
    occupied = (coded.codebook != 0)[coded.codes]
    if coded.mask is not None:
        occupied &= coded.mask
    counts = entry_counts(occupied, pes=array.pes, index_bits=array.index_bits)
    return Work(
        entries=counts.entries, fillers=counts.fillers, additions=counts.entries, issue=counts.entries, table_bits=table_bits(array)
    )


def actions(totals: Totals, array: Array) -> dict[Access, int]:
    """For each entry, fillers included: an address, a look-up, a multiplication and a sum."""
    count = totals.entries
    return address(count, array) | look_up(count, array) | multiply(count, array) | accumulate(totals.additions, array)


VARIANT = PEVariant(work=work, actions=actions, pointers=True, codebook=True, scales=False)
