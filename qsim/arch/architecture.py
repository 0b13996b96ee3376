"""The description of a machine: frozen data, valid when constructed.

A machine is a broadcast array of processing elements (PEs) with a non-zero scan before it, a drain behind it, on-chip memories
around it, and optionally weights streamed from DRAM, optionally through an entropy decoder. ``replace`` changes a field by its
dotted path, for sweeps.
"""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

import cattrs

from qsim.errors import MachineError


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


def _require(condition: bool, path: str, rule: str, value: object, legal: tuple[str, ...] = ()) -> None:
    if not condition:
        raise MachineError(path=path, rule=rule, value=value, legal=legal)


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
        _require(self.depth >= 1, "queue.depth", "at least 1", self.depth)
        _require(self.forward_latency >= 1, "queue.forward_latency", "at least 1", self.forward_latency)
        _require(self.return_latency >= 0, "queue.return_latency", "at least 0", self.return_latency)


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
        _require(1 <= self.pes <= 4096, "array.pes", "1 to 4096", self.pes)
        _require(1 <= self.code_bits <= 16, "array.code_bits", "1 to 16", self.code_bits)
        _require(1 <= self.index_bits <= 16, "array.index_bits", "1 to 16", self.index_bits)
        _require(2 <= self.weight_bits <= 32, "array.weight_bits", "2 to 32", self.weight_bits)
        _require(2 <= self.activation_bits <= 32, "array.activation_bits", "2 to 32", self.activation_bits)
        _require(8 <= self.accumulator_bits <= 62, "array.accumulator_bits", "8 to 62", self.accumulator_bits)
        _require(self.min_column_cycles >= 1, "array.min_column_cycles", "at least 1", self.min_column_cycles)
        _require(self.local_rows >= 1, "array.local_rows", "at least 1", self.local_rows)

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
        _require(1 <= self.row_width <= 1024, "scan.row_width", "1 to 1024", self.row_width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sram:
    """An on-chip memory: ``bytes`` of storage, read and written ``width_bits`` at a time."""

    bytes: int
    width_bits: int

    def __post_init__(self) -> None:
        _require(self.bytes >= 1, "sram.bytes", "at least 1", self.bytes)
        _require(self.width_bits >= 1, "sram.width_bits", "at least 1", self.width_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """The DRAM channel: in array clock cycles.

    A burst of ``burst_bytes`` occupies the channel for ``burst_cycles``; a request pays ``latency`` once; opening another row
    of ``row_bytes`` in one of ``banks`` costs ``row_miss_cycles``; every ``refresh_interval`` cycles the channel is closed for
    ``refresh_cycles`` and all rows close. ``tile_bytes``: weights fetched by one request; ``buffers``: on-chip tile slots (2 is
    double buffering).
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

    def __post_init__(self) -> None:
        for name in ("burst_bytes", "burst_cycles", "row_bytes", "banks", "tile_bytes", "buffers"):
            _require(getattr(self, name) >= 1, f"dram.{name}", "at least 1", getattr(self, name))
        for name in ("latency", "row_miss_cycles", "refresh_cycles"):
            _require(getattr(self, name) >= 0, f"dram.{name}", "at least 0", getattr(self, name))
        _require(
            self.refresh_interval > self.refresh_cycles + self.burst_cycles + self.row_miss_cycles,
            "dram.refresh_interval",
            "greater than refresh_cycles + row_miss_cycles + burst_cycles, or no burst ever fits",
            self.refresh_interval,
        )
        _require(self.row_bytes % self.burst_bytes == 0, "dram.row_bytes", "a multiple of burst_bytes", self.row_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A canonical Huffman decoder between DRAM and the tile buffer: ``symbols_per_cycle`` sustained, codes up to ``max_code_bits``."""

    symbols_per_cycle: int = 1
    max_code_bits: int = 12

    def __post_init__(self) -> None:
        _require(self.symbols_per_cycle >= 1, "decoder.symbols_per_cycle", "at least 1", self.symbols_per_cycle)
        _require(1 <= self.max_code_bits <= 16, "decoder.max_code_bits", "1 to 16", self.max_code_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A whole machine.

    ``weights``, ``pointers`` and ``activations`` are memories per PE. With ``dram`` the weights stream through ``dram.buffers`` tile slots
    held in ``weights``; without it they must fit. A ``decoder`` needs ``dram``.
    """

    name: str
    description: str
    clock_hz: float
    node_nm: int
    array: Array
    scan: Scan
    weights: Sram
    pointers: Sram
    activations: Sram
    dram: Dram | None = None
    decoder: Decoder | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _require(self.clock_hz > 0, "clock_hz", "positive", self.clock_hz)
        _require(self.node_nm > 0, "node_nm", "positive", self.node_nm)
        _require(self.decoder is None or self.dram is not None, "decoder", "absent without dram", self.decoder)
        _require(
            self.weights.width_bits >= self.array.entry_bits,
            "weights.width_bits",
            f"at least one entry of {self.array.entry_bits} bits",
            self.weights.width_bits,
        )

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
    current = getattr(node, names[0])
    value = _replace(current, names[1:], value, path) if len(names) > 1 else _coerce(current, value, path)
    return replace(node, **{names[0]: value})


def _coerce(current: Any, value: Any, path: str) -> Any:
    if isinstance(current, StrEnum):
        kind = type(current)
        if value not in list(kind):
            raise MachineError(path=path, rule="one of the legal values", value=str(value), legal=[str(item) for item in kind])
        return kind(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(current, bool):
        good = isinstance(value, bool)
    elif isinstance(current, int):
        good = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(current, float):
        good = number
    else:
        return value
    if not good:
        raise MachineError(path=path, rule=f"of type {type(current).__name__}", value=value)
    return value
