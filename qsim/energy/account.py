"""The account: counts of accesses times prices, mean over the inputs, plus leakage times time.

``energy = sum over accesses of count * price``; ``leakage = sum over memories of instances * leakage_mw * time_ns`` (1 mW * 1 ns = 1 pJ).
Nothing here knows how the counts came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qsim.actions import Access
from qsim.arch.architecture import REGISTER_FILE_WORDS, SYMBOL_BITS, Architecture, Coding, PEKind
from qsim.arch.context_memories import context_memories
from qsim.energy.technology import Price, Technology
from qsim.errors import FieldError
from qsim.results import AccessPrice, EnergyBreakdown, EnergyEntry, LayerResult
from qsim.units import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryInstance:
    """A kind of on-chip memory and how many of it a machine has; they leak whether used or not."""

    name: str
    capacity_bytes: int
    width_bits: int
    instances: int

    def __post_init__(self) -> None:
        for name in ("capacity_bytes", "width_bits", "instances"):
            if getattr(self, name) < 1:
                raise FieldError(path=f"memory.{self.name}.{name}", rule="at least 1", value=getattr(self, name))


def memories_of(machine: Architecture) -> tuple[MemoryInstance, ...]:
    """Return every SRAM that the action counts of ``machine`` use; what is small enough for registers is none.

    Pointers, in two banks, only where the PEs store relative indices; a codebook and row scales likewise only where there are some.
    """
    array, pes = machine.array, machine.array.pes
    found = [
        ("weights", machine.weights.bytes, machine.weights.width_bits, pes),
        ("activations", machine.activations.bytes, machine.activation_row_bits, pes),
    ]
    if array.kind in (PEKind.SPARSE, PEKind.PVQ):
        found.append(("pointers", max(1, machine.pointers.bytes // 2), machine.pointers.width_bits, 2 * pes))
    small = [("accumulators", array.local_rows, array.accumulator_bits), ("drain", array.local_rows, array.accumulator_bits)]
    if array.kind is PEKind.PVQ:
        small.append(("drain", array.local_rows, array.weight_bits))
    if array.kind in (PEKind.CODEBOOK, PEKind.SPARSE):
        small.append(("codebook", 1 << array.code_bits, array.weight_bits))
    found += [(name, -(-words * bits // 8), bits, pes) for name, words, bits in small if words > REGISTER_FILE_WORDS]
    if machine.decoder is not None and machine.decoder.coding is Coding.CONTEXT:
        found += context_memories(machine.decoder)
    elif machine.decoder is not None:
        found.append(("decoder", machine.decoder.table_bytes, SYMBOL_BITS, machine.decoder.symbols_per_cycle))
    return tuple(MemoryInstance(name=name, capacity_bytes=size, width_bits=bits, instances=count) for name, size, bits, count in found)


def account(
    layers: Sequence[Sequence[LayerResult]],
    technology: Technology,
    *,
    clock_hz: float,
    memories: Sequence[MemoryInstance] = (),
) -> EnergyBreakdown:
    """Return the energy of one inference.

    ``layers[l][i]`` is layer ``l`` for input ``i``; counts are averaged over the inputs. ``memories`` leak for the whole time; leakage is
    None where the technology gives none, so that "not known" is never read as zero.

    Raises :class:`TechnologyError` if the technology does not cover an access, :class:`FieldError` if layers differ in their inputs.
    """
    if not layers or len({len(inputs) for inputs in layers}) != 1 or not layers[0]:
        raise FieldError(path="layers", rule="at least one layer, all with the same number of inputs", value=[len(x) for x in layers])
    prices: dict[Access, Price] = {}
    entries: list[EnergyEntry] = []
    for inputs in layers:
        for access, count in _mean_counts(inputs).items():
            if access not in prices:
                prices[access] = technology.price(access)
            entries.append(EnergyEntry(layer=inputs[0].name, access=access, count=count, pj=count * prices[access].pj))
    cycles = sum(result.cycles for inputs in layers for result in inputs) / len(layers[0])
    return EnergyBreakdown(
        technology=technology.name,
        entries=tuple(entries),
        leakage_pj=_leakage_pj(memories, technology, cycles, clock_hz),
        prices=tuple(AccessPrice(access=access, pj=price.pj, source=price.source) for access, price in sorted(prices.items())),
        notes=tuple(dict.fromkeys(price.note for _, price in sorted(prices.items()) if price.note)),
    )


def _mean_counts(inputs: Sequence[LayerResult]) -> dict[Access, float]:
    totals: dict[Access, int] = {}
    for result in inputs:
        for entry in result.counts:
            totals[entry.access] = totals.get(entry.access, 0) + entry.count
    return {access: total / len(inputs) for access, total in sorted(totals.items())}


def _leakage_pj(memories: Sequence[MemoryInstance], technology: Technology, cycles: float, clock_hz: float) -> float | None:
    power_mw = 0.0
    for memory in memories:
        leakage = technology.leakage_mw(memory.capacity_bytes, memory.width_bits)
        if leakage is None:
            return None
        power_mw += memory.instances * leakage
    return power_mw * cycles / clock_hz * NS_PER_S if memories else None
