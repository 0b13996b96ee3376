"""What RTL, simulators and references say of a drawn network, side by side; every difference with what it takes to run it again."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel
from qsim.results import Stall
from qsim.sim import event, fast
from qsim.sim.counts import LayerTotals, layer_counts
from qsim.sim.lower import LoweredLayer, lower
from qsim.sim.pe.work import Totals
from qsim.sim.semantics import Activations, infer
from qsim.sim.simulated import Simulated
from qsim.verify import PLACES, array_job
from tests.rtl.draws import MachineDraw, NetworkDraw, inputs_of, model_of
from tests.rtl.observed import InputRecord, LayerRecord, run_observed

ENGINES = {"SimPy": event.simulate, "numba": fast.simulate}


@dataclass(frozen=True, eq=False)
class Ran:
    """A drawn network after its run; ``records``: of each input."""

    of: MachineDraw
    draw: NetworkDraw
    model: CompressedModel
    inputs: IntArray
    records: list[InputRecord]

    @cached_property
    def expected(self) -> Activations:
        return infer(self.model, self.inputs)

    @cached_property
    def lowered(self) -> list[LoweredLayer]:
        return [lower(layer, self.of.machine) for layer in self.model.layers]

    def report(self) -> str:
        """Return what differs, with the call that runs this network again; nothing if all agree."""
        found = list(self.differences())
        return "\n".join([f"{len(found)} differences: replay({self.of!r}, {self.draw!r})", *found[:6]]) if found else ""

    def differences(self) -> Iterator[str]:
        """Yield what differs, in words; nothing if all agree."""
        for number, record in enumerate(self.records):
            yield from (f"input {number}: {text}" for text in self._of_outputs(number, record))
            for index, layer in enumerate(record.layers):
                given = self.expected.inputs[index][number]
                for text in _of_layer(self.lowered[index], given, layer, self.of.machine):
                    yield f"input {number}, layer {index}: {text}"

    def _of_outputs(self, number: int, record: InputRecord) -> Iterator[str]:
        if not np.array_equal(record.logits, self.expected.logits[number]):
            yield f"outputs {record.logits.tolist()} in RTL, {self.expected.logits[number].tolist()} in numpy"
        if record.best != self.expected.classes[number]:
            yield f"largest output {record.best} in RTL, {self.expected.classes[number]} in numpy"
        if self.torch is not None and not np.array_equal(record.logits, self.torch[number]):
            yield f"outputs {record.logits.tolist()} in RTL, {self.torch[number].tolist()} in PyTorch"

    @cached_property
    def torch(self) -> IntArray | None:
        if importlib.util.find_spec("torch") is None:
            return None
        from qsim.compress.reference import TorchReference

        return TorchReference(self.model)(self.inputs)


def _of_layer(lowered: LoweredLayer, given: IntArray, record: LayerRecord, machine: Architecture) -> Iterator[str]:
    counted, seen = _of_counters(record, lowered, machine), _of_events(record, machine)
    yield from (
        f"{name} is {counted[name]} in the counters, {value} in the events" for name, value in seen.items() if counted[name] != value
    )
    for engine, simulate in ENGINES.items():
        simulated = simulate(lowered.program(given), timeline=True)
        for place in PLACES:
            rtl, model = record.cycles_of(place), getattr(simulated.timeline, place)
            if not np.array_equal(rtl, model):
                yield f"cycles of {place} are {rtl.tolist()} in RTL, {model.tolist()} in {engine}"
        wanted = _of_simulator(lowered, given, simulated)
        yield from (f"{name} is {counted[name]} in RTL, {value} in {engine}" for name, value in wanted.items() if counted[name] != value)


def _of_counters(record: LayerRecord, lowered: LoweredLayer, machine: Architecture) -> dict[str, object]:
    """Return what the RTL's counters say, the account of every unit and every action count that follows from them."""
    counters, cycles, node = record.counters, record.cycles, lowered.layer.node
    busy, full, drained = (int(counters[name]) for name in ("scan_busy", "scan_queue_full", "drain_busy"))
    names = ("cycles", "items", "activation_reads", "weight_reads", "pointer_reads", "entries", "fillers", "additions", "results")
    found: dict[str, object] = {name: int(counters[name]) for name in names}
    found |= {"scan": (busy, {Stall.QUEUE_FULL: full}, cycles - busy - full), "drain": (drained, {}, cycles - drained)}
    for pe, (busy, starved) in enumerate(zip(counters["pe_busy"].tolist(), counters["pe_starved"].tolist(), strict=True)):
        found[f"pe.{pe}"] = (busy, {Stall.STARVED: starved} if starved else {}, cycles - busy - starved)
    work = Totals(columns=found["items"], entries=found["entries"], fillers=found["fillers"], additions=found["additions"])
    totals = LayerTotals(rows=node.outputs, cols=node.inputs, work=work, weight_rows=found["weight_reads"])
    found["counts"] = {count.access: count.count for count in layer_counts(totals, machine)}
    found["scan"] = (found["scan"][0], {Stall.QUEUE_FULL: full} if full else {}, found["scan"][2])
    return found


def _of_events(record: LayerRecord, machine: Architecture) -> dict[str, object]:
    """Return sums of the events of every cycle, which are what the counters have counted."""
    total = {name: int(flags.sum()) for name, flags in record.events.items()}
    pointers = 2 * total["pop"] if machine.array.kind in ("sparse", "pvq") else 0
    return {
        "cycles": len(record.events["busy"]),
        "items": total["broadcast"],
        "activation_reads": total["row_read"],
        "weight_reads": total["weight_read"],
        "pointer_reads": pointers,
        "entries": total["entry"],
        "fillers": total["filler"],
        "additions": total["addition"],
        "results": total["result"],
    }


def _of_simulator(lowered: LoweredLayer, given: IntArray, simulated: Simulated) -> dict[str, object]:
    result = lowered.result(given, simulated)
    found: dict[str, object] = {
        unit.unit: (unit.busy, {why: count for why, count in unit.stalled.items() if count}, unit.idle) for unit in result.units
    }
    found |= {"cycles": result.cycles, "items": result.events["columns"], "entries": result.events["entries"]}
    found |= {"fillers": result.events["filler_entries"], "results": -(-lowered.layer.node.outputs // lowered.machine.array.pes)}
    counts = {count.access: count.count for count in result.counts}
    for name in ("activations", "weights", "pointers"):
        reads = (count for access, count in counts.items() if (access.unit, access.action) == (name, "sram_read"))
        found[f"{name[:-1]}_reads"] = sum(reads)
    return found | {"counts": counts}


def run_draws(of: MachineDraw, draws: list[NetworkDraw], build_dir: Path) -> list[Ran]:
    """Run drawn networks on one machine, in one simulation."""
    machine = of.machine
    models = [model_of(of, draw) for draw in draws]
    inputs = [inputs_of(of, draw) for draw in draws]
    # A job carries the inputs of its layer; the accelerator only takes those of the network.
    jobs = [[array_job(layer, machine, np.zeros((1, layer.node.inputs), dtype=np.int64)) for layer in model.layers] for model in models]
    records = run_observed(machine, list(zip(jobs, inputs, strict=True)), build_dir)
    return [Ran(of, *each) for each in zip(draws, models, inputs, records, strict=True)]


def replay(of: MachineDraw, draw: NetworkDraw, build_dir: Path = Path("out/replay")) -> list[str]:
    """Run one drawn network again, as printed by a failing test; return what differs."""
    (ran,) = run_draws(of, [draw], build_dir)
    return list(ran.differences())
