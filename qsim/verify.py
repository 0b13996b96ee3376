"""The proof: the same layers and inputs in RTL, SimPy, numba and PyTorch, compared bit for bit and cycle for cycle.

The four are independent: the RTL is generated from the machine and runs under Verilator; the two engines simulate the lowered program;
the outputs are those of the numpy definition and, where torch is installed, of the PyTorch reference. Nothing is assumed equal here; every
difference is counted and the first one is named.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.array_job import array_job
from qsim.errors import MissingExtra, UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import MaxPool
from qsim.progress import Progress, silent
from qsim.sim import event, fast
from qsim.sim.convolution import Boundary, LoweredConvolution
from qsim.sim.lower_model import lower_layer
from qsim.sim.pixels import activation_map
from qsim.sim.program import Program
from qsim.sim.semantics import infer, run_layer
from qsim.sim.simulated import Simulated, Timeline
from rtl.verify import ArrayRun, run_array

PLACES = ("broadcast", "pop", "issue", "leave")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One layer with one input in all four descriptions.

    ``cycles_*``: the layer's length in each; ``items``: transfers whose cycles were compared (every broadcast, pop, issue and leave);
    ``item_differences``: how many of them differ in any pair; ``outputs``: numbers compared bit for bit; ``output_differences_*``: how many
    differ from the RTL's; None for PyTorch where torch is not installed. ``values``: the RTL's outputs.
    """

    layer: str
    image: int
    cycles_rtl: int
    cycles_event: int
    cycles_fast: int
    items: int
    item_differences: int
    outputs: int
    output_differences_numpy: int
    output_differences_torch: int | None
    values: tuple[int, ...]
    first_difference: str = ""

    @property
    def agree(self) -> bool:
        """Whether every bit and every cycle is the same."""
        same_cycles = self.cycles_rtl == self.cycles_event == self.cycles_fast
        return same_cycles and not (self.item_differences or self.output_differences_numpy or self.output_differences_torch)


def verify(
    model: CompressedModel,
    machine: Architecture,
    inputs: IntArray,
    images: Sequence[int],
    *,
    build_dir: Path,
    layers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> list[Check]:
    """Run ``inputs`` [n, features] (``images`` are their names) through ``layers`` (all by default) in RTL and compare everything.

    Layers are fed with the activations of real inference. Raises :class:`UnsupportedProgram` if a layer does not fit the machine,
    :class:`MissingExtra` without the RTL tools.
    """
    if importlib.util.find_spec("cocotb") is None:
        raise MissingExtra("rtl", "running the RTL")
    names = [node.name for node in model.graph.weighted]
    for name in layers or ():
        if name not in names:
            raise UnsupportedProgram(path="layers", rule="layers of the network", value=name, legal=names)
    chosen = [index for index, name in enumerate(names) if layers is None or name in layers]
    activations = infer(model, inputs)
    reference = torch_outputs(model, inputs)
    jobs = [array_job(model.layers[index], machine, activations.inputs[index]) for index in chosen]
    progress("RTL under Verilator", 0, 1)
    runs = run_array(machine, jobs, build_dir)
    progress("RTL under Verilator", 1, 1)
    checks: list[Check] = []
    for index, run in zip(chosen, runs, strict=True):
        describe = _describe(model.layers[index], machine)
        for number, image in enumerate(images):
            given = activations.inputs[index][number]
            torch_values = None if reference is None else reference[index][number]
            checks.append(_check(model.layers[index], describe(given), given, run, number, image, torch_values))
            progress("SimPy, numba, PyTorch", len(checks), len(chosen) * len(images))
    return checks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulated:
    """A layer on both engines, SimPy first: its length, and when each item passed each place."""

    cycles: tuple[int, int]
    places: dict[str, tuple[IntArray, IntArray]]


def _describe(layer: QuantisedLayer, machine: Architecture) -> Callable[[IntArray], _Simulated]:
    """Return what simulates the layer for one input: of a convolution the programs of all output pixels, one after the other."""
    lowered = lower_layer(layer, machine, Boundary())
    if isinstance(lowered, LoweredConvolution):
        return lambda given: _in_turn([program for _, pixels in lowered.pixels(given, activation_map) for program in pixels.each()])
    return lambda given: _in_turn([lowered.program(given)])


def _in_turn(programs: Sequence[Program]) -> _Simulated:
    gap, starts = programs[0].timing.pixel_setup_latency, [0, 0]
    places: dict[str, tuple[list[IntArray], list[IntArray]]] = {place: ([], []) for place in PLACES}
    for program in programs:
        for which, simulated in enumerate((event.simulate(program, timeline=True), fast.simulate(program, timeline=True))):
            for place in PLACES:
                places[place][which].append(_place(simulated, place) + starts[which])
            starts[which] += simulated.cycles + gap
    joined = {place: (np.concatenate(slow, axis=-1), np.concatenate(quick, axis=-1)) for place, (slow, quick) in places.items()}
    return _Simulated(cycles=(starts[0] - gap, starts[1] - gap), places=joined)


def _check(
    layer: QuantisedLayer, simulated: _Simulated, given: IntArray, run: ArrayRun, number: int, image: int, torch_values: IntArray | None
) -> Check:
    rtl, items = run.outputs[number], run.items[number]
    expected = run_layer(layer, given[None, :])[0]
    cycles = {place: [getattr(items, place), *simulated.places[place]] for place in PLACES}
    differing = {place: _differences(records) for place, records in cycles.items()}
    return Check(
        layer=layer.node.name,
        image=image,
        cycles_rtl=int(run.cycles[number]),
        cycles_event=simulated.cycles[0],
        cycles_fast=simulated.cycles[1],
        items=sum(records[0].size for records in cycles.values()),
        item_differences=sum(differing.values()),
        outputs=len(rtl),
        output_differences_numpy=int((rtl != expected).sum()),
        output_differences_torch=None if torch_values is None else int((rtl != torch_values).sum()),
        values=tuple(int(value) for value in rtl),
        first_difference=next((place for place, count in differing.items() if count), ""),
    )


def _place(simulated: Simulated, place: str) -> IntArray:
    assert isinstance(simulated.timeline, Timeline)
    cycles: IntArray = getattr(simulated.timeline, place)
    return cycles


def _differences(records: list[IntArray]) -> int:
    first, *others = records
    if any(other.shape != first.shape for other in others):
        return max(record.size for record in records)
    return int(np.any([other != first for other in others], axis=0).sum())


def torch_outputs(model: CompressedModel, inputs: IntArray) -> list[IntArray] | None:
    """Return the outputs of every layer with weights by the PyTorch reference, None where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from qsim.compress.reference import TorchReference

    outputs = TorchReference(model).activations(inputs)[1:]
    return [values.numpy() for node, values in zip(model.graph.nodes, outputs, strict=True) if not isinstance(node, MaxPool)]
