"""The rows of a waveform: which signals of a layer's run a person wants to see first, by unit, and in which order.

The RTL's dump and the simulator's timeline both have exactly these rows under these names; docs/waveforms.md says what each means.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rtl.array import CYCLE_BITS
from rtl.parameters import ArrayParameters

SCOPE = "wave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A signal ``name`` of a ``unit``: ``width`` bits, a flag if 1; ``signed`` in two's complement."""

    unit: str
    name: str
    width: int = 1
    signed: bool = False

    @property
    def path(self) -> tuple[str, str, str]:
        """Scopes and name in a dump."""
        return SCOPE, self.unit, self.name

    @property
    def label(self) -> str:
        """The name as dump files write it, with the range of its bits."""
        return self.name if self.width == 1 else f"{self.name} [{self.width - 1}:0]"


def rows_of(parameters: ArrayParameters) -> tuple[Row, ...]:
    """Return the rows of an array, unit by unit in the order in which an activation passes them."""
    return tuple(_rows(parameters))


def _rows(p: ArrayParameters) -> Iterator[Row]:
    yield Row(unit="layer", name="busy")
    yield Row(unit="layer", name="cycle", width=CYCLE_BITS)
    yield Row(unit="scan", name="active")
    yield Row(unit="scan", name="passes_zeros")
    yield Row(unit="scan", name="offers")
    yield Row(unit="scan", name="column", width=p.column.width)
    yield Row(unit="scan", name="value", width=p.activation_bits, signed=True)
    yield Row(unit="broadcast", name="sent")
    for pe in range(p.pes):
        yield Row(unit=f"queue{pe}", name="level", width=p.queue_depth.bit_length())
    for pe in range(p.pes):
        for name in ("pop", "pointer", "issue", "busy", "leave"):
            yield Row(unit=f"pe{pe}", name=name)
    yield Row(unit="drain", name="busy")
    yield Row(unit="drain", name="asks")
    yield Row(unit="drain", name="row", width=p.local_row.width)
    yield Row(unit="drain", name="result")
    for pe in range(p.pes):
        yield Row(unit="drain", name=f"output{pe}", width=p.activation_bits, signed=True)
    yield Row(unit="stall", name="queue_full")
    for pe in range(p.pes):
        yield Row(unit="stall", name=f"starved{pe}")
