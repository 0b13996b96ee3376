"""Asks whether the drain lane gives the requantisation formula for every shift, sign and magnitude, one a cycle after its latency."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import begin, bench, generators, load, pack

BIAS, PE, ROWS = 3, 1, 32
SUM_DELAY, LATENCY = 2, 7


def formula(total: int, shift: int, relu: bool) -> int:
    """Round half up, saturate to 16 bits, ReLU; Python integers have no overflow."""
    value = (total + (1 << shift >> 1)) >> shift if shift >= 0 else total << -shift
    value = max(-(1 << 15), min((1 << 15) - 1, value))
    return max(0, value) if relu else value


@bench
@cocotb.parametrize(shift=[-15, -1, 0, 1, 2, 13, 20, 31, 47, 63], bias_shift=[0, 1, 12, 31], relu=[False, True])
async def lane(dut: HierarchyObject, shift: int, bias_shift: int, relu: bool) -> None:
    await begin(dut)
    data, _, _ = generators(shift + 100, False, False)
    sums = np.r_[[-(1 << 31), (1 << 31) - 1, 0, -1, 1], data.integers(-(1 << 31), 1 << 31, 9), data.integers(-(1 << 17), 1 << 17, 18)]
    halves = (1 << max(0, shift - 1)) * np.r_[-3, -1, 1, 3, 0] if 0 < shift < 30 else np.zeros(5, dtype=np.int64)
    sums[5:10] = halves - np.r_[0, 0, 0, 0, 1]  # exactly between two outputs
    biases = np.where(np.arange(ROWS) % 3 == 0, 0, data.integers(-(1 << 31), 1 << 31, ROWS))
    biases[0], biases[1] = -(1 << 31), (1 << 31) - 1
    await load(dut, "lane", BIAS, [int(value) & 0xFFFFFFFF for value in biases], PE)
    await load(dut, "lane", BIAS, [77] * ROWS, PE + 1)
    dut.lane__layer.value = pack("layer", bias_shift=bias_shift, left=max(0, -shift), right=max(0, shift), relu=int(relu))
    found = []
    for moment in range(ROWS + LATENCY):
        dut.lane__row.value = moment % ROWS
        if moment >= SUM_DELAY:
            dut.lane__sum.value = int(sums[(moment - SUM_DELAY) % ROWS])
        await RisingEdge(dut.clk)
        if moment >= LATENCY:
            found.append(dut.lane__output.value.to_signed())
    assert found == [formula(int(value) + (int(bias) << bias_shift), shift, relu) for value, bias in zip(sums, biases, strict=True)]
