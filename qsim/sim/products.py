"""Products of two activations on the array, as attention has them: ``Q K^T`` and ``softmax(Q K^T) V``.

The second operand plays the weights, the first goes by as activations: of each leading index (a head) a group of a convolution of one tap,
a vector a pixel, the groups one by one on all PEs. Before the pixels of a group its operand is written into the weight memories over the
broadcast, element by element: the array has no other way from the activation memory to them. All elements are stored, zeros as well, so
that nothing about their places depends on their values:

=========  ==========================================================================================================================
PE         an element is stored as
=========  ==========================================================================================================================
dense      itself
codebook   the nearest of ``2**code_bits - 1`` evenly spaced levels around zero, whose step is a power of two (:mod:`qsim.model.levels`)
sparse     likewise, in an entry of gap 0; pointers are multiples of the rows a PE owns
pvq        refused: the nearest point of a pyramid and its scale would have to be searched for every row
=========  ==========================================================================================================================

The operand is no part of any file. docs/timing.md, Products of two activations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import Architecture, PEKind
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Form, ScalarCoded
from qsim.model.levels import LEAST_BITS
from qsim.sim.blocks import Block, Columns, block_of
from qsim.sim.convolution import Boundary, LoweredConvolution, Operand, Pass, spills
from qsim.sim.layout import Resident
from qsim.sim.memory import GROUP_BURSTS
from qsim.sim.network_layers import MachineLayer
from qsim.units import BITS_PER_BYTE

NARROW = FixedFormat(2, 0)  # any format that the PEs have: neither time nor counts depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a PE has for operands: ``rows`` of its weight memory and ``pointers``. All products of a network use it in turn."""

    rows: int
    pointers: int

    @classmethod
    def beside(cls, resident: Sequence[Resident], machine: Architecture) -> "Room":
        """Return what the ``resident`` weights leave; where weights come from DRAM layer by layer, everything."""
        rows, pointers = (memory.bytes * BITS_PER_BYTE // memory.width_bits for memory in (machine.weights, machine.pointers))
        if machine.streams_weights:
            return cls(rows=rows, pointers=pointers)
        return cls(
            rows=rows - sum(layer.memory_rows for layer in resident), pointers=pointers - sum(layer.memory_pointers for layer in resident)
        )


def operand_bits(machine: Architecture) -> int:
    """Return the bits that a stored weight's value has on ``machine``."""
    return machine.array.weight_bits if machine.array.kind is PEKind.DENSE else machine.array.code_bits


def rounds(machine: Architecture) -> bool:
    """Whether an activation loses bits when it is stored as a weight."""
    return operand_bits(machine) < machine.array.activation_bits


def lower_product(found: MachineLayer, stored: int, machine: Architecture, room: Room) -> LoweredConvolution:
    """Prepare a product of two activations, as if its operands and its output were on chip; ``stored``: activations that it stores.

    Raises :class:`UnsupportedProgram`, naming what is missing, for PEs that cannot store an operand at run time, and where it does not fit.
    """
    if machine.array.kind is PEKind.PVQ:
        rule = "with constant weights on pvq PEs, whose pyramid points would have to be searched at run time"
        raise UnsupportedProgram(path=found.name, rule=rule, value="a product of two activations")
    bits, geometry = operand_bits(machine), found.geometry
    if bits < LEAST_BITS:
        raise UnsupportedProgram(path="array.code_bits", rule=f"at least {LEAST_BITS} for the operand of {found.name}", value=bits)
    columns = Columns.of(1, geometry.group_channels, machine.scan.row_width)
    passes = tuple(_passes(found, columns, machine, room))
    elements = found.rows * geometry.columns
    boundary = Boundary(stored=stored)
    spilled = spills(geometry, passes, boundary, found.rows, machine, found.name, elements)
    if spilled:
        _check_request(machine, found.name)
    return LoweredConvolution(
        name=found.name,
        geometry=geometry,
        out_channels=found.rows,
        machine=machine,
        first=False,
        last=False,
        spilled=spilled,
        columns=columns,
        passes=passes,
        stored=stored,
        compares=0,
        adds=0,
        multiplies=0,
        dense_macs=found.layer.macs,
        operand=Operand(elements=elements, loads=False, coded=rounds(machine)),
    )


def _check_request(machine: Architecture, name: str) -> None:
    """The operand of a spilled product goes through the activation memory request by request, before the input of the pass comes."""
    assert machine.dram is not None
    need = -(-GROUP_BURSTS * machine.dram.burst_bytes // machine.array.pes)
    if need > machine.activations.bytes:
        rule = f"at least {need}, for a request of the operand of {name} over {machine.array.pes} PEs"
        raise UnsupportedProgram(path="activations.bytes", rule=rule, value=machine.activations.bytes)


def _passes(found: MachineLayer, columns: Columns, machine: Architecture, room: Room) -> Iterator[Pass]:
    """All groups have the same blocks; where every activation is sent, their pixels are alike too and one group stands for all."""
    groups, alike = found.geometry.groups, not machine.scan.skip_zeros
    blocks = _blocks(found.rows // groups, columns, machine, room, found.name)
    for group in range(1 if alike else groups):
        for block in blocks:
            yield Pass(block=block, group=None if groups == 1 else group, repeats=groups if alike else 1)


def _blocks(rows: int, columns: Columns, machine: Architecture, room: Room, name: str) -> list[Block]:
    """Return the fewest blocks of equally many rows a PE that each fit the room and the accumulators."""
    array = machine.array
    depth = -(-rows // array.pes)
    for count in range(-(-depth // array.local_rows), depth + 1):
        size = min(rows, -(-depth // count) * array.pes)
        largest = _block(size, columns, machine, name)
        if largest.memory_pointers > room.pointers:
            need = -(-largest.memory_pointers * machine.pointers.width_bits // BITS_PER_BYTE)
            raise UnsupportedProgram(
                path="pointers.bytes", rule=f"such that {need} a PE are free for the operand of {name}", value=machine.pointers.bytes
            )
        if largest.memory_rows <= room.rows:
            rest = rows % size
            return [largest] * (rows // size) + ([_block(rest, columns, machine, name)] if rest else [])
    need = -(-largest.memory_rows * machine.weights.width_bits // BITS_PER_BYTE)
    raise UnsupportedProgram(
        path="weights.bytes", rule=f"such that {need} a PE are free for the operand of {name}", value=machine.weights.bytes
    )


def _block(rows: int, columns: Columns, machine: Architecture, name: str) -> Block:
    """Return a block of which every element is stored and none comes from DRAM as a weight."""
    alone = machine.replace("decoder", None).replace("dram", None)
    return block_of(_every_element(rows, columns.channels, machine.array.kind), columns, 0, alone, name)


def _every_element(rows: int, cols: int, kind: PEKind) -> Form:
    """Return a form that stands for any values: each element is stored."""
    if kind is PEKind.DENSE:
        return Dense(values=np.zeros((rows, cols), dtype=np.int32), weight_format=NARROW)
    return ScalarCoded(codes=np.zeros((rows, cols), dtype=np.uint16), codebook=np.ones(1, dtype=np.int64), weight_format=NARROW)
