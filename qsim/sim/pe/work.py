"""What a PE variant has to say: which forms it runs, what each column costs it, and which actions that is."""

from collections.abc import Callable
from dataclasses import dataclass

from qsim.actions import Access, Action
from qsim.arch.architecture import REGISTER_FILE_WORDS, Architecture, Array
from qsim.formats.fixed import IntArray
from qsim.formats.layer import Form


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What each PE has to do for each column, all [P, cols].

    ``entries``: stored weights to issue, fillers included; ``fillers`` among them; ``additions``: sums into an accumulator;
    ``issue``: cycles of the issue stage before the least cost of a column is applied. ``table_bits``: what the codebook or the
    row scales take in DRAM.
    """

    entries: IntArray
    fillers: IntArray
    additions: IntArray
    issue: IntArray
    table_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of :class:`Work` over all PEs and all broadcast columns."""

    columns: int
    entries: int
    fillers: int
    additions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PEVariant:
    """One PE: ``work`` refuses forms that it cannot run; ``actions`` counts what the PEs do for the columns of ``Totals``.

    ``pointers``: whether a column's place is read from the pointer memory (else every column has the same length and a counter is enough).
    ``codebook``: whether each PE has a table of weight values. ``scales``: whether the drain multiplies.
    """

    work: Callable[[Form, Architecture, str], Work]
    actions: Callable[[Totals, Array], dict[Access, int]]
    pointers: bool
    codebook: bool
    scales: bool


def storage(unit: str, words: int, width_bits: int) -> tuple[Access, Access]:
    """Return the read and the write of a small memory: registers up to ``REGISTER_FILE_WORDS`` words, else SRAM."""
    if words <= REGISTER_FILE_WORDS:
        return (
            Access(unit=unit, action=Action.REGISTER_READ, width_bits=width_bits),
            Access(unit=unit, action=Action.REGISTER_WRITE, width_bits=width_bits),
        )
    size = -(-words * width_bits // 8)
    return (
        Access(unit=unit, action=Action.SRAM_READ, width_bits=width_bits, capacity_bytes=size),
        Access(unit=unit, action=Action.SRAM_WRITE, width_bits=width_bits, capacity_bytes=size),
    )


def accumulate(count: int, array: Array) -> dict[Access, int]:
    """Return the actions of ``count`` sums: one addition and one read and one write of an accumulator each."""
    read, write = storage("accumulators", array.local_rows, array.accumulator_bits)
    add = Access(unit="mac", action=Action.INT_ADD, width_bits=array.accumulator_bits)
    return {add: count, read: count, write: count}


def multiply(count: int, array: Array) -> dict[Access, int]:
    """Return the actions of ``count`` products of a weight with an activation."""
    width = max(array.weight_bits, array.activation_bits)
    return {Access(unit="mac", action=Action.INT_MULTIPLY, width_bits=width): count}


def look_up(count: int, array: Array) -> dict[Access, int]:
    """Return the actions of ``count`` reads of the codebook."""
    return {codebook_storage(array)[0]: count}


def codebook_storage(array: Array) -> tuple[Access, Access]:
    """Return the read and the write of the codebook of a PE."""
    return storage("codebook", 1 << array.code_bits, array.weight_bits)


def address(count: int, array: Array) -> dict[Access, int]:
    """Return the actions of ``count`` sums of a relative index into a local row number."""
    width = max(2, (array.local_rows - 1).bit_length())
    return {Access(unit="pointers", action=Action.INT_ADD, width_bits=width): count}
