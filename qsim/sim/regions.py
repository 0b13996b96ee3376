"""Where a layer's activations lie in DRAM, each region from the start of a DRAM row; activations channels last, not padded."""

import numpy as np

from qsim.formats.fixed import IntArray
from qsim.sim.convolution import LoweredConvolution, Pass
from qsim.units import BITS_PER_BYTE


class Regions:
    """The addresses of a layer's input, operand and output behind its weights, and how many bytes of each were moved so far."""

    def __init__(self, layer: LoweredConvolution) -> None:
        self.layer = layer
        self.bits = layer.machine.array.activation_bits
        dram = layer.machine.dram
        align = dram.row_bytes if dram is not None else 1
        burst = dram.burst_bytes if dram is not None else 1
        loads = [part.block.load for part in layer.passes for _ in range(part.repeats)]
        weights = sum(int((-(-load.size // burst) * burst).sum()) for load in loads if load is not None)
        self.input_at = -(-weights // align) * align
        self.operand_at = -(-(self.input_at + self._bytes(layer.geometry.inputs)) // align) * align
        operand = self._bytes(layer.operand.elements) if layer.operand is not None else 0
        self.output_at = -(-(self.operand_at + operand) // align) * align
        self.written = self.group = self.stored = 0
        self.bytes = {"input": 0, "operand": 0, "output": 0}

    def _bytes(self, elements: int) -> int:
        return int(_bytes_of(np.array(elements), self.bits))

    def input(self, first: int, last: int) -> tuple[int, int]:
        """Return address and bytes of the input rows ``first`` to ``last``, exclusive."""
        geometry = self.layer.geometry
        size = self._bytes(max(0, last - first) * geometry.width * geometry.channels)
        self.bytes["input"] += size
        return self.input_at + self._bytes(first * geometry.width * geometry.channels), size

    def operand(self, elements: int) -> tuple[int, int]:
        """Return address and bytes of the next ``elements`` of the operand that is stored."""
        first, self.stored = self.stored, self.stored + elements
        self.bytes["operand"] += self._bytes(elements)
        return self.operand_at + self._bytes(first), self._bytes(elements)

    def output(self, first: int, elements: int) -> tuple[int, int]:
        """Return address and bytes of ``elements`` outputs from the ``first`` on."""
        self.bytes["output"] += self._bytes(elements)
        return self.output_at + self._bytes(first), self._bytes(elements)

    def input_rows(self) -> IntArray:
        """Return address and bytes [2, rows] of what each output row needs that no row before it did; of groups run one by one its own.

        The last row brings what is left, so that each pass reads every row of the input once.
        """
        geometry = self.layer.geometry
        one_by_one = self.layer.passes[0].group is not None
        line = geometry.width * (geometry.group_channels if one_by_one else geometry.channels)
        reach = geometry.dilation[0] * (geometry.kernel[0] - 1) - geometry.padding[0] + 1
        last = np.clip(np.arange(geometry.output_height) * geometry.stride[0] + reach, 0, geometry.height)
        last[-1] = geometry.height
        first = np.concatenate([np.zeros(1, dtype=np.int64), last[:-1]])
        start = (first + self.group * geometry.height if one_by_one else first) * line
        found = np.stack([self.input_at + _bytes_of(start, self.bits), _bytes_of((last - first) * line, self.bits)])
        self.bytes["input"] += int(found[1].sum())
        return found

    def output_rows(self, part: Pass) -> IntArray:
        """Return address and bytes [2, rows] of what is stored when a pass has done each output row: pass by pass, row by row."""
        layer = self.layer
        whole = layer.stored * part.block.rows // layer.out_channels
        ends = whole * np.arange(layer.geometry.output_height + 1) // layer.geometry.output_height
        found = np.stack([self.output_at + _bytes_of(self.written + ends[:-1], self.bits), _bytes_of(np.diff(ends), self.bits)])
        self.written += whole
        self.bytes["output"] += int(found[1].sum())
        return found

    def moved(self, what: str) -> int:
        """Return the bytes moved."""
        return self.bytes[what]


def _bytes_of(elements: IntArray, bits: int) -> IntArray:
    size: IntArray = -(-elements * bits // BITS_PER_BYTE)
    return size
