"""The matrix layers of a float network on one machine, and what lies between them.

A layer's input is on chip when it and the layer that ran just before it keep input and output on chip together, and nothing but that
layer's output feeds it; else it comes from DRAM. A layer's output goes to DRAM when it is a result of the network, when the layer is
spilled, or when a layer that reads it takes it from there. Activation functions and pools that follow a layer alone belong to it: the
last tensor of such a chain is what it stores. All other operators (additions of branches, concatenations, normalisation, softmax)
are not executed by the array and cost nothing here. Both operands of a product of two activations follow the same rule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Form
from qsim.model.compressed import QuantisedLayer
from qsim.model.graph import Activation, FullyConnected
from qsim.model.matrix_layers import LayerKind, MatrixLayer
from qsim.model.network import Network, Operator
from qsim.sim.convolution import Boundary, LoweredConvolution, Operand, lower_convolution
from qsim.sim.layout import check_memories
from qsim.sim.lower import ENTRIES, LoweredLayer, lower
from qsim.sim.lower_model import Lowered
from qsim.sim.network_layers import MachineLayer
from qsim.sim.pe import PE_VARIANTS
from qsim.units import BITS_PER_BYTE

ALONE = (
    "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Elu", "Selu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Softplus", "Erf",
    "BatchNormalization", "Dropout", "MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity",
    "QuantizeLinear", "DequantizeLinear", "Round", "Cast",
)  # fmt: skip
ACTIVATION = FixedFormat(16, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """What a layer stores after the operators that follow it alone, and the comparisons of pools among them."""

    stored: int
    compares: int


def follows(network: Network, layer: MatrixLayer) -> Follows:
    """Walk down from the output of ``layer`` while a single reader only changes it in place or pools it."""
    readers: dict[str, list[Operator]] = {}
    for operator in network.operators:
        for tensor in set(operator.inputs):
            readers.setdefault(tensor, []).append(operator)
    tensor, compares = layer.output, 0
    stored = math.prod(network.type_of(tensor).shape)
    while tensor not in network.outputs and len(readers.get(tensor, [])) == 1:
        operator = readers[tensor][0]
        if operator.kind not in ALONE or operator.outputs[0] not in network.tensors:
            break
        tensor = operator.outputs[0]
        stored = math.prod(network.type_of(tensor).shape)
        if operator.kind == "MaxPool":
            window = operator.attributes["kernel_shape"]
            assert isinstance(window, tuple)
            compares += stored * math.prod(int(size) for size in window)
    return Follows(stored=stored, compares=compares)


def lower_matrix(found: MachineLayer, form: Form, after: Follows, machine: Architecture) -> Lowered:
    """Prepare one layer with the weights of ``form``, as if its input and output were on chip; :func:`connect` says where they are.

    One vector through one matrix that fits the accumulators streams its tiles past it; everything else keeps blocks of weights on chip.
    """
    depth = -(-found.rows // machine.array.pes)
    if found.single and depth <= machine.array.local_rows and not found.layer.recurrent:
        return lower(_quantised(found, form), machine)
    adds, multiplies = cell_operations(found.layer) if found.layer.recurrent else (0, 0)
    boundary = Boundary(stored=after.stored, compares=after.compares, adds=adds, multiplies=multiplies)
    return lower_convolution(form, found.geometry, ACTIVATION.width, machine, found.name, boundary)


def cell_operations(layer: MatrixLayer) -> tuple[int, int]:
    """Return the additions and multiplications of a recurrent cell beside its matrices, over all steps; functions are not counted.

    LSTM, a cell: four sums of gates, ``f c + i g``, ``o h``. GRU: three sums, ``r n``, ``(1 - z) n + z h``. RNN: one sum.
    """
    each = layer.vectors * layer.columns
    match layer.kind:
        case LayerKind.LSTM_GATES:
            return 5 * each, 3 * each
        case LayerKind.GRU_GATES:
            return 5 * each, 3 * each
        case _:
            return each, 0


def _quantised(found: MachineLayer, form: Form) -> QuantisedLayer:
    """Return the layer with 16-bit activations and 32-bit sums, whose binary points do not matter to time or energy."""
    fraction = ACTIVATION.fraction + form.weight_format.fraction
    node = FullyConnected(
        name=found.name,
        inputs=found.geometry.columns,
        outputs=found.rows,
        activation=Activation.NONE,
        input_format=ACTIVATION,
        output_format=ACTIVATION,
        bias_format=FixedFormat(16, min(fraction, 8)),
        accumulator_format=FixedFormat(32, fraction),
    )
    return QuantisedLayer(node=node, form=form, bias=np.zeros(found.rows, dtype=np.int64))


def image_bytes(layer: Lowered, machine: Architecture) -> int:
    """Return what the weights take as the memories of the PEs hold them, pointers, codebook and biases included; 0 for a product."""
    parts = [(layer.column_totals, layer.layer.node.outputs, 1)] if isinstance(layer, LoweredLayer) else []
    if isinstance(layer, LoweredConvolution) and layer.operand is None:
        parts = [(part.block.column_totals, part.block.rows, part.repeats) for part in layer.passes]
    array = machine.array
    bits = 0
    for totals, rows, repeats in parts:
        pointers = machine.pointers.width_bits * array.pes * (totals.shape[1] + 1) if PE_VARIANTS[array.kind].pointers else 0
        tables = array.weight_bits << array.code_bits if PE_VARIANTS[array.kind].codebook else 0
        bits += repeats * (int(totals[ENTRIES].sum()) * array.entry_bits + pointers + tables + rows * ACTIVATION.width)
    return -(-bits // BITS_PER_BYTE)


def connect(network: Network, layers: Sequence[MachineLayer], lowered: Sequence[Lowered], machine: Architecture) -> tuple[Lowered, ...]:
    """Return ``lowered`` with the inputs and outputs of each placed on chip or in DRAM; check that resident weights fit together."""
    if not machine.streams_weights:
        check_memories([part for part in lowered if operand_of(part) is None], machine)
    made, names = _made_of(network, layers), [layer.layer.operator for layer in layers]
    reads = list[_Read]()
    for index, layer in enumerate(layers):
        before = names[index - 1] if index > 0 and not _spilled(lowered[index]) and not _spilled(lowered[index - 1]) else None
        for tensor in (layer.layer.input, layer.layer.second):
            if tensor is not None:
                fed = made.get(tensor, {""})
                reads.append(_Read(layer=index, fed=fed, far=fed != {before} and not layer.layer.recurrent))
    placed = []
    for index, part in enumerate(lowered):
        own, readers = [read.far for read in reads if read.layer == index], [read.far for read in reads if names[index] in read.fed]
        final = names[index] not in names[index + 1 :]  # the gates of one operator make one output
        placed.append(_place(part, own, final and (not readers or any(readers))))
    return tuple(placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A tensor that ``layer`` reads: the operators with matrices that it is made from, and whether it comes from DRAM."""

    layer: int
    fed: set[str]
    far: bool


def _place(part: Lowered, far: Sequence[bool], last: bool) -> Lowered:
    """``far``: of the input, and of the operand of a product."""
    operand = operand_of(part)
    if operand is None or isinstance(part, LoweredLayer):
        return replace(part, first=far[0], last=last)
    return replace(part, first=far[0], last=last, operand=replace(operand, loads=far[1]))


def operand_of(layer: Lowered) -> Operand | None:
    """Return what a product of two activations writes in place of weights; None for a layer that has some."""
    return layer.operand if isinstance(layer, LoweredConvolution) else None


def _spilled(layer: Lowered) -> bool:
    return isinstance(layer, LoweredConvolution) and layer.spilled


def _made_of(network: Network, layers: Sequence[MachineLayer]) -> dict[str, set[str]]:
    """Return for each tensor the operators with matrices that it is made from; "" stands for the inputs of the network."""
    own = {layer.layer.operator for layer in layers}
    made: dict[str, set[str]] = {name: {""} for name in network.inputs}
    for operator in network.operators:
        fed = set[str]().union(*(made.get(tensor, set()) for tensor in operator.inputs))
        for tensor in operator.outputs:
            made[tensor] = {operator.name} if operator.name in own else fed
    return made
