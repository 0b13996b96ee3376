"""A convolution on the broadcast array: blocks of weights outside, output pixels inside.

For each block of output channels whose weights fit on chip, and for each group where groups are run one by one, there is a *pass*: the
weights are loaded, then every output pixel runs its array program (:mod:`qsim.sim.pixels`). Transfers and pixels do not overlap. A layer
whose input and output do not fit the activation memory together is *spilled*: each pass reads the rows of the input as the window moves
down, each row once, keeps as many as the window is high, and writes each row of the output when it is done. docs/timing.md, Convolutions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import Architecture, PEKind
from qsim.arch.timing import TIMINGS
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.formats.layer import Form, ScalarCoded
from qsim.model.geometry import PADDING, ImageGeometry, expand_groups
from qsim.sim.blocks import Block, Columns, cut_rows, rows_of
from qsim.sim.layout import check_memories
from qsim.sim.pixels import ActivationMap, PixelPrograms, PlaceArray, narrowest
from qsim.units import BITS_PER_BYTE

MakeMap = Callable[[IntArray, int], ActivationMap]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pass:
    """One block of weights and all pixels. ``group``: the channels it reads, None for all; ``repeats``: how many groups it stands for."""

    block: Block
    group: int | None
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """The operand of a product of two activations that plays the weights: its ``elements`` are written before the pixels of each pass.

    ``loads``: it comes from DRAM; ``coded``: each element is rounded to a code of the codebook. :mod:`qsim.sim.products`.
    """

    elements: int
    loads: bool
    coded: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoweredConvolution:
    """A convolution on one machine, before its input is known.

    ``first`` and ``last``: whether its input comes from and its output goes off the chip, which a spilled layer always does.
    ``stored``: activations that it stores, after ``compares`` comparisons where a pool follows; ``adds``, ``multiplies``: of a recurrent
    cell. ``operand``: what is written at run time in place of weights, None for a layer that has some.
    """

    name: str
    geometry: ImageGeometry
    out_channels: int
    machine: Architecture
    first: bool
    last: bool
    spilled: bool
    columns: Columns
    passes: tuple[Pass, ...]
    stored: int
    compares: int
    adds: int
    multiplies: int
    dense_macs: int
    operand: Operand | None = None

    @property
    def memory_rows(self) -> int:
        """What all weights take in the memory of the fullest PE, where they are on chip together."""
        return sum(part.block.memory_rows * part.repeats for part in self.passes)

    @property
    def memory_pointers(self) -> int:
        """Likewise their pointers."""
        return sum(part.block.memory_pointers * part.repeats for part in self.passes)

    @property
    def loads_input(self) -> bool:
        """Whether the input comes from DRAM."""
        return self.machine.dram is not None and (self.first or self.spilled)

    @property
    def loads_operand(self) -> bool:
        """Whether the operand that plays the weights comes from DRAM."""
        return self.operand is not None and self.machine.dram is not None and (self.operand.loads or self.spilled)

    @property
    def operand_bytes(self) -> int:
        """What the operand takes in the weight memories."""
        elements = self.operand.elements if self.operand is not None else 0
        return -(-elements * self.machine.array.entry_bits // BITS_PER_BYTE)

    @property
    def unloads_output(self) -> bool:
        """Whether the output goes to DRAM."""
        return self.machine.dram is not None and (self.last or self.spilled)

    @property
    def place_rows(self) -> int:
        """Scan rows of a place: of one pixel of a group."""
        return self.columns.stride // self.machine.scan.row_width

    def scan_reads(self) -> int:
        """Rows of the activation memory that the scan reads: those of padding it only passes."""
        inside = int(np.count_nonzero(self.geometry.positions() != PADDING)) * self.place_rows
        operand = sum(-(-self.written(part) // self.machine.scan.row_width) * part.repeats for part in self.passes)
        return inside * sum(part.repeats for part in self.passes) + operand

    def written(self, part: Pass) -> int:
        """Return how many elements of the operand are written before a pass, each time."""
        return part.block.rows * self.geometry.group_channels if self.operand is not None else 0

    def writing(self, part: Pass, times: int) -> PixelPrograms:
        """Return the program that writes the operand of a pass: each element, zeros as well, is an item of one cycle in every PE."""
        count, array = self.written(part), self.machine.array
        none = np.zeros(count, dtype=np.int32)
        return PixelPrograms(
            name=f"{self.name}.operand",
            queue=array.queue,
            timing=TIMINGS[array.kind],
            service=narrowest(np.ones((1, array.pes), dtype=np.int64)),
            stride=1,
            reads=np.zeros((1, 1), dtype=np.int32),
            map=ActivationMap(first=np.array([0, count]), channel=none, empty=none, tail=np.zeros(1, dtype=np.int32)),
            drain_rows=0,
            repeats=times,
        )

    def pixels(self, activations: IntArray, map_of: MakeMap) -> Iterator[tuple[Pass, PixelPrograms]]:
        """Yield the programs of each pass for integer ``activations`` [inputs], channels last."""
        geometry = self.geometry
        if activations.shape != (geometry.inputs,):
            raise UnsupportedProgram(path=f"{self.name}.activations", rule=f"of shape [{geometry.inputs}]", value=list(activations.shape))
        image = activations.reshape(-1, geometry.channels)
        reads = self._reads()
        maps: dict[int | None, ActivationMap] = {}
        for part in self.passes:
            if part.group not in maps:
                maps = {part.group: self._map(image, part.group, map_of)}
            yield part, self._programs(part, reads, maps[part.group])

    def _map(self, image: IntArray, group: int | None, map_of: MakeMap) -> ActivationMap:
        width = self.machine.scan.row_width
        if not self.machine.scan.skip_zeros:
            # Every lane of every row is sent, so all places are alike.
            return map_of(np.ones((1, self.columns.stride), dtype=np.uint8), width)
        size = self.geometry.group_channels
        return map_of(image if group is None else image[:, group * size : (group + 1) * size], width)

    def _reads(self) -> PlaceArray:
        if not self.machine.scan.skip_zeros:
            return np.zeros((1, self.columns.taps), dtype=np.int32)
        positions = self.geometry.positions()
        padding = self.geometry.height * self.geometry.width  # the place of zeros behind the image
        return np.where(positions == PADDING, padding, positions).astype(np.int32)

    def _programs(self, part: Pass, reads: PlaceArray, found: ActivationMap) -> PixelPrograms:
        array = self.machine.array
        alike = 1 if self.machine.scan.skip_zeros else self.geometry.pixels
        return PixelPrograms(
            name=self.name,
            queue=array.queue,
            timing=TIMINGS[array.kind],
            service=part.block.service,
            stride=self.columns.stride,
            reads=reads,
            map=found,
            drain_rows=-(-part.block.rows // array.pes),
            repeats=part.repeats * alike,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """``first``, ``last``: the input comes from and the output goes off the chip. ``stored``: activations that are stored, None where they
    are the layer's outputs; ``compares``: made for them by a pool; ``adds``, ``multiplies``: of a recurrent cell.
    """

    first: bool = False
    last: bool = False
    stored: int | None = None
    compares: int = 0
    adds: int = 0
    multiplies: int = 0


def lower_convolution(
    form: Form, geometry: ImageGeometry, bias_bits: int, machine: Architecture, name: str, boundary: Boundary | None = None
) -> LoweredConvolution:
    """Prepare a convolution with the weights of ``form`` [out channels, geometry.columns] for ``machine``.

    Raises :class:`UnsupportedProgram` as :func:`qsim.sim.lower.lower` does, and where one row of outputs a PE or the rows of a window do
    not fit on chip.
    """
    boundary = boundary or Boundary()
    whole = geometry.groups > 1 and machine.array.kind is PEKind.SPARSE
    channels = geometry.channels if whole else geometry.group_channels
    columns = Columns.of(geometry.taps, channels, machine.scan.row_width)
    passes = tuple(_passes(one_matrix(form, geometry) if whole else form, geometry, whole, columns, bias_bits, machine, name))
    lowered = LoweredConvolution(
        name=name,
        geometry=geometry,
        out_channels=form.rows,
        machine=machine,
        first=boundary.first,
        last=boundary.last,
        spilled=spills(geometry, passes, boundary, form.rows, machine, name),
        columns=columns,
        passes=passes,
        stored=geometry.pixels * form.rows if boundary.stored is None else boundary.stored,
        compares=boundary.compares,
        adds=boundary.adds,
        multiplies=boundary.multiplies,
        dense_macs=geometry.pixels * form.rows * form.cols,
    )
    if not machine.streams_weights:
        check_memories([lowered], machine)
    return lowered


def _passes(
    form: Form, geometry: ImageGeometry, whole: bool, columns: Columns, bias_bits: int, machine: Architecture, name: str
) -> Iterator[Pass]:
    """Groups one by one; where each column has the same length all groups are alike and one stands for all."""
    groups = 1 if whole else geometry.groups
    size, alike = form.rows // groups, not machine.scan.skip_zeros
    for group in range(1 if alike else groups):
        part = form if groups == 1 else rows_of(form, slice(group * size, (group + 1) * size))
        for block in cut_rows(part, columns, bias_bits, machine, name):
            yield Pass(block=block, group=None if groups == 1 else group, repeats=groups if alike else 1)


def one_matrix(form: Form, geometry: ImageGeometry) -> ScalarCoded:
    """Return the weights of all groups as one block matrix, empty outside the groups."""
    if not isinstance(form, ScalarCoded):
        rule = "ScalarCoded on a sparse PE (choose another machine, or a recipe with a scalar codebook)"
        raise UnsupportedProgram(path="form", rule=rule, value=type(form).__name__)
    kept: IntArray = np.ones(form.codes.shape, dtype=np.int64) if form.mask is None else form.mask.astype(np.int64)
    codes, mask = expand_groups(form.codes.astype(np.int64), geometry), expand_groups(kept, geometry)
    return ScalarCoded(codes=codes.astype(np.uint16), codebook=form.codebook, weight_format=form.weight_format, mask=mask != 0)


def activation_bytes(elements: int, machine: Architecture) -> int:
    """Return what ``elements`` activations take in the activation memory of each PE."""
    return -(-elements * machine.array.activation_bits // (BITS_PER_BYTE * machine.array.pes))


def spills(
    geometry: ImageGeometry, passes: tuple[Pass, ...], boundary: Boundary, rows: int, machine: Architecture, name: str, operand: int = 0
) -> bool:
    """Whether input, ``operand`` elements and output do not fit together; then the rows of a window and one row of outputs must."""
    width, most = machine.scan.row_width, machine.activations.bytes
    channels = -(-geometry.channels // width) * width
    outputs = geometry.pixels * rows if boundary.stored is None else boundary.stored
    need = activation_bytes(geometry.height * geometry.width * channels + operand + outputs, machine)
    if need <= most:
        return False
    if machine.dram is None:
        raise UnsupportedProgram(path="activations.bytes", rule=f"at least {need}, for input and output of {name}", value=most)
    window = min(geometry.height, geometry.dilation[0] * (geometry.kernel[0] - 1) + 1)
    output_row = geometry.output_width * max(part.block.rows for part in passes)
    band = activation_bytes(window * geometry.width * channels + output_row, machine)
    if band > most:
        rule = f"at least {band}, for the {window} rows of a window and a row of outputs of {name} over {machine.array.pes} PEs"
        raise UnsupportedProgram(path="activations.bytes", rule=rule, value=most)
    return True
