"""Asks whether the scan offers exactly the non-zero activations, each in the cycle of the contract, and stops with the last row."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import Port, begin, bench, cycle, generators, layout, load, pack, signed

ACTIVATIONS, WIDTH, START_LATENCY = 1, 5, 4


def inputs(data: np.random.Generator, columns: int, density: float) -> np.ndarray:
    values = np.where(data.random(columns) < density, data.integers(-(1 << 15), 1 << 15, columns), 0)
    values[columns // 3 : columns // 2] = 0  # several all-zero rows in a row
    return values


async def last_active(dut: HierarchyObject) -> int:
    while True:
        await RisingEdge(dut.clk)
        if not dut.scan__active.value:
            return cycle() - 1


@bench
@cocotb.parametrize(pressure=[False, True], every_column=[False, True], density=[0.0, 0.1, 0.5, 1.0])
async def scan(dut: HierarchyObject, pressure: bool, every_column: bool, density: float) -> None:
    edge = await begin(dut)
    data, _, monitor = generators(int(density * 10), False, pressure)
    bits = layout("item")["column"][1]
    for columns in (1, 5, 23, 63):
        values = inputs(data, columns, density)
        rows = -(-columns // WIDTH)
        padded = np.r_[values, data.integers(-9, 9, rows * WIDTH - columns)].reshape(
            rows, WIDTH
        )  # what lies behind the last column is noise
        words = [sum((int(value) & 0xFFFF) << (16 * lane) for lane, value in enumerate(row)) for row in padded]
        await load(dut, "scan", ACTIVATIONS, words)
        dut.scan__layer.value = pack("layer", scan_rows=rows, columns=columns, every_column=int(every_column))
        wanted = np.arange(columns) if every_column else np.flatnonzero(values)

        sink = Port(dut, "scan__o")
        dut.scan__start.value = 1
        await edge
        zero = cycle() + 1
        dut.scan__start.value = 0
        receiving = cocotb.start_soon(sink.receive(len(wanted), monitor))
        await edge  # active rises in cycle 0
        ending = cocotb.start_soon(last_active(dut))
        received, taken = await receiving
        end = await ending

        assert [item & ((1 << bits) - 1) for item in received] == wanted.tolist()
        assert [signed(item >> bits, 16) for item in received] == values[wanted].tolist()
        row, moment = -1, zero + START_LATENCY - 1
        for column, when in zip(wanted, taken, strict=True):
            moment = sink.first_ready(moment + 1 + max(0, column // WIDTH - row - 1))
            row = column // WIDTH
            assert when == moment, f"column {column}"
        assert end == moment + rows - 1 - row
