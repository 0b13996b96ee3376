"""Action counts of a layer: every access to every memory and every operation, from totals that do not depend on timing.

Per PE variant the counts are those of ``qsim.sim.pe``; the rest of the array is here. One row of the scan is one access to the
activation memory (none for a row of zeros that is padding); one entry of a queue is the activation and the number of its column; outputs
are written one by one, each PE into its own bank. A PE's biases are as wide as its accumulators, row scales as its weights. What arrives
with streamed weights is written once: biases and scales by the PE that owns the row, the codebook by every PE, code tables by every lane of
the decoder.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qsim.actions import Access, Action
from qsim.arch.architecture import SYMBOL_BITS, Architecture, Coding, Decoder
from qsim.results import ActionCount
from qsim.sim.context_decoder import context_actions
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pe.work import Totals, codebook_storage, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTotals:
    """What the counts of one layer and one input follow from.

    ``results``: outputs drained; ``work``: of the PEs; ``weight_rows``: rows read from weight memories. ``scan_reads``, ``input_writes``,
    ``output_reads``: rows of the activation memory that the scan reads, that the input fills as it comes onto the chip, that the output is
    read in as it leaves. ``compares``: results compared with the largest of their pool so far; ``adds``, ``multiplies``: of a recurrent
    cell, element by element. With streamed weights: ``loaded_rows``:
    rows written as tiles come in; ``loaded_pointers``: pointers written likewise; ``table_rows``: biases and scales written, ``codebooks``:
    how often each PE gets its codebook; ``symbols``: decoded; ``code_tables`` with ``table_symbols`` in all: loaded for that.
    ``bursts_read``, ``bursts_written``: DRAM bursts. ``operand_elements``: of an operand of a product, broadcast to be written as weights.
    """

    results: int
    work: Totals
    weight_rows: int
    scan_reads: int
    input_writes: int = 0
    output_reads: int = 0
    compares: int = 0
    adds: int = 0
    multiplies: int = 0
    loaded_rows: int = 0
    loaded_pointers: int = 0
    table_rows: int = 0
    codebooks: int = 0
    symbols: int = 0
    code_tables: int = 0
    table_symbols: int = 0
    bursts_read: int = 0
    bursts_written: int = 0
    operand_elements: int = 0


def layer_counts(totals: LayerTotals, machine: Architecture) -> tuple[ActionCount, ...]:
    """Return the counts that are not zero, in a fixed order."""
    counts: dict[Access, int] = {}
    parts = (
        _activations(totals, machine),
        _broadcast(totals, machine),
        PE_VARIANTS[machine.array.kind].actions(totals.work, machine.array).items(),
        _drain(totals, machine),
        _memory(totals, machine),
        _tables(totals, machine),
    )
    for part in parts:
        for access, count in part:
            counts[access] = counts.get(access, 0) + count
    return tuple(ActionCount(access=access, count=count) for access, count in counts.items() if count)


def _sram(unit: str, action: Action, width_bits: int, size: int) -> Access:
    return Access(unit=unit, action=action, width_bits=width_bits, capacity_bytes=size)


def _activations(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    """A result that is pooled is written into its place of the pool: read, compared, written."""
    bits, size, row = machine.array.activation_bits, machine.activations.bytes, machine.activation_row_bits
    yield _sram("activations", Action.SRAM_READ, row, size), totals.scan_reads + totals.output_reads
    yield _sram("activations", Action.SRAM_WRITE, row, size), totals.input_writes
    yield _sram("activations", Action.SRAM_WRITE, bits, size), totals.compares or totals.results
    yield _sram("activations", Action.SRAM_READ, bits, size), totals.compares
    yield Access(unit="drain", action=Action.INT_ADD, width_bits=bits), totals.compares


def _broadcast(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    array, items = machine.array, totals.work.columns * machine.array.pes
    width, queued = array.activation_bits + machine.pointers.width_bits, items + totals.operand_elements * array.pes
    yield Access(unit="queue", action=Action.REGISTER_WRITE, width_bits=width), queued
    yield Access(unit="queue", action=Action.REGISTER_READ, width_bits=width), queued
    yield _sram("weights", Action.SRAM_READ, machine.weights.width_bits, machine.weights.bytes), totals.weight_rows
    if PE_VARIANTS[array.kind].pointers:
        # Begin and end of a column lie in two banks, for even and odd columns, that are read in one cycle.
        bank = max(1, machine.pointers.bytes // 2)
        yield _sram("pointers", Action.SRAM_READ, machine.pointers.width_bits, bank), 2 * items


def _drain(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    array, rows = machine.array, totals.results
    read, clear = storage("accumulators", array.local_rows, array.accumulator_bits)
    yield read, rows
    yield clear, rows
    yield storage("drain", array.local_rows, array.accumulator_bits)[0], rows
    # One sum for the bias, one for rounding half up.
    yield Access(unit="drain", action=Action.INT_ADD, width_bits=array.accumulator_bits), 2 * rows + totals.adds
    yield Access(unit="drain", action=Action.INT_MULTIPLY, width_bits=array.activation_bits), totals.multiplies
    if PE_VARIANTS[array.kind].scales:
        yield storage("drain", array.local_rows, array.weight_bits)[0], rows
        yield Access(unit="drain", action=Action.INT_MULTIPLY, width_bits=array.accumulator_bits), rows


def _memory(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    if machine.dram is not None:
        burst = machine.dram.burst_bytes * 8
        yield Access(unit="dram", action=Action.DRAM_READ, width_bits=burst), totals.bursts_read
        yield Access(unit="dram", action=Action.DRAM_WRITE, width_bits=burst), totals.bursts_written
    yield _sram("weights", Action.SRAM_WRITE, machine.weights.width_bits, machine.weights.bytes), totals.loaded_rows
    bank = max(1, machine.pointers.bytes // 2)
    yield _sram("pointers", Action.SRAM_WRITE, machine.pointers.width_bits, bank), totals.loaded_pointers


def _tables(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    """What the first tile brings beside weights; on a machine that does not stream them it is there already."""
    if not machine.streams_weights:
        return
    array, variant = machine.array, PE_VARIANTS[machine.array.kind]
    yield storage("drain", array.local_rows, array.accumulator_bits)[1], totals.table_rows
    if variant.scales:
        yield storage("drain", array.local_rows, array.weight_bits)[1], totals.table_rows
    if variant.codebook:
        yield codebook_storage(array)[1], (totals.codebooks * array.pes) << array.code_bits
    if machine.decoder is not None:
        yield from _decoder(totals, machine.decoder)


def _decoder(totals: LayerTotals, decoder: Decoder) -> Iterable[tuple[Access, int]]:
    """Symbols from and into the symbol memory; for each table and length of code a register: first code, number, place of the symbols."""
    if decoder.coding is Coding.CONTEXT:
        yield from context_actions(decoder, totals.symbols, totals.table_symbols)
        return
    yield _sram("decoder", Action.SRAM_READ, SYMBOL_BITS, decoder.table_bytes), totals.symbols
    yield _sram("decoder", Action.SRAM_WRITE, SYMBOL_BITS, decoder.table_bytes), totals.table_symbols * decoder.symbols_per_cycle
    width = decoder.max_code_bits + 2 * decoder.table_symbols.bit_length()
    registers = totals.code_tables * decoder.max_code_bits * decoder.symbols_per_cycle
    yield Access(unit="decoder", action=Action.REGISTER_WRITE, width_bits=width), registers
