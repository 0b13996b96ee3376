"""What a run yields: integers from the simulator, picojoules from the account, and where every one came from.

Reports read only :class:`RunResult`. The JSON form carries a schema version; unknown fields are errors.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import cattrs
from cattrs.errors import BaseValidationError
from cattrs.v import transform_error

from qsim.actions import Access
from qsim.errors import FieldError, FileFormatError
from qsim.files import write_text_atomically

SCHEMA_VERSION = 1
NAMED = 4  # problems of a file that a message names


class Stall(StrEnum):
    """Why a unit that has work could not do it in a cycle."""

    QUEUE_FULL = "queue_full"
    WEIGHTS_PENDING = "weights_pending"
    ACTIVATIONS_PENDING = "activations_pending"
    STARVED = "starved"
    BUFFER_FULL = "buffer_full"
    CHANNEL_BUSY = "channel_busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTime:
    """How one unit spent a layer: ``busy + sum(stalled) + idle`` is the layer's cycle count."""

    unit: str
    busy: int
    stalled: dict[Stall, int]
    idle: int

    @property
    def total(self) -> int:
        """All cycles accounted for."""
        return self.busy + sum(self.stalled.values()) + self.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCount:
    """How often one access happened."""

    access: Access
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerResult:
    """Cycles and counts of one layer for one input.

    ``macs`` counts the multiply-accumulates with a stored weight that were really issued (filler entries excluded);
    ``dense_macs`` those of the uncompressed layer. ``events`` are counts that cost no energy of their own.

    Raises :class:`FieldError` if a unit's time does not add up to ``cycles`` or a count is negative.
    """

    name: str
    cycles: int
    macs: int
    dense_macs: int
    units: tuple[UnitTime, ...]
    counts: tuple[ActionCount, ...]
    events: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for unit in self.units:
            if unit.total != self.cycles or unit.idle < 0 or min(unit.stalled.values(), default=0) < 0:
                raise FieldError(
                    path=f"{self.name}.units.{unit.unit}",
                    rule=f"non-negative parts adding up to {self.cycles} cycles",
                    value=f"busy {unit.busy}, stalled {dict(unit.stalled)}, idle {unit.idle}",
                )
        for entry in self.counts:
            if entry.count < 0:
                raise FieldError(path=f"{self.name}.counts", rule="non-negative", value=entry.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of one unit's time: cycles ``start`` (inclusive) to ``end`` (exclusive)."""

    unit: str
    start: int
    end: int
    state: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What every unit did, cycle by cycle, as spans in time order, for one layer."""

    layer: str
    cycles: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyEntry:
    """Energy of one kind of access in one layer: ``pj = count * price``."""

    layer: str
    access: Access
    count: float
    pj: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPrice:
    """What one access was priced at, and who says so."""

    access: Access
    pj: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyBreakdown:
    """Energy of one inference, mean over the run's inputs, by layer and access; leakage where the technology gives it.

    ``prices`` are those that were used, ``notes`` say where a price is a stand-in.
    """

    technology: str
    entries: tuple[EnergyEntry, ...]
    leakage_pj: float | None = None
    prices: tuple[AccessPrice, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def dynamic_pj(self) -> float:
        """Energy of all accesses."""
        return sum(entry.pj for entry in self.entries)

    @property
    def total_pj(self) -> float:
        """Dynamic energy plus leakage where known."""
        return self.dynamic_pj + (self.leakage_pj or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Name and content hash of one input of a run."""

    name: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Error rates in percent on named sets; None where not measured."""

    test_error: float | None
    float_test_error: float | None
    test_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One model on one machine in one technology.

    ``layers`` holds, per layer, the result of every simulated input: ``layers[l][i]`` is layer ``l`` for input ``i``.
    ``energy`` is the mean over inputs. ``file_bytes`` is the size of the compressed file on disk, ``float_bytes`` four bytes a parameter.
    ``gaps``: what of the network is not simulated, each with the reason and, where they are known, its MACs.

    Raises :class:`FieldError` for a run by which nothing can be divided: no inputs, no cycles, no energy, no clock.
    """

    workload: Source
    model: Source
    recipe: Source
    architecture: Source
    technology: Source
    engine: str
    version: str
    seed: int
    clock_hz: float
    inputs: tuple[int, ...]
    file_bytes: int
    float_bytes: int
    layers: tuple[tuple[LayerResult, ...], ...]
    energy: EnergyBreakdown
    quality: Quality | None = None
    peak: dict[str, float] = field(default_factory=dict)
    weight_source: str = ""
    trace: Trace | None = None
    gaps: tuple[str, ...] = ()
    schema: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        energies = [*(entry.pj for entry in self.energy.entries), self.energy.leakage_pj or 0.0]
        for path, rule, good, value in (
            ("clock_hz", "finite and positive", 0 < self.clock_hz < math.inf, self.clock_hz),
            ("file_bytes", "at least 1", self.file_bytes >= 1, self.file_bytes),
            ("float_bytes", "at least 1", self.float_bytes >= 1, self.float_bytes),
            ("inputs", "at least one", bool(self.inputs), self.inputs),
            ("layers", "one result an input", all(len(inputs) == len(self.inputs) for inputs in self.layers), "another number"),
            ("cycles", "at least 1", self.cycles >= 1 if self.inputs else True, "less"),
            ("energy", "finite and positive", 0 < sum(energies) < math.inf and min(energies) >= 0, sum(energies)),
        ):
            if not good:
                raise FieldError(path=f"run.{path}", rule=rule, value=value)

    @property
    def cycles(self) -> float:
        """Cycles of one inference, mean over the inputs."""
        return sum(layer.cycles for inputs in self.layers for layer in inputs) / max(1, len(self.inputs))

    @property
    def seconds(self) -> float:
        """Time of one inference, mean over the inputs."""
        return self.cycles / self.clock_hz

    @property
    def ratio(self) -> float:
        """float32 parameter bytes over file bytes."""
        return self.float_bytes / self.file_bytes

    @property
    def synthetic_weights(self) -> bool:
        """Whether the weights are made up, so that errors mean nothing; synthetic inputs beside trained weights do not count."""
        return "synthetic weights" in self.weight_source.lower()


def _converter() -> cattrs.Converter:
    return cattrs.Converter(forbid_extra_keys=True)


def run_to_json(result: RunResult) -> str:
    """Return the JSON text of a run."""
    return json.dumps(_converter().unstructure(result), indent=1)


def run_from_mapping(data: Mapping[str, object]) -> RunResult:
    """Build a run from parsed JSON.

    Raises :class:`FileFormatError` naming the schema version or the offending field.
    """
    if data.get("schema") != SCHEMA_VERSION:
        raise FileFormatError(path="schema", rule=f"{SCHEMA_VERSION}", value=data.get("schema"))
    try:
        return _converter().structure(data, RunResult)
    except BaseValidationError as error:
        problems = transform_error(error)
        more = f", and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise FileFormatError("not a qsim result: " + "; ".join(problems[:NAMED]) + more) from error


def save_runs(path: Path, results: list[RunResult]) -> None:
    """Write runs as one JSON array, whole or not at all."""
    write_text_atomically(path, "[" + ",\n".join(run_to_json(result) for result in results) + "]\n")


def load_runs(path: Path) -> list[RunResult]:
    """Read runs written by :func:`save_runs`.

    Raises :class:`FileFormatError` for anything else.
    """
    try:
        content = path.read_bytes()
        if content.startswith((b"QSZ", b"QSN")):
            verb = "simulate" if content.startswith(b"QSZ") else "estimate"
            raise FileFormatError(f"{path}: a network, not results; 'qsim {verb} {path} --out run.json' makes results of it")
        data = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: not a qsim result file ({error})") from error
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise FileFormatError(f"{path}: must be a JSON array of runs")
    try:
        return [run_from_mapping(item) for item in data]
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
