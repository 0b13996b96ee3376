"""The proof: the same layers and inputs in RTL, SimPy, numba and PyTorch, compared bit for bit and cycle for cycle.

The four are independent: the RTL is generated from the machine and runs under Verilator; the two engines simulate the lowered program;
the outputs are those of the numpy definition and, where torch is installed, of the PyTorch reference. Nothing is assumed equal here; every
difference is counted and the first one is named.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np

from qsim.arch.architecture import Architecture, PEKind
from qsim.encode.interleave import interleave, local_rows
from qsim.errors import MissingExtra, UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, MaxPool, Node
from qsim.progress import Progress, silent
from qsim.sim import event, fast
from qsim.sim.lower import LoweredLayer, lower
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.semantics import infer, run_layer
from qsim.sim.simulated import Simulated, Timeline
from rtl.job import ArrayJob
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


def array_job(layer: QuantisedLayer, machine: Architecture, inputs: IntArray) -> ArrayJob:
    """Return the integers that the RTL is loaded with: ``inputs`` [n, inputs of the layer].

    Raises :class:`UnsupportedProgram` for a form that the machine's PE does not run, and for a convolution.
    """
    array, node, form = machine.array, layer.node, layer.form
    check_in_rtl(node)
    PE_VARIANTS[array.kind].work(form, machine, node.name)  # refuses what does not fit
    match array.kind:
        case PEKind.DENSE:
            image = every_weight(form.reconstruct(), array.pes)
        case PEKind.CODEBOOK:
            table = np.unique(form.reconstruct())
            image = every_weight(np.searchsorted(table, form.reconstruct()), array.pes) | {"codebook": table}
        case PEKind.SPARSE | PEKind.PVQ:
            held = interleave(form, pes=array.pes, index_bits=array.index_bits, code_bits=array.code_bits)
            image = {"pointers": held.pointers, "codes": held.codes, "gaps": held.gaps}
            image |= {} if held.table is None else {"codebook": held.table}
            image |= {} if layer.scales is None else {"scales": layer.scales}
        case _:
            assert_never(array.kind)
    return ArrayJob(
        **image,
        rows=node.outputs,
        bias=layer.bias,
        bias_shift=layer.total_fraction - node.bias_format.fraction,
        shift=layer.total_fraction - node.output_format.fraction,
        relu=node.activation is not Activation.NONE,
        limit=node.limit,
        activations=inputs,
        accumulator_bits=node.accumulator_format.width,
        output_bits=node.output_format.width,
    )


def check_in_rtl(*nodes: Node) -> None:
    """Raise :class:`UnsupportedProgram` unless all ``nodes`` are fully connected: the RTL has no addresses of windows."""
    for node in nodes:
        if not isinstance(node, FullyConnected):
            raise UnsupportedProgram(path=node.name, rule="a fully connected layer to run in RTL", value=type(node).__name__)


def every_weight(weights: IntArray, pes: int) -> dict[str, IntArray]:
    """Return pointers and codes of PEs that store every one of the ``weights`` [rows, cols], column by column."""
    rows, cols = weights.shape
    return {
        "pointers": local_rows(rows, pes)[:, None] * np.arange(cols + 1),
        "codes": np.concatenate([weights[pe::pes].T.ravel() for pe in range(pes)]),
    }


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
        lowered = lower(model.layers[index], machine)
        for number, image in enumerate(images):
            given = activations.inputs[index][number]
            torch_values = None if reference is None else reference[index][number]
            checks.append(_check(lowered, given, run, number, image, torch_values))
            progress("SimPy, numba, PyTorch", len(checks), len(chosen) * len(images))
    return checks


def _check(lowered: LoweredLayer, given: IntArray, run: ArrayRun, number: int, image: int, torch_values: IntArray | None) -> Check:
    program = lowered.program(given)
    slow, quick = event.simulate(program, timeline=True), fast.simulate(program, timeline=True)
    rtl, items = run.outputs[number], run.items[number]
    expected = run_layer(lowered.layer, given[None, :])[0]
    cycles = {place: [getattr(items, place), _place(slow, place), _place(quick, place)] for place in PLACES}
    differing = {place: _differences(records) for place, records in cycles.items()}
    return Check(
        layer=lowered.layer.node.name,
        image=image,
        cycles_rtl=int(run.cycles[number]),
        cycles_event=slow.cycles,
        cycles_fast=quick.cycles,
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
