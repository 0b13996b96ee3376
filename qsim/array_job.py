"""From a compressed layer to the plain integers that the RTL is loaded with."""

from typing import assert_never

import numpy as np

from qsim.arch.architecture import Architecture, PEKind
from qsim.encode.interleave import interleave, local_rows
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.formats.layer import Form
from qsim.model.compressed import QuantisedLayer
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation, Convolution, FullyConnected, Node
from qsim.sim.blocks import Columns
from qsim.sim.convolution import one_matrix
from qsim.sim.pe import PE_VARIANTS
from rtl.job import ArrayJob
from rtl.windows import WindowJob


def array_job(layer: QuantisedLayer, machine: Architecture, inputs: IntArray) -> ArrayJob:
    """Return the integers that the RTL is loaded with: ``inputs`` [n, inputs of the layer].

    Raises :class:`UnsupportedProgram` for a form that the machine's PE does not run, and for groups that it runs one by one.
    """
    node, form, window = layer.node, layer.form, None
    columns = Columns(taps=1, channels=node.columns, stride=node.columns)
    if isinstance(node, Convolution):
        form, channels = _whole(form, node, machine)
        columns = Columns.of(node.geometry.taps, channels, machine.scan.row_width)
        window = window_of(node.geometry)
    PE_VARIANTS[machine.array.kind].work(form, machine, node.name)  # refuses what does not fit
    return ArrayJob(
        **_image(form, machine, columns),
        scales=layer.scales,
        rows=form.rows,
        bias=layer.bias,
        bias_shift=layer.total_fraction - node.bias_format.fraction,
        shift=layer.total_fraction - node.output_format.fraction,
        relu=node.activation is not Activation.NONE,
        limit=node.limit,
        activations=inputs,
        accumulator_bits=node.accumulator_format.width,
        output_bits=node.output_format.width,
        window=window,
    )


def _whole(form: Form, node: Convolution, machine: Architecture) -> tuple[Form, int]:
    """Return the weights of all groups, and the channels that a filter then reads."""
    geometry = node.geometry
    if geometry.groups == 1:
        return form, geometry.channels
    if machine.array.kind is not PEKind.SPARSE:
        rule = f"1 to run in RTL on {machine.array.kind} PEs, which run groups one by one (sparse ones run them as one matrix)"
        raise UnsupportedProgram(path=f"{node.name}.groups", rule=rule, value=geometry.groups)
    return one_matrix(form, geometry), geometry.channels


def _image(form: Form, machine: Architecture, columns: Columns) -> dict[str, IntArray]:
    """Return pointers, entries and codebook of all PEs; channels that only fill the rows of the scan have columns without weights."""
    array = machine.array
    match array.kind:
        case PEKind.DENSE:
            return every_weight(columns.spread(form.reconstruct()), array.pes)
        case PEKind.CODEBOOK:
            table = np.unique(form.reconstruct())
            # Such a column meets zeros only: any code will do.
            return every_weight(columns.spread(np.searchsorted(table, form.reconstruct())), array.pes) | {"codebook": table}
        case PEKind.SPARSE | PEKind.PVQ:
            held = interleave(form, pes=array.pes, index_bits=array.index_bits, code_bits=array.code_bits)
            ends = np.cumsum(columns.spread(np.diff(held.pointers, axis=1)), axis=1)
            image = {"pointers": np.pad(ends, ((0, 0), (1, 0))), "codes": held.codes, "gaps": held.gaps}
            return image | ({} if held.table is None else {"codebook": held.table})
        case _:
            assert_never(array.kind)


def every_weight(weights: IntArray, pes: int) -> dict[str, IntArray]:
    """Return pointers and codes of PEs that store every one of the ``weights`` [rows, cols], column by column."""
    rows, cols = weights.shape
    return {
        "pointers": local_rows(rows, pes)[:, None] * np.arange(cols + 1),
        "codes": np.concatenate([weights[pe::pes].T.ravel() for pe in range(pes)]),
    }


def window_of(geometry: ImageGeometry) -> WindowJob:
    """Return how a window moves, as the RTL is told."""
    return WindowJob(
        height=geometry.height,
        width=geometry.width,
        channels=geometry.channels,
        kernel=geometry.kernel,
        stride=geometry.stride,
        dilation=geometry.dilation,
        padding=geometry.padding[:2],
        output=(geometry.output_height, geometry.output_width),
    )


def check_chain(*nodes: Node) -> None:
    """Raise :class:`UnsupportedProgram` unless all ``nodes`` are fully connected: the RTL runs convolutions one layer at a time, and no
    pools.
    """
    for node in nodes:
        if not isinstance(node, FullyConnected):
            rule = "a fully connected layer for a whole network in RTL (`qsim verify --layers` runs a convolution alone)"
            raise UnsupportedProgram(path=node.name, rule=rule, value=type(node).__name__)
