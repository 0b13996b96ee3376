"""The proof for whole networks: the accelerator runs real inputs alone; every bit and every counter of the simulators is compared.

:mod:`qsim.verify` looks at one layer and the cycle of each transfer; here the RTL runs from the first activation to the class without
Python on any clock, fast enough for a whole data set, and tells what it did by its performance counters.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qsim.actions import Action
from qsim.arch.architecture import Architecture
from qsim.array_job import array_job, check_chain
from qsim.errors import FieldError, MissingExtra
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel
from qsim.progress import Progress, silent
from qsim.results import LayerResult, Stall
from qsim.sim import event, fast
from qsim.sim.counts import LayerTotals, layer_counts
from qsim.sim.lower import LoweredLayer, lower
from qsim.sim.pe.work import Totals
from qsim.sim.program import Program
from qsim.sim.semantics import infer
from qsim.sim.simulated import Simulated
from qsim.verify import torch_outputs
from rtl.counters import OF_PES, TOTALS
from rtl.network import run_network

# Cycles and inputs of one run of the RTL, which takes some seconds to start: long enough to be quick, short enough to show progress.
BATCH_CYCLES, BATCH_INPUTS = 20_000_000, 10_000
COUNTS = "action counts"
# All but what lies between the layers, which the simulators do not have.
COMPARED = tuple(name for name in (*TOTALS, *OF_PES) if name != "setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCheck:
    """A network with some inputs in RTL, the simulators, numpy and PyTorch.

    ``cycles``: of all layers of all inputs in RTL; ``clocks``: of the whole RTL simulation, loading included, which took ``cpu_seconds``.
    ``logits``: compared bit for bit; ``*_numpy`` and ``*_torch``: how many logits, and how many classes, differ from the RTL's (None for
    PyTorch where torch is not installed). ``compared``: numbers of each counter compared with numba, by name; ``fast_differences``: those
    that differ; ``event_inputs`` and ``event_differences``: of how many inputs the counters were compared with SimPy too, and which differ.
    ``first_difference`` names the first of any kind.
    """

    inputs: int
    cycles: int
    clocks: int
    cpu_seconds: float
    logits: int
    logit_differences_numpy: int
    logit_differences_torch: int | None
    class_differences: int
    compared: dict[str, int] = field(default_factory=dict)
    fast_differences: dict[str, int] = field(default_factory=dict)
    event_inputs: int = 0
    event_differences: dict[str, int] = field(default_factory=dict)
    first_difference: str = ""

    @property
    def agree(self) -> bool:
        """Whether every bit, cycle and count is the same."""
        bits = self.logit_differences_numpy or self.logit_differences_torch or self.class_differences
        return not (bits or self.fast_differences or self.event_differences)

    def plus(self, other: "NetworkCheck") -> "NetworkCheck":
        """Return the check of both's inputs together."""
        neither = self.logit_differences_torch is None or other.logit_differences_torch is None
        return NetworkCheck(
            inputs=self.inputs + other.inputs,
            cycles=self.cycles + other.cycles,
            clocks=self.clocks + other.clocks,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            logits=self.logits + other.logits,
            logit_differences_numpy=self.logit_differences_numpy + other.logit_differences_numpy,
            logit_differences_torch=None if neither else (self.logit_differences_torch or 0) + (other.logit_differences_torch or 0),
            class_differences=self.class_differences + other.class_differences,
            compared=_sum(self.compared, other.compared),
            fast_differences=_sum(self.fast_differences, other.fast_differences),
            event_inputs=self.event_inputs + other.event_inputs,
            event_differences=_sum(self.event_differences, other.event_differences),
            first_difference=self.first_difference or other.first_difference,
        )


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left | right}


def verify_network(
    model: CompressedModel,
    machine: Architecture,
    inputs: IntArray,
    *,
    build_dir: Path,
    event_inputs: int = 0,
    streamed: bool = False,
    progress: Progress = silent,
) -> NetworkCheck:
    """Run ``inputs`` [n, features] through all layers of ``model`` in RTL and compare every logit and every counter of every layer.

    Counters are compared with numba for all inputs and with SimPy for the first ``event_inputs``. ``streamed``: no weights are preloaded;
    those of each layer come as the file holds them, anew for every input, through the decoders.
    Raises :class:`UnsupportedProgram` if the network does not fit the machine, :class:`FieldError` for a file that cannot be streamed,
    :class:`MissingExtra` without the RTL tools.
    """
    if importlib.util.find_spec("cocotb") is None:
        raise MissingExtra("rtl", "running the RTL")
    if not len(inputs):
        raise FieldError(path="inputs", rule="at least one", value=0)
    check_chain(*model.graph.nodes)
    if streamed and not model.options.by_column:
        raise FieldError(path="options.by_column", rule="set to stream weights (qsim compress --by-column)", value=False)
    lowered = [lower(layer, machine) for layer in model.layers]
    simulators = _Simulators()
    total: NetworkCheck | None = None
    size = _batch_size(lowered, infer(model, inputs[:1]).inputs)
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        progress("whole networks in RTL", start, len(inputs))
        check = _batch(model, lowered, batch, build_dir, event_inputs - start, simulators, start, streamed)
        total = check if total is None else total.plus(check)
    progress("whole networks in RTL", len(inputs), len(inputs))
    assert total is not None
    return total


