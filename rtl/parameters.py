"""What the array is built for: widths that are fixed in hardware, and the largest layer its memories and counters hold."""

from dataclasses import dataclass, fields
from typing import assert_never

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from qsim.arch.architecture import Architecture, PEKind
from qsim.errors import MachineError

MAX_BIAS_SHIFT = 31
MAX_RIGHT_SHIFT = 63
MAX_LEFT_SHIFT = 15
COORDINATE_BITS = 16  # of a pixel's place in an image, with a sign
HAS_GAPS = (PEKind.SPARSE, PEKind.PVQ)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayParameters:
    """Widths and maxima of one built array; a layer's own sizes and shifts are run-time configuration.

    ``kind``: the PE; ``queue_latency``: of the queues, forward and return: 2 puts registers in front of them; ``row_width``: activations
    scanned together; ``entries_per_row``: entries in a row of the weight memory (a power of two); ``columns``, ``local_rows``,
    ``weight_rows``: the most that fit. ``bias_bits``: width of a stored bias; ``scale_bits``: of a row's scale (pvq only). For whole
    networks: ``layers``, the most that one has, 0 for an array that runs single layers;
    ``pointers`` of all layers that a PE holds, 0 for those of one; ``streamed``: weights of layers may come from a stream (sparse only).
    ``windows``: single layers may be convolutions, on images of up to ``activations`` (0: as many as columns).
    """

    pes: int
    kind: PEKind = PEKind.SPARSE
    queue_depth: int = 8
    queue_latency: int = 1
    row_width: int = 4
    code_bits: int = 4
    index_bits: int = 4
    weight_bits: int = 16
    activation_bits: int = 16
    accumulator_bits: int = 32
    bias_bits: int = 32
    scale_bits: int = 16
    entries_per_row: int = 8
    columns: int = 1024
    local_rows: int = 512
    weight_rows: int = 4096
    pointers: int = 0
    layers: int = 0
    streamed: bool = False
    windows: bool = False
    activations: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 0 if field.name in ("pointers", "layers", "streamed", "windows", "activations") else 1
            if field.name != "kind" and getattr(self, field.name) < least:
                raise MachineError(path=f"parameters.{field.name}", rule=f"at least {least}", value=getattr(self, field.name))
        if self.queue_latency > 2:
            raise MachineError(path="parameters.queue_latency", rule="1 or 2", value=self.queue_latency)
        if self.entries_per_row & (self.entries_per_row - 1):
            raise MachineError(path="parameters.entries_per_row", rule="a power of two", value=self.entries_per_row)
        if self.streamed and (self.kind is not PEKind.SPARSE or not self.layers):
            raise MachineError(path="parameters.streamed", rule="false but for networks on sparse PEs", value=self.streamed)

        if self.windows and self.layers:
            raise MachineError(path="parameters.windows", rule="false for networks", value=self.windows)

    @classmethod
    def of(cls, machine: Architecture, layers: int = 0, *, streamed: bool = False, windows: bool = False) -> "ArrayParameters":
        """Return the array of ``machine``, with memories of its sizes; with ``layers`` one that runs whole networks, ``streamed`` one
        that reads weights from a stream too; ``windows``: one that runs convolutions.

        Raises :class:`MachineError` for what the RTL does not have: DRAM, queue latencies other than 1 or 2, both the same.
        """
        array, latency = machine.array, machine.array.queue.forward_latency
        rules = (
            (
                "dram",
                machine.dram is None,
                "absent: the RTL has no DRAM channel (machines named *-rtl-* and sparse-up5k have none)",
                "there",
            ),
            ("array.min_column_cycles", array.min_column_cycles == 1, "1 in RTL", array.min_column_cycles),
            ("array.queue.forward_latency", latency in (1, 2), "1 or 2 in RTL", latency),
            (
                "array.queue.return_latency",
                array.queue.return_latency == latency,
                f"{latency}, as forward_latency, in RTL",
                array.queue.return_latency,
            ),
        )
        for path, good, rule, value in rules:
            if not good:
                raise MachineError(path=path, rule=rule, value=value)
        entries_per_row = 1 << ((machine.weights.width_bits // array.entry_bits).bit_length() - 1)
        activations = machine.activations.bytes * 8 * array.pes // array.activation_bits
        pointers = machine.pointers.bytes * 8 // machine.pointers.width_bits
        has_gaps = array.kind in HAS_GAPS
        return cls(
            pes=array.pes,
            kind=array.kind,
            queue_depth=array.queue.depth,
            queue_latency=latency,
            row_width=machine.scan.row_width,
            code_bits=array.code_bits,
            index_bits=array.index_bits,
            weight_bits=array.weight_bits,
            activation_bits=array.activation_bits,
            accumulator_bits=array.accumulator_bits,
            entries_per_row=entries_per_row,
            columns=max(1, min(activations, pointers - 1) if has_gaps else activations),
            local_rows=array.local_rows,
            weight_rows=max(1, machine.weights.bytes * 8 // machine.weights.width_bits),
            pointers=pointers if layers and has_gaps else 0,
            layers=layers,
            streamed=streamed,
            windows=windows,
            activations=activations if windows else 0,
        )

    @property
    def entry(self) -> data.StructLayout:
        """A stored weight: ``code`` is the weight itself (dense), its codebook address (codebook, sparse) or its pulse (pvq); ``gap``,
        where zeros are not stored, the run of zero rows before it.
        """
        gap = {"gap": unsigned(self.index_bits)}
        match self.kind:
            case PEKind.DENSE:
                return data.StructLayout({"code": self.weight})
            case PEKind.CODEBOOK:
                return data.StructLayout({"code": unsigned(self.code_bits)})
            case PEKind.SPARSE:
                return data.StructLayout({"code": unsigned(self.code_bits)} | gap)
            case PEKind.PVQ:
                return data.StructLayout({"code": signed(self.code_bits)} | gap)
            case _:
                assert_never(self.kind)

    @property
    def has_gaps(self) -> bool:
        """Whether zeros are not stored: entries have gaps and columns have pointers."""
        return self.kind in HAS_GAPS

    @property
    def has_scales(self) -> bool:
        """Whether the drain multiplies every sum by its row's scale."""
        return self.kind is PEKind.PVQ

    @property
    def has_cycles(self) -> bool:
        """Whether an entry may take more than one cycle, and a column's pointer says how many it takes."""
        return self.kind is PEKind.PVQ

    @property
    def column_pointer(self) -> data.StructLayout:
        """What is stored for a column: the ``place`` of its first entry and, where an entry may take more than one cycle, the ``cycles``
        of all its entries.
        """
        return data.StructLayout({"place": self.pointer} | ({"cycles": self.column_cycles} if self.has_cycles else {}))

    @property
    def reads_ahead(self) -> bool:
        """Whether pointers are read on the way of an item to its queue, not behind it: where registers stand in front of the queues."""
        return self.has_gaps and self.queue_latency > 1

    @property
    def place_bits(self) -> int:
        """How many low bits of the ends of a column differ: it has at most as many entries as there are local rows."""
        return min(self.pointer.width, self.local_rows.bit_length())

    @property
    def column_cycles(self) -> Shape:
        """The cycles of a column of pulses: at most the largest pulse in every local row."""
        return unsigned((self.local_rows << (self.code_bits - 1)).bit_length())

    @property
    def item(self) -> data.StructLayout:
        """What the scan broadcasts: a column and its activation; where columns have pointers also ``next_pair``, the pair of the pointer
        behind its own, so that no PE has to add.
        """
        next_pair = {"next_pair": self.pair} if self.has_gaps else {}
        return data.StructLayout({"column": self.column, "value": self.activation} | next_pair)

    @property
    def pointer_pairs(self) -> int:
        """Words of each bank of the pointer memory: the pointers of all columns and the end of the last."""
        return -(-(self.pointers or self.columns + 1) // 2)

    @property
    def pair(self) -> Shape:
        """A word of each bank of the pointer memory: pair ``k`` is that of columns ``2 * k`` and ``2 * k + 1``."""
        return Shape.cast(range(self.pointer_pairs))

    @property
    def column(self) -> Shape:
        """A column number, the layer's ``column_base`` included."""
        return unsigned(max(1, ceil_log2(max(self.columns, self.pointers))))

    @property
    def scanned_column(self) -> Shape:
        """A column number of a row that may reach beyond the last column."""
        return unsigned((max(self.columns, self.pointers) + self.row_width).bit_length())

    @property
    def halves(self) -> int:
        """Halves of the activation memory: a layer of a network reads one and writes the other."""
        return 2 if self.layers else 1

    @property
    def has_codebook(self) -> bool:
        """Whether what is stored of a weight is its place in a table."""
        return self.kind in (PEKind.CODEBOOK, PEKind.SPARSE)

    @property
    def activation(self) -> Shape:
        """An input or output activation."""
        return signed(self.activation_bits)

    @property
    def weight(self) -> Shape:
        """A weight at the multiplier, a codebook value."""
        return signed(self.weight_bits)

    @property
    def accumulator(self) -> Shape:
        """A running sum."""
        return signed(self.accumulator_bits)

    @property
    def local_row(self) -> Shape:
        """A local row number."""
        return unsigned(max(1, ceil_log2(self.local_rows)))

    @property
    def lane_bits(self) -> int:
        """Bits of a place within a weight row."""
        return ceil_log2(self.entries_per_row)

    @property
    def pointer(self) -> Shape:
        """A place in the weight memory, or its end."""
        return unsigned((self.weight_rows * self.entries_per_row).bit_length())

    @property
    def activation_rows(self) -> int:
        """Rows of the activation memory."""
        return -(-max(self.columns, self.activations) // self.row_width)

    @property
    def row_address(self) -> Shape:
        """An address of a row of the activation memory."""
        return unsigned(max(1, ceil_log2(self.activation_rows)))

    @property
    def window(self) -> data.StructLayout:
        """How a window moves (:meth:`rtl.windows.WindowJob.fields`): the image's ``height`` and ``width``; rows of the activation memory a
        place; ``taps`` of a line of the window; ``y`` and ``x`` of the first window's corner, negative in the padding; from tap to tap and
        from pixel to pixel steps of coordinates (``step_*``, ``stride_*``) and addresses (``next_*``); ``output_width``, ``pixels``.
        """
        coordinate, size, address = signed(COORDINATE_BITS), unsigned(COORDINATE_BITS - 1), self.row_address
        names = ("height", "width", "taps", "step_y", "step_x", "stride_y", "stride_x", "output_width")
        fields = dict.fromkeys(names, size) | {"y": coordinate, "x": coordinate, "place_rows": range(self.activation_rows + 1)}
        fields |= dict.fromkeys(("first", "next_tap", "next_line", "next_pixel", "next_pixel_line"), address)
        return data.StructLayout(fields | {"pixels": unsigned(2 * COORDINATE_BITS - 2)})

    @property
    def layer(self) -> data.StructLayout:
        """The run-time configuration of a layer, one word of the load bus.

        ``scan_rows``: activation rows; ``columns``: activations; ``drain_rows``: local rows of PE 0; ``full_pes``: PEs that own as many,
        the others one less; ``bias_shift``, ``left``, ``right``: shifts of the drain; ``relu``; ``limit``: larger outputs become it, the
        largest output where the layer has no limit; ``every_column``: scan in dense order, zeros included. Where the layer lies:
        ``column_base``, even: its first pointer, and what its column numbers begin with; ``weight_base``: the place of its first weight
        where there are no pointers, or where streamed weights go; ``row_base``: its first stored bias and scale. ``source``: the half of
        the activation memory that is read; ``store``: outputs are written to the other half. ``window``, where there are windows: how it
        moves; ``scan_rows`` and ``columns`` are then those of one window.
        """
        window = {"window": self.window} if self.windows else {}
        return data.StructLayout(
            {
                "scan_rows": range(self.activation_rows + 1),
                "columns": range(self.activation_rows * self.row_width + 1),
                "drain_rows": range(self.local_rows + 1),
                "full_pes": range(self.pes + 1),
                "bias_shift": range(MAX_BIAS_SHIFT + 1),
                "left": range(MAX_LEFT_SHIFT + 1),
                "right": range(MAX_RIGHT_SHIFT + 1),
                "relu": 1,
                "limit": unsigned(self.activation_bits - 1),
                "every_column": 1,
                "column_base": self.column,
                "weight_base": self.pointer,
                "row_base": self.local_row,
                "source": 1,
                "store": 1,
            }
            | window
        )

    @property
    def descriptor(self) -> data.StructLayout:
        """A layer of a network: its configuration, how many ``outputs`` it has, and whether it is the ``last`` one; on an array that has a
        stream of weights whether its own come from there (``streamed``), to ``weight_base`` of its configuration.
        """
        fields = {"layer": self.layer, "outputs": range(self.columns + 1), "last": 1}
        return data.StructLayout(fields | ({"streamed": 1} if self.streamed else {}))
