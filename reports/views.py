"""Results as plain rows: what each figure and table of a report shows, without any drawing."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qsim.actions import Action
from qsim.errors import DataError
from qsim.results import LayerResult, RunResult
from qsim.units import PJ_PER_J

_COMPONENT_OF = {
    Action.DRAM_READ: "DRAM",
    Action.DRAM_WRITE: "DRAM",
    Action.SRAM_READ: "SRAM",
    Action.SRAM_WRITE: "SRAM",
    Action.REGISTER_READ: "Registers",
    Action.REGISTER_WRITE: "Registers",
    Action.INT_ADD: "Arithmetic",
    Action.INT_MULTIPLY: "Arithmetic",
    Action.FLOAT_ADD: "Arithmetic",
    Action.FLOAT_MULTIPLY: "Arithmetic",
}
_FLOW = ("dram", "slot", "decoder", "scan", "pe", "drain")
_NUMBERED = re.compile(r"^(.*?)[\s\[._-]*\d+\]?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer of one machine, mean over the inputs. ``moved_bytes``: all DRAM traffic where the weights are
    streamed from DRAM, else reads of the on-chip weight memory. ``operand_bytes``: written into the weight memories at run time, for a
    product of two activations.
    """

    name: str
    cycles: float
    seconds: float
    macs: float
    dense_macs: float
    joules: float
    dram_bytes: float
    filler_entries: float
    moved_bytes: float
    operand_bytes: float

    @property
    def macs_per_second(self) -> float:
        """Rate of really issued multiply-accumulates."""
        return self.macs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One run under the name it has throughout a report; ``number`` is its place and its colour."""

    label: str
    number: int
    run: RunResult

    @property
    def joules(self) -> float:
        """Energy of one inference."""
        return self.run.energy.total_pj / PJ_PER_J


def label_runs(runs: Sequence[RunResult]) -> list[str]:
    """Return a distinct name for every run: the machine's, with recipe, technology and a number added only where needed."""
    labels = [run.architecture.name for run in runs]
    for more in ([run.recipe.name for run in runs], [run.technology.name for run in runs]):
        counts = Counter(labels)
        labels = [f"{label}, {text}" if counts[label] > 1 else label for label, text in zip(labels, more, strict=True)]
    seen: Counter[str] = Counter()
    for place, label in enumerate(labels):
        seen[label] += 1
        if seen[label] > 1:
            labels[place] = f"{label} ({seen[label]})"
    return labels


def machines_of(runs: Sequence[RunResult], baseline: str | None) -> list[Machine]:
    """Return the runs as machines, the baseline first.

    ``baseline`` is a machine's name, None for the first run. Raises :class:`DataError` if there is no run or no such machine.
    """
    if not runs:
        raise DataError(path="runs", rule="at least one run", value=[])
    names = label_runs(runs)
    if baseline is None:
        first = 0
    else:
        legal = [run.architecture.name for run in runs]
        candidates = names if baseline in names else legal
        if baseline not in candidates:
            raise DataError(path="baseline", rule="the name of a machine in the report", value=baseline, legal=legal)
        first = candidates.index(baseline)
    order = [first, *(place for place in range(len(runs)) if place != first)]
    return [Machine(label=names[place], number=number, run=runs[place]) for number, place in enumerate(order)]


def component_joules(run: RunResult) -> dict[str, float]:
    """Return the energy of one inference by component; leakage only where the technology gives it."""
    totals = dict.fromkeys(("DRAM", "SRAM", "Registers", "Arithmetic"), 0.0)
    for entry in run.energy.entries:
        totals[_COMPONENT_OF[entry.access.action]] += entry.pj / PJ_PER_J
    if run.energy.leakage_pj is not None:
        totals["Leakage"] = run.energy.leakage_pj / PJ_PER_J
    return totals


def layer_views(run: RunResult) -> list[LayerView]:
    """Return the layers of a run; energy without leakage, which belongs to no layer."""
    joules: dict[str, float] = {}
    for entry in run.energy.entries:
        joules[entry.layer] = joules.get(entry.layer, 0.0) + entry.pj / PJ_PER_J
    return [_layer_view(inputs, run.clock_hz, joules.get(inputs[0].name, 0.0)) for inputs in run.layers if inputs]


def _layer_view(inputs: Sequence[LayerResult], clock_hz: float, joules: float) -> LayerView:
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(inputs)

    cycles = mean([layer.cycles for layer in inputs])
    dram_bytes = mean([_traffic(layer, "dram") for layer in inputs])
    return LayerView(
        name=inputs[0].name,
        cycles=cycles,
        seconds=cycles / clock_hz,
        macs=mean([layer.macs for layer in inputs]),
        dense_macs=mean([layer.dense_macs for layer in inputs]),
        joules=joules,
        dram_bytes=dram_bytes,
        filler_entries=mean([layer.events.get("filler_entries", 0) for layer in inputs]),
        moved_bytes=dram_bytes if inputs[0].events.get("tiles") else mean([_traffic(layer, "weights") for layer in inputs]),
        operand_bytes=mean([layer.events.get("operand_bytes", 0) for layer in inputs]),
    )


def _traffic(layer: LayerResult, place: str) -> float:
    """Return the bytes read from DRAM (and written to it) or from the weight memories."""
    bits = 0
    for entry in layer.counts:
        action = entry.access.action
        in_dram = place == "dram" and action in (Action.DRAM_READ, Action.DRAM_WRITE)
        in_weights = place == "weights" and entry.access.unit == "weights" and action is Action.SRAM_READ
        if in_dram or in_weights:
            bits += entry.count * entry.access.width_bits
    return bits / 8


def unit_class(unit: str) -> str:
    """Return the kind of a numbered unit: ``pe[12]``, ``pe.12`` and ``pe12`` are all ``pe``."""
    match = _NUMBERED.match(unit)
    return match.group(1) if match and match.group(1) else unit


def flow_order(kind: str) -> int:
    """Return the place of a class of units along the way of the data: memory first, drain last, unknown ones after it."""
    return next((place for place, name in enumerate(_FLOW) if kind == name or kind.startswith(f"{name}.")), len(_FLOW))


def time_by_class(run: RunResult) -> dict[str, dict[str, int]]:
    """Return unit-cycles by unit class and state (busy, each stall, idle), over all layers and inputs."""
    totals: dict[str, dict[str, int]] = {}
    for inputs in run.layers:
        for layer in inputs:
            for unit in layer.units:
                states = totals.setdefault(unit_class(unit.unit), {})
                for state, cycles in (("busy", unit.busy), *((str(k), v) for k, v in unit.stalled.items()), ("idle", unit.idle)):
                    states[state] = states.get(state, 0) + cycles
    return {kind: totals[kind] for kind in sorted(totals, key=flow_order)}
