"""Simulate a whole model: real activations from the number semantics, one engine, every layer and input."""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture
from qsim.errors import UnsupportedProgram
from qsim.model.compressed import CompressedModel
from qsim.results import LayerResult, Trace
from qsim.sim.lower import LoweredLayer, lower_model
from qsim.sim.program import Program
from qsim.sim.semantics import infer
from qsim.sim.simulated import Simulated
from qsim.sim.trace import MAX_SPANS, trace_of


class Engine(StrEnum):
    """The two engines; both give the same result."""

    FAST = "fast"
    EVENT = "event"


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


def simulate_model(
    model: CompressedModel,
    machine: Architecture,
    inputs: npt.ArrayLike,
    engine: str = Engine.FAST,
    progress: Callable[[str], None] | None = None,
) -> tuple[tuple[LayerResult, ...], ...]:
    """Return the result of every layer for every one of the integer ``inputs`` [n, features]: ``result[layer][input]``.

    ``progress`` is told what is going on in a few words. Raises :class:`UnsupportedProgram` if the model does not fit the machine.
    """
    lowered = lower_model(model, machine, progress)
    activations = infer(model, inputs).inputs
    results = []
    for layer, values in zip(lowered, activations, strict=True):
        if progress is not None:
            progress(f"simulating {layer.layer.node.name}")
        results.append(tuple(simulate_layer(layer, row, engine) for row in values))
    return tuple(results)


def simulate_layer(layer: LoweredLayer, activations: npt.NDArray[np.int64], engine: str = Engine.FAST) -> LayerResult:
    """Return the result of one prepared layer for integer ``activations`` [cols]."""
    return layer.result(activations, simulate_program(layer.program(activations), engine))


def trace_model(
    model: CompressedModel,
    machine: Architecture,
    inputs: npt.ArrayLike,
    layer: int | str,
    engine: str = Engine.FAST,
    max_spans: int = MAX_SPANS,
) -> Trace:
    """Return what every unit did in one layer (by name or number) for the first of ``inputs`` [n, features]."""
    names = [item.node.name for item in model.layers]
    if layer not in names and layer not in range(len(names)):
        raise UnsupportedProgram(path="trace.layer", rule="a layer of the model", value=layer, legal=names)
    index = names.index(layer) if isinstance(layer, str) else layer
    lowered = lower_model(model, machine)[index]
    values = infer(model, np.asarray(inputs)[:1]).inputs[index][0]
    program = lowered.program(values)
    return trace_of(program, simulate_program(program, engine, timeline=True), max_spans)
