"""Asks whether the codebook gives the loaded value for every code, one a cycle, in order, after one cycle."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import Port, begin, bench, every_pace, generators, signed

LATENCY = 1


async def write(dut: HierarchyObject, table: np.ndarray) -> None:
    dut.lookup__write__en.value = 1
    for address, value in enumerate(table):
        dut.lookup__write__addr.value = address
        dut.lookup__write__data.value = int(value)
        await RisingEdge(dut.clk)
    dut.lookup__write__en.value = 0


@bench
@every_pace
async def codebook(dut: HierarchyObject, idle: bool, pressure: bool) -> None:
    await begin(dut)
    data, driver, monitor = generators(3, idle, pressure)
    for _ in range(2):  # the second table replaces the first
        table = data.integers(-(1 << 15), 1 << 15, 16)
        await write(dut, table)
        codes, tags = data.integers(0, 16, 200), data.integers(0, 256, 200)
        sink = Port(dut, "lookup__o")
        sending = cocotb.start_soon(Port(dut, "lookup__i").send((codes | tags << 4).tolist(), driver))
        received, popped = await sink.receive(len(codes), monitor)
        _, pushed = await sending
        assert [signed(item & 0xFFFF, 16) for item in received] == table[codes].tolist()
        assert [item >> 16 for item in received] == tags.tolist()
        for n in range(len(codes)):
            assert popped[n] == sink.first_ready(max(pushed[n] + LATENCY, popped[n - 1] + 1 if n else 0))
