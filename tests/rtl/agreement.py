"""What RTL, simulators and references say of a drawn network, side by side; every difference with what it takes to run it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.array_job import array_job
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel
from qsim.sim import event, fast
from qsim.sim.lower import LoweredLayer, lower
from qsim.sim.semantics import Activations, infer
from qsim.verify import PLACES, torch_outputs
from qsim.verify_network import counters_of_rtl, counters_of_simulator
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
        found = torch_outputs(self.model, self.inputs)
        return None if found is None else found[-1]


def _of_layer(lowered: LoweredLayer, given: IntArray, record: LayerRecord, machine: Architecture) -> Iterator[str]:
    counted, seen = counters_of_rtl(record.counters, lowered), _of_events(record, machine)
    yield from (
        f"{name} is {counted[name]} in the counters, {value} in the events" for name, value in seen.items() if counted[name] != value
    )
    for engine, simulate in ENGINES.items():
        simulated = simulate(lowered.program(given), timeline=True)
        for place in PLACES:
            rtl, model = record.cycles_of(place), getattr(simulated.timeline, place)
            if not np.array_equal(rtl, model):
                yield f"cycles of {place} are {rtl.tolist()} in RTL, {model.tolist()} in {engine}"
        wanted = counters_of_simulator(lowered, given, simulated)
        yield from (f"{name} is {counted[name]} in RTL, {value} in {engine}" for name, value in wanted.items() if counted[name] != value)


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