def _batch_size(lowered: Sequence[LoweredLayer], first: Sequence[IntArray]) -> int:
    cycles = sum(fast.simulate(layer.program(given[0])).cycles for layer, given in zip(lowered, first, strict=True))
    return max(1, min(BATCH_INPUTS, BATCH_CYCLES // cycles))


def _batch(
    model: CompressedModel,
    lowered: Sequence[LoweredLayer],
    inputs: IntArray,
    build_dir: Path,
    event_inputs: int,
    simulators: "_Simulators",
    start: int,
    streamed: bool,
) -> NetworkCheck:
    machine = lowered[0].machine
    expected = infer(model, inputs)
    reference = torch_outputs(model, inputs)
    jobs = [array_job(layer, machine, given[:1]) for layer, given in zip(model.layers, expected.inputs, strict=True)]
    run = run_network(machine, jobs, inputs, build_dir, streams=model.encoded_layers if streamed else ())
    found = _Differences()
    for number in range(len(inputs)):
        for index, layer in enumerate(lowered):
            given = expected.inputs[index][number]
            rtl = counters_of_rtl({name: values[number, index] for name, values in run.counters.items()}, layer)
            place = f"input {start + number}, {layer.layer.node.name}"
            found.compare("numba", place, rtl, counters_of_simulator(layer, given, simulators.fast(layer.program(given))))
            if number < event_inputs:
                found.compare("SimPy", place, rtl, counters_of_simulator(layer, given, simulators.event(layer.program(given))))
    return NetworkCheck(
        inputs=len(inputs),
        cycles=int(run.counters["cycles"].sum()),
        clocks=run.clocks,
        cpu_seconds=run.cpu_seconds,
        logits=run.logits.size,
        logit_differences_numpy=int((run.logits != expected.logits).sum()),
        logit_differences_torch=None if reference is None else int((run.logits != reference[-1]).sum()),
        class_differences=int((run.best != expected.classes).sum()),
        compared=found.compared,
        fast_differences=found.of["numba"],
        event_inputs=max(0, min(event_inputs, len(inputs))),
        event_differences=found.of["SimPy"],
        first_difference=found.first,
    )


class _Differences:
    """Counts what was compared and what differs, by engine and name."""

    def __init__(self) -> None:
        self.compared: dict[str, int] = {}
        self.of: dict[str, dict[str, int]] = {"numba": {}, "SimPy": {}}
        self.first = ""

    def compare(self, engine: str, place: str, rtl: dict[str, object], simulated: dict[str, object]) -> None:
        for name, value in rtl.items():
            if engine == "numba":
                self.compared[name] = self.compared.get(name, 0) + 1
            if value != simulated[name]:
                self.of[engine][name] = self.of[engine].get(name, 0) + 1
                self.first = self.first or f"{place}: {name} is {value} in RTL and {simulated[name]} in {engine}"


class _Simulators:
    """Runs programs, but not a layer's again where it is that of the input before: a machine that skips nothing always does the same."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[tuple[bytes, bytes, int], Simulated]] = {}

    def fast(self, program: Program) -> Simulated:
        return fast.simulate(program)

    def event(self, program: Program) -> Simulated:
        key = (program.service.tobytes(), program.scan_empty.tobytes(), program.scan_tail)
        if self.known.get(program.name, (None,))[0] != key:
            self.known[program.name] = key, event.simulate(program, timeline=False)
        return self.known[program.name][1]


def counters_of_rtl(counters: Mapping[str, IntArray], layer: LoweredLayer) -> dict[str, object]:
    """Return what the RTL's ``counters`` of one layer of one input say, with the action counts that follow from them."""
    found: dict[str, object] = {name: counters[name].tolist() for name in COMPARED}
    entries, fillers, additions = (int(counters[name]) for name in ("entries", "fillers", "additions"))
    work = Totals(columns=int(counters["items"]), entries=entries, fillers=fillers, additions=additions)
    node = layer.layer.node
    scanned = -(-node.inputs // layer.machine.scan.row_width)
    totals = LayerTotals(results=node.outputs, work=work, weight_rows=int(counters["weight_reads"]), scan_reads=scanned)
    return found | {COUNTS: layer_counts(totals, layer.machine)}


def counters_of_simulator(layer: LoweredLayer, given: IntArray, simulated: Simulated) -> dict[str, object]:
    """Return the same from a simulated layer."""
    result = layer.result(given, simulated)
    units = {time.unit: time for time in result.units}
    scan, pes = units["scan"], [units[f"pe.{pe}"] for pe in range(layer.machine.array.pes)]
    return {
        "cycles": result.cycles,
        "scan_busy": scan.busy,
        "scan_queue_full": scan.stalled.get(Stall.QUEUE_FULL, 0),
        "drain_busy": units["drain"].busy,
        "items": result.events["columns"],
        "activation_reads": _count(result, "activations", Action.SRAM_READ),
        "weight_reads": _count(result, "weights", Action.SRAM_READ),
        "pointer_reads": _count(result, "pointers", Action.SRAM_READ),
        "entries": result.events["entries"],
        "fillers": result.events["filler_entries"],
        "additions": _count(result, "mac", Action.INT_ADD),
        "results": -(-layer.layer.node.outputs // layer.machine.array.pes),
        "pe_busy": [pe.busy for pe in pes],
        "pe_starved": [pe.stalled.get(Stall.STARVED, 0) for pe in pes],
        COUNTS: result.counts,
    }


def _count(result: LayerResult, unit: str, action: Action) -> int:
    return sum(count.count for count in result.counts if (count.access.unit, count.access.action) == (unit, action))
