"""What the array is built for: widths that are fixed in hardware, and the largest layer its memories and counters hold."""

from dataclasses import dataclass

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from qsim.arch.architecture import Architecture, PEKind
from qsim.errors import MachineError

MAX_BIAS_SHIFT = 31
MAX_RIGHT_SHIFT = 63
MAX_LEFT_SHIFT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayParameters:
    """Widths and maxima of one built array; a layer's own sizes and shifts are run-time configuration.

    ``row_width``: activations scanned together; ``entries_per_row``: entries in a row of the weight memory (a power of two);
    ``columns``, ``local_rows``, ``weight_rows``: the most that fit. ``bias_bits``: width of a stored bias.
    """

    pes: int
    queue_depth: int = 8
    row_width: int = 4
    code_bits: int = 4
    index_bits: int = 4
    weight_bits: int = 16
    activation_bits: int = 16
    accumulator_bits: int = 32
    bias_bits: int = 32
    entries_per_row: int = 8
    columns: int = 1024
    local_rows: int = 512
    weight_rows: int = 4096

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 1:
                raise MachineError(path=f"parameters.{name}", rule="at least 1", value=getattr(self, name))
        if self.entries_per_row & (self.entries_per_row - 1):
            raise MachineError(path="parameters.entries_per_row", rule="a power of two", value=self.entries_per_row)

    @classmethod
    def of(cls, machine: Architecture) -> "ArrayParameters":
        """Return the array of ``machine``, with memories of its sizes.

        Raises :class:`MachineError` for what the RTL does not have: another PE, DRAM, queue latencies other than 1.
        """
        array = machine.array
        rules = (
            ("array.kind", array.kind is PEKind.SPARSE, "sparse, the PE that has RTL", str(array.kind)),
            ("dram", machine.dram is None, "absent: the RTL holds all weights on chip", "a DRAM channel"),
            ("array.min_column_cycles", array.min_column_cycles == 1, "1 in RTL", array.min_column_cycles),
            ("array.queue.forward_latency", array.queue.forward_latency == 1, "1 in RTL", array.queue.forward_latency),
            ("array.queue.return_latency", array.queue.return_latency == 1, "1 in RTL", array.queue.return_latency),
        )
        for path, good, rule, value in rules:
            if not good:
                raise MachineError(path=path, rule=rule, value=value)
        entries_per_row = 1 << ((machine.weights.width_bits // array.entry_bits).bit_length() - 1)
        activations = machine.activations.bytes * 8 * array.pes // array.activation_bits
        pointers = machine.pointers.bytes * 8 // machine.pointers.width_bits
        return cls(
            pes=array.pes,
            queue_depth=array.queue.depth,
            row_width=machine.scan.row_width,
            code_bits=array.code_bits,
            index_bits=array.index_bits,
            weight_bits=array.weight_bits,
            activation_bits=array.activation_bits,
            accumulator_bits=array.accumulator_bits,
            entries_per_row=entries_per_row,
            columns=max(1, min(activations, pointers - 1)),
            local_rows=array.local_rows,
            weight_rows=max(1, machine.weights.bytes * 8 // machine.weights.width_bits),
        )

    @property
    def entry(self) -> data.StructLayout:
        """A stored weight: codebook address and run of zero rows before it."""
        return data.StructLayout({"code": unsigned(self.code_bits), "gap": unsigned(self.index_bits)})

    @property
    def item(self) -> data.StructLayout:
        """What the scan broadcasts: a column and its activation."""
        return data.StructLayout({"column": self.column, "value": self.activation})

    @property
    def column(self) -> Shape:
        """A column number."""
        return unsigned(max(1, ceil_log2(self.columns)))

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
        return -(-self.columns // self.row_width)

    @property
    def layer(self) -> data.StructLayout:
        """The run-time configuration of a layer, one word of the load bus.

        ``scan_rows``: activation rows; ``columns``: activations; ``drain_rows``: local rows; ``bias_shift``, ``left``, ``right``: shifts
        of the drain; ``relu``; ``every_column``: scan in dense order, zeros included.
        """
        return data.StructLayout(
            {
                "scan_rows": range(self.activation_rows + 1),
                "columns": range(self.activation_rows * self.row_width + 1),
                "drain_rows": range(self.local_rows + 1),
                "bias_shift": range(MAX_BIAS_SHIFT + 1),
                "left": range(MAX_LEFT_SHIFT + 1),
                "right": range(MAX_RIGHT_SHIFT + 1),
                "relu": 1,
                "every_column": 1,
            }
        )
