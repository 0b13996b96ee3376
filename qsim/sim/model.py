"""Simulate a whole model: real activations from the number semantics, one engine, every layer and input."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel
from qsim.progress import Progress, silent
from qsim.results import LayerResult, Trace
from qsim.sim.convolution import LoweredConvolution
from qsim.sim.convolution_run import ConvolutionRun
from qsim.sim.lower_model import Lowered, lower_model
from qsim.sim.pixels import activation_map
from qsim.sim.program import Program
from qsim.sim.semantics import infer
from qsim.sim.simulated import Simulated
from qsim.sim.trace import MAX_SPANS, trace_of


class Engine(StrEnum):
    """The two engines; both give the same result."""

    FAST = "fast"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """``layers[layer][input]``: the result of every layer for every input; ``trace`` of one layer, if it was asked for."""

    layers: tuple[tuple[LayerResult, ...], ...]
    trace: Trace | None


def simulate_model(
    model: CompressedModel,
    machine: Architecture,
    inputs: npt.ArrayLike,
    *,
    engine: str = Engine.FAST,
    trace: bool = False,
    progress: Progress | None = None,
) -> SimulatedModel:
    """Simulate every layer for every one of the integer ``inputs`` [n, features].

    With ``trace``, the layer that takes most cycles is traced for the first input. Raises :class:`UnsupportedProgram` if the model does not
    fit the machine or the engine is unknown.
    """
    report = silent if progress is None else progress
    lowered = lower_model(model, machine, report)
    activations = infer(model, inputs).inputs
    layers = []
    for number, (layer, values) in enumerate(zip(lowered, activations, strict=True), 1):
        layers.append(tuple(simulate_layer(layer, row, engine) for row in values))
        report("simulate", number, len(lowered))
    traced = None
    if trace and len(activations[0]):
        longest = int(np.argmax([results[0].cycles for results in layers]))
        traced = trace_layer(lowered[longest], activations[longest][0], engine)
    return SimulatedModel(layers=tuple(layers), trace=traced)


def simulate_layer(layer: Lowered, activations: IntArray, engine: str = Engine.FAST) -> LayerResult:
    """Return the result of one prepared layer for integer ``activations`` [inputs]."""
    if isinstance(layer, LoweredConvolution):
        return ConvolutionRun(layer, activations, engine).result()
    return layer.result(activations, simulate_program(layer.program(activations), engine))


def trace_layer(layer: Lowered, activations: IntArray, engine: str = Engine.FAST, max_spans: int = MAX_SPANS) -> Trace:
    """Return what every unit did in one prepared layer for integer ``activations`` [inputs]; of a convolution, in its middle pixel."""
    if isinstance(layer, LoweredConvolution):
        _, pixels = next(layer.pixels(activations, activation_map))
        program = pixels.program(len(pixels.reads) // 2)
    else:
        program = layer.program(activations)
    return trace_of(program, simulate_program(program, engine, timeline=True), max_spans)


def simulate_program(program: Program, engine: str = Engine.FAST, *, timeline: bool = False) -> Simulated:
    """Run a program on the named engine. The engine's framework is imported only here.

    Raises :class:`UnsupportedProgram` for an unknown engine.
    """
    if engine == Engine.FAST:
        from qsim.sim import fast

        return fast.simulate(program, timeline=timeline)
    if engine == Engine.EVENT:
        from qsim.sim import event

        return event.simulate(program, timeline=timeline)
    raise UnsupportedProgram(path="engine", rule="the name of an engine", value=engine, legal=tuple(Engine))
