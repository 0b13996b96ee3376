"""Asks whether the drain lane gives the requantisation formula for every shift, sign and magnitude, one a cycle after its latency."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import begin, bench, generators, load, pack

BIAS, SCALE, PE, ROWS = 3, 6, 1, 32
SUM_DELAY, LATENCY = 2, {"lane": 7, "scaled_lane": 9}


def formula(total: int, shift: int, relu: bool, limit: int) -> int:
    """Round half up, saturate to 16 bits, ReLU, limit; Python integers have no overflow."""
    value = (total + (1 << shift >> 1)) >> shift if shift >= 0 else total << -shift
    value = max(-(1 << 15), min((1 << 15) - 1, value))
    return min(limit, max(0, value) if relu else value)


@bench
@cocotb.parametrize(
    unit=["lane", "scaled_lane"],
    shift=[-15, -1, 0, 1, 2, 13, 20, 31, 47, 63],
    bias_shift=[0, 1, 12, 31],
    relu=[False, True],
    limit=[32767, 6000],
)
async def lane(dut: HierarchyObject, unit: str, shift: int, bias_shift: int, relu: bool, limit: int) -> None:
    await begin(dut)
    data, _, _ = generators(shift + 100, False, False)
    sums = np.r_[[-(1 << 31), (1 << 31) - 1, 0, -1, 1], data.integers(-(1 << 31), 1 << 31, 9), data.integers(-(1 << 17), 1 << 17, 18)]
    halves = (1 << max(0, shift - 1)) * np.r_[-3, -1, 1, 3, 0] if 0 < shift < 30 else np.zeros(5, dtype=np.int64)
    sums[5:10] = halves - np.r_[0, 0, 0, 0, 1]  # exactly between two outputs
    biases = np.where(np.arange(ROWS) % 3 == 0, 0, data.integers(-(1 << 31), 1 << 31, ROWS))
    biases[0], biases[1] = -(1 << 31), (1 << 31) - 1
    await load(dut, unit, BIAS, [int(value) & 0xFFFFFFFF for value in biases], PE)
    await load(dut, unit, BIAS, [77] * ROWS, PE + 1)
    scales = np.ones(ROWS, dtype=np.int64)
    if unit == "scaled_lane":
        scales = np.r_[0xFFFF, 0xFFFF, 0xFFFF, 0, 1, scales[:9], data.integers(0, 1 << 16, ROWS - 14)]
        await load(dut, unit, SCALE, scales.tolist(), PE)
        await load(dut, unit, SCALE, [99] * ROWS, PE - 1)
    layer, row, given, output = (getattr(dut, f"{unit}__{name}") for name in ("layer", "row", "sum", "output"))
    layer.value = pack("layer", bias_shift=bias_shift, left=max(0, -shift), right=max(0, shift), relu=int(relu), limit=limit)
    found = []
    for moment in range(ROWS + LATENCY[unit]):
        row.value = moment % ROWS
        if moment >= SUM_DELAY:
            given.value = int(sums[(moment - SUM_DELAY) % ROWS])
        await RisingEdge(dut.clk)
        if moment >= LATENCY[unit]:
            found.append(output.value.to_signed())
    totals = [int(value) * int(scale) + (int(bias) << bias_shift) for value, scale, bias in zip(sums, scales, biases, strict=True)]
    assert found == [formula(total, shift, relu, limit) for total in totals]
