"""Every layer of a compressed network on one machine."""

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.errors import UnsupportedProgram
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.geometry import PADDING
from qsim.model.graph import Convolution, MaxPool
from qsim.progress import Progress, silent
from qsim.sim.convolution import Boundary, LoweredConvolution, lower_convolution
from qsim.sim.layout import check_memories
from qsim.sim.lower import LoweredLayer, check_formats, lower

Lowered = LoweredLayer | LoweredConvolution


def lower_model(model: CompressedModel, machine: Architecture, progress: Progress = silent) -> tuple[Lowered, ...]:
    """Prepare every layer; unless DRAM holds them, the weights of all layers must fit on chip together.

    A pool belongs to the layer before it, which stores only the largest result of each window. Raises :class:`UnsupportedProgram` for
    a pool before the first layer and for what does not fit.
    """
    count = len(model.layers)
    lowered: list[Lowered] = []
    for index, (layer, pools) in enumerate(_with_pools(model)):
        ends = Boundary(first=index == 0, last=index == count - 1)
        lowered.append(lower_layer(layer, machine, ends, pools))
        progress("prepare", index + 1, count)
    if not machine.streams_weights:
        check_memories(lowered, machine)
    return tuple(lowered)


def lower_layer(layer: QuantisedLayer, machine: Architecture, ends: Boundary, pools: tuple[MaxPool, ...] = ()) -> Lowered:
    """Prepare one layer and the ``pools`` after it."""
    node = layer.node
    if not isinstance(node, Convolution):
        return lower(layer, machine, first=ends.first, last=ends.last)
    check_formats(layer, machine)
    compares = sum(int(np.count_nonzero(pool.geometry.positions() != PADDING)) * pool.geometry.channels for pool in pools)
    boundary = Boundary(first=ends.first, last=ends.last, stored=pools[-1].outputs if pools else None, compares=compares)
    return lower_convolution(layer.form, node.geometry, node.bias_format.width, machine, node.name, boundary)


def _with_pools(model: CompressedModel) -> list[tuple[QuantisedLayer, tuple[MaxPool, ...]]]:
    found: list[tuple[QuantisedLayer, tuple[MaxPool, ...]]] = []
    for step in model.steps:
        if isinstance(step, QuantisedLayer):
            found.append((step, ()))
        elif found:
            found[-1] = (found[-1][0], (*found[-1][1], step))
        else:
            raise UnsupportedProgram(path=f"{step.name}", rule="behind a layer with weights", value="the first node")
    return found
