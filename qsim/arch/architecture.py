"""The description of a machine: frozen data, valid when constructed.

A machine is a broadcast array of processing elements (PEs) with a non-zero scan before it, a drain behind it, on-chip memories
around it, and optionally weights streamed from DRAM, optionally through an entropy decoder. ``replace`` changes a field by its
dotted path, for sweeps.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import cattrs

from qsim.errors import MachineError

# Far beyond any machine; within them no cycle of a layer leaves 64 bits and no service time 32.
MOST_CYCLES = 1 << 20
MOST_BYTES = 1 << 40
MOST_BITS = 1 << 16
MOST_SLOTS = 1 << 24

REGISTER_FILE_WORDS = 64  # EIE keeps 64 accumulators a PE in a register file; what is larger is built as SRAM
SYMBOL_BITS = 16  # a word of a decoder's symbol memory


class PEKind(StrEnum):
    """The four processing elements of the broadcast array."""

    DENSE = "dense"
    CODEBOOK = "codebook"
    SPARSE = "sparse"
    PVQ = "pvq"


class ArbiterPolicy(StrEnum):
    """Who is served when several requests have arrived."""

    ACTIVATIONS_FIRST = "activations_first"
    WEIGHTS_FIRST = "weights_first"
    ROUND_ROBIN = "round_robin"


class Coding(StrEnum):
    """What the entropy decoder undoes: canonical Huffman codes, or the context coding of :mod:`qsim.formats.context`."""

    HUFFMAN = "huffman"
    CONTEXT = "context"


def _require(condition: bool, path: str, rule: str, value: object, legal: tuple[str, ...] = ()) -> None:
    if not condition:
        raise MachineError(path=path, rule=rule, value=value, legal=legal)


def _within(node: object, path: str, minimum: int, maximum: int, *names: str) -> None:
    """Require that the fields ``names`` of ``node``, which stands at ``path``, lie in ``minimum`` to ``maximum``."""
    for name in names:
        value = getattr(node, name)
        _require(minimum <= value <= maximum, f"{path}.{name}", f"{minimum} to {maximum}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The FIFO of activations before each PE.

    ``forward_latency``: cycles from a write to the earliest read of the item; ``return_latency``: cycles from a read to the earliest
    write into the freed slot. Both are 1 for a FIFO whose level is a register.
    """

    depth: int = 8
    forward_latency: int = 1
    return_latency: int = 1

    def __post_init__(self) -> None:
        _within(self, "queue", 1, MOST_SLOTS, "depth")
        _within(self, "queue", 1, MOST_CYCLES, "forward_latency")
        _within(self, "queue", 0, MOST_CYCLES, "return_latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """The PEs: PE ``p`` of ``pes`` owns the rows ``i`` with ``i % pes == p``.

    ``code_bits``: width of a codebook index (codebook, sparse) or of a signed pulse (pvq); ``index_bits``: width of the relative row index
    (sparse, pvq); ``weight_bits``: width of a weight at the multiplier; ``accumulator_bits``: width of an accumulator;
    ``min_column_cycles``: what a column without entries costs a PE, 1 because its pointers must be read;
    ``local_rows``: accumulators a PE has.
    """

    kind: PEKind
    pes: int
    queue: Queue = Queue()
    code_bits: int = 4
    index_bits: int = 4
    weight_bits: int = 16
    activation_bits: int = 16
    accumulator_bits: int = 32
    min_column_cycles: int = 1
    local_rows: int = 1024

    def __post_init__(self) -> None:
        _within(self, "array", 1, 4096, "pes")
        _within(self, "array", 1, 16, "code_bits", "index_bits")
        _within(self, "array", 2, 32, "weight_bits", "activation_bits")
        _within(self, "array", 8, 62, "accumulator_bits")
        _within(self, "array", 1, MOST_CYCLES, "min_column_cycles")
        _within(self, "array", 1, MOST_SLOTS, "local_rows")

    @property
    def entry_bits(self) -> int:
        """Bits of one stored weight in the weight memory of a PE."""
        match self.kind:
            case PEKind.DENSE:
                return self.weight_bits
            case PEKind.CODEBOOK:
                return self.code_bits
            case PEKind.SPARSE | PEKind.PVQ:
                return self.code_bits + self.index_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The non-zero scan: reads rows of ``row_width`` activations; ``skip_zeros`` off sends every activation."""

    row_width: int = 4
    skip_zeros: bool = True

    def __post_init__(self) -> None:
        _within(self, "scan", 1, 1024, "row_width")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sram:
    """An on-chip memory: ``bytes`` of storage, read and written ``width_bits`` at a time."""

    bytes: int
    width_bits: int

    def __post_init__(self) -> None:
        _within(self, "sram", 1, MOST_BYTES, "bytes")
        _within(self, "sram", 1, MOST_BITS, "width_bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationSram:
    """The activation memory of a PE: ``bytes`` of storage. One access moves a row of the scan, which is its width."""

    bytes: int

    def __post_init__(self) -> None:
        _within(self, "activations", 1, MOST_BYTES, "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """The DRAM channel: in array clock cycles. It brings the network's input and takes its output.

    A burst of ``burst_bytes`` occupies the channel for ``burst_cycles``; a request pays ``latency`` once; opening another row
    of ``row_bytes`` in one of ``banks`` costs ``row_miss_cycles``; every ``refresh_interval`` cycles the channel is closed for
    ``refresh_cycles`` and all rows close. ``holds_weights``: the weights stream from it too, ``tile_bytes`` by one request into one
    of ``buffers`` on-chip tile slots (2 is double buffering); off, they must fit on chip and there are no tiles.
    """

    burst_bytes: int
    burst_cycles: int
    latency: int
    row_bytes: int
    row_miss_cycles: int
    banks: int = 8
    refresh_interval: int
    refresh_cycles: int
    tile_bytes: int = 4096
    buffers: int = 2
    policy: ArbiterPolicy = ArbiterPolicy.ACTIVATIONS_FIRST
    holds_weights: bool = True

    def __post_init__(self) -> None:
        _within(self, "dram", 1, MOST_BYTES, "burst_bytes", "row_bytes", "tile_bytes")
        _within(self, "dram", 1, MOST_SLOTS, "banks", "buffers")
        _within(self, "dram", 1, MOST_CYCLES, "burst_cycles")
        _within(self, "dram", 0, MOST_CYCLES, "latency", "row_miss_cycles", "refresh_cycles")
        _within(self, "dram", 1, MOST_BYTES, "refresh_interval")
        _require(
            self.refresh_interval > self.refresh_cycles + self.burst_cycles + self.row_miss_cycles,
            "dram.refresh_interval",
            "greater than refresh_cycles + row_miss_cycles + burst_cycles, or no burst ever fits",
            self.refresh_interval,
        )
        _require(self.row_bytes % self.burst_bytes == 0, "dram.row_bytes", "a multiple of burst_bytes", self.row_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """An entropy decoder between DRAM and the tile buffer.

    Of ``coding`` Huffman: ``symbols_per_cycle``: sustained, one by each of as many lanes with tables of their own; ``max_code_bits``: its
    longest code, 15 at most, as in the file; ``table_symbols``: words of a lane's symbol memory, for all codes of a layer together.

    Of ``coding`` by context: ``decision_cycles`` from one decision to the next, which cannot overlap since each chooses the next one's
    slots (the stages: ``docs/microarchitecture.md``); ``slots``: words of each of its banks of adaptive chances.
    """

    symbols_per_cycle: int = 1
    max_code_bits: int = 12
    table_symbols: int = 512
    coding: Coding = Coding.HUFFMAN
    decision_cycles: int = 4
    slots: int = 4096

    def __post_init__(self) -> None:
        _within(self, "decoder", 1, MOST_SLOTS, "symbols_per_cycle")
        _within(self, "decoder", 1, 15, "max_code_bits")
        _within(self, "decoder", 1, MOST_SLOTS, "table_symbols", "slots")
        _within(self, "decoder", 1, MOST_CYCLES, "decision_cycles")
        alone = self.coding is Coding.HUFFMAN or self.symbols_per_cycle == 1
        _require(alone, "decoder.symbols_per_cycle", "1 for a decoder by context, which is serial", self.symbols_per_cycle)

    @property
    def table_bytes(self) -> int:
        """Size of the symbol memory of a lane."""
        return self.table_symbols * SYMBOL_BITS // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A whole machine.

    ``weights``, ``pointers`` and ``activations`` are memories per PE. With a ``dram`` that holds the weights they stream through
    ``dram.buffers`` tile slots held in ``weights``; else they must fit. Without ``dram`` the network's input and output stay on chip as
    well. A ``decoder`` needs streamed weights.
    """

    name: str
    description: str
    clock_hz: float
    node_nm: int
    array: Array
    scan: Scan
    weights: Sram
    pointers: Sram
    activations: ActivationSram
    dram: Dram | None = None
    decoder: Decoder | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _require(1 <= self.clock_hz <= 1e15, "clock_hz", "1 to 1e15", self.clock_hz)
        _require(1 <= self.node_nm <= 1_000_000, "node_nm", "1 to 1,000,000", self.node_nm)
        _require(self.decoder is None or self.streams_weights, "decoder", "absent without dram that holds the weights", self.decoder)
        _require(
            self.weights.width_bits >= self.array.entry_bits,
            "weights.width_bits",
            f"at least one entry of {self.array.entry_bits} bits",
            self.weights.width_bits,
        )

    @property
    def streams_weights(self) -> bool:
        """Whether the weights come from DRAM tile by tile; else all of them are on chip."""
        return self.dram is not None and self.dram.holds_weights

    @property
    def activation_row_bits(self) -> int:
        """Width of the activation memory: a row of the scan."""
        return self.scan.row_width * self.array.activation_bits

    @property
    def hash(self) -> str:
        """Content hash of every field but name, description and source."""
        data = cattrs.unstructure(self)
        for text in ("name", "description", "source"):
            del data[text]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def replace(self, path: str, value: Any) -> "Architecture":
        """Return a machine with the field at dotted ``path`` (``array.queue.depth``) set to ``value``.

        Raises :class:`MachineError` naming the nearest known field, or the field's own rule.
        """
        changed = _replace(self, path.split("."), value, path)
        assert isinstance(changed, Architecture)
        return changed


def _replace(node: Any, names: list[str], value: Any, path: str) -> Any:
    legal = tuple(field.name for field in fields(node)) if is_dataclass(node) else ()
    if not names or names[0] not in legal:
        raise MachineError(path=path, rule="an existing field", value=names[0] if names else "", legal=legal)
    name = names[0]
    if len(names) > 1:
        value = _replace(getattr(node, name), names[1:], value, path)
    else:
        value = field_value(get_type_hints(type(node))[name], value, path)
    with in_machine(path.removesuffix(".".join(names)).rstrip(".")):
        return replace(node, **{name: value})


@contextmanager
def in_machine(path: str) -> Iterator[None]:
    """Give the errors of a part that is built here the path that the field has in the machine: ``weights.bytes``, not ``sram.bytes``."""
    try:
        yield
    except MachineError as error:
        if not path or error.path is None or error.path.startswith(f"{path}."):
            raise
        field = error.path.rpartition(".")[2]
        raise MachineError(path=f"{path}.{field}", rule=error.rule, value=error.value, legal=error.legal) from error


def field_value(hint: Any, value: Any, path: str) -> Any:
    """Return ``value`` as a field of type ``hint``: a part of a machine, a name, a number, a truth value or a text.

    Raises :class:`MachineError` naming ``path`` for a value of another type.
    """
    if isinstance(hint, UnionType):
        if value is None:
            return None
        (hint,) = (item for item in get_args(hint) if item is not NoneType)
    if issubclass(hint, StrEnum):
        if not isinstance(value, str) or value not in list(hint):
            raise MachineError(path=path, rule="one of the legal values", value=value, legal=[str(item) for item in hint])
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(max(-(MOST_BYTES**2), min(MOST_BYTES**2, value)))  # what is beyond float is beyond every rule as well
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        rule = "a table, changed field by field" if is_dataclass(hint) else f"of type {hint.__name__}"
        raise MachineError(path=path, rule=rule, value=value)
    return value
