"""Action counts of a layer: every access to every memory and every operation, from totals that do not depend on timing.

Per PE variant the counts are those of ``qsim.sim.pe``; the rest of the array is here. One row of the scan is one access to the
activation memory; one entry of a queue is the activation and the number of its column; outputs are written one by one, each PE
into its own bank.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qsim.actions import Access, Action
from qsim.arch.architecture import Architecture
from qsim.results import ActionCount
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pe.work import Totals, storage

SYMBOL_BITS = 16  # a row of the decoder's table: symbol and code length


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTotals:
    """What the counts of one layer and one input follow from.

    ``work``: of the PEs; ``weight_rows``: rows read from weight memories; ``loaded_rows``: rows written as tiles come in;
    ``loaded_pointers``: pointers written likewise; ``symbols``: decoded; ``bursts_read``, ``bursts_written``: DRAM bursts.
    ``loads_input``, ``unloads_output``: whether the activations enter or leave the chip.
    """

    rows: int
    cols: int
    bias_bits: int
    scale_bits: int
    work: Totals
    weight_rows: int
    loaded_rows: int = 0
    loaded_pointers: int = 0
    symbols: int = 0
    bursts_read: int = 0
    bursts_written: int = 0
    loads_input: bool = False
    unloads_output: bool = False


def layer_counts(totals: LayerTotals, machine: Architecture) -> tuple[ActionCount, ...]:
    """Return the counts that are not zero, in a fixed order."""
    counts: dict[Access, int] = {}
    parts = (
        _activations(totals, machine),
        _broadcast(totals, machine),
        PE_VARIANTS[machine.array.kind].actions(totals.work, machine.array).items(),
        _drain(totals, machine),
        _memory(totals, machine),
    )
    for part in parts:
        for access, count in part:
            counts[access] = counts.get(access, 0) + count
    return tuple(ActionCount(access=access, count=count) for access, count in counts.items() if count)


def _sram(unit: str, action: Action, width_bits: int, size: int) -> Access:
    return Access(unit=unit, action=action, width_bits=width_bits, capacity_bytes=size)


def _activations(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    bits, size, width = machine.array.activation_bits, machine.activations.bytes, machine.scan.row_width
    row = width * bits
    scanned, drained = -(-totals.cols // width), -(-totals.rows // width)
    yield _sram("activations", Action.SRAM_READ, row, size), scanned + drained * totals.unloads_output
    yield _sram("activations", Action.SRAM_WRITE, row, size), scanned * totals.loads_input
    yield _sram("activations", Action.SRAM_WRITE, bits, size), totals.rows


def _broadcast(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    array, items = machine.array, totals.work.columns * machine.array.pes
    width = array.activation_bits + machine.pointers.width_bits
    yield Access(unit="queue", action=Action.REGISTER_WRITE, width_bits=width), items
    yield Access(unit="queue", action=Action.REGISTER_READ, width_bits=width), items
    yield _sram("weights", Action.SRAM_READ, machine.weights.width_bits, machine.weights.bytes), totals.weight_rows
    if PE_VARIANTS[array.kind].pointers:
        # Begin and end of a column lie in two banks, for even and odd columns, that are read in one cycle.
        bank = max(1, machine.pointers.bytes // 2)
        yield _sram("pointers", Action.SRAM_READ, machine.pointers.width_bits, bank), 2 * items


def _drain(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    array, rows = machine.array, totals.rows
    read, clear = storage("accumulators", array.local_rows, array.accumulator_bits)
    yield read, rows
    yield clear, rows
    yield storage("drain", array.local_rows, totals.bias_bits)[0], rows
    # One sum for the bias, one for rounding half up.
    yield Access(unit="drain", action=Action.INT_ADD, width_bits=array.accumulator_bits), 2 * rows
    if PE_VARIANTS[array.kind].scales:
        yield storage("drain", array.local_rows, totals.scale_bits)[0], rows
        yield Access(unit="drain", action=Action.INT_MULTIPLY, width_bits=array.accumulator_bits), rows


def _memory(totals: LayerTotals, machine: Architecture) -> Iterable[tuple[Access, int]]:
    if machine.dram is None:
        return
    burst = machine.dram.burst_bytes * 8
    yield Access(unit="dram", action=Action.DRAM_READ, width_bits=burst), totals.bursts_read
    yield Access(unit="dram", action=Action.DRAM_WRITE, width_bits=burst), totals.bursts_written
    yield _sram("weights", Action.SRAM_WRITE, machine.weights.width_bits, machine.weights.bytes), totals.loaded_rows
    bank = max(1, machine.pointers.bytes // 2)
    yield _sram("pointers", Action.SRAM_WRITE, machine.pointers.width_bits, bank), totals.loaded_pointers
    if machine.decoder is not None:
        size = (1 << machine.decoder.max_code_bits) * SYMBOL_BITS // 8
        yield _sram("decoder", Action.SRAM_READ, SYMBOL_BITS, size), totals.symbols
