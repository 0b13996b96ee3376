"""Asks whether the sparse PE gives the sums of the sequential, saturating definition, each column in the cycle of the contract."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.recurrence_of_pe import columns_of, pe_cycles
from tests.rtl.streams import Port, begin, bench, cycle, generators, layout, load

CODEBOOK, POINTERS, WEIGHTS = 2, 4, 5
PE, PER_ROW, CODE_BITS, INDEX_BITS, ROWS = 1, 4, 4, 3, 32
PIPELINE, DRAIN = 7, 2


async def load_columns(dut: HierarchyObject, table: np.ndarray, pointers: list[int], entries: list[tuple[int, int]]) -> None:
    codes = [code | gap << CODE_BITS for code, gap in entries]
    codes += [0] * (-len(codes) % PER_ROW)
    bits = CODE_BITS + INDEX_BITS
    rows = [sum(code << (bits * lane) for lane, code in enumerate(codes[at : at + PER_ROW])) for at in range(0, len(codes), PER_ROW)]
    width = layout("segment")["end"][1]
    pointers = pointers + [0] * (len(pointers) % 2)
    await load(dut, "sparse", CODEBOOK, [int(value) & 0xFFFF for value in table])
    await load(dut, "sparse", WEIGHTS, rows, PE)
    await load(dut, "sparse", POINTERS, [even | odd << width for even, odd in zip(pointers[::2], pointers[1::2], strict=True)], PE)
    # Words for another PE must not be taken.
    await load(dut, "sparse", WEIGHTS, [0x5555] * 4, PE + 1)
    await load(dut, "sparse", POINTERS, [0x333] * 4, PE - 1)


async def watch(dut: HierarchyObject, count: int) -> tuple[list[int], list[int], int]:
    """Return the cycles of every issue and every leave, and the first cycle of idleness after the last one."""
    issue, leave = [], []
    while True:
        await RisingEdge(dut.clk)
        if dut.sparse__issue.value:
            issue.append(cycle())
        if dut.sparse__leave.value:
            leave.append(cycle())
        if len(leave) == count and dut.sparse__idle.value:
            return issue, leave, cycle()


async def drain(dut: HierarchyObject) -> list[int]:
    """Read and clear all sums, one row a cycle."""
    sums = []
    for moment in range(ROWS + DRAIN):
        dut.sparse__drain.value = int(moment < ROWS)
        dut.sparse__drain_row.value = moment % ROWS
        await RisingEdge(dut.clk)
        if moment >= DRAIN:
            sums.append(dut.sparse__sum.value.to_signed())
    return sums


@bench
@cocotb.parametrize(idle=[False, True], density=[0.03, 0.3, 1.0], rows=[1, 2, 3, 4, 32])
async def sparse(dut: HierarchyObject, idle: bool, density: float, rows: int) -> None:
    await begin(dut)
    data, driver, _ = generators(rows, idle, False)
    table = np.r_[0, data.choice([-(1 << 15), (1 << 15) - 1, 30000, -3, 1], 15)]
    for _ in range(2):  # the second round finds the sums cleared
        weights = np.where(data.random((rows, min(40, 400 // rows))) < density, data.choice(table[1:], (rows, min(40, 400 // rows))), 0)
        pointers, entries = columns_of(weights, table, INDEX_BITS)
        await load_columns(dut, table, pointers, entries)
        columns = data.integers(0, weights.shape[1], 150)  # any column at any time, the same one again too
        activations = np.where(data.random(150) < 0.5, data.integers(-5, 5, 150), data.choice([-(1 << 15), (1 << 15) - 1], 150))
        bits = layout("item")["column"][1]
        items = [int(column) | (int(value) & 0xFFFF) << bits for column, value in zip(columns, activations, strict=True)]
        watching = cocotb.start_soon(watch(dut, len(items)))
        offered, taken = await Port(dut, "sparse__i").send(items, driver)
        issue, leave, idle_from = await watching

        want = pe_cycles(offered, [max(1, pointers[column + 1] - pointers[column]) for column in columns])
        assert (taken, issue, leave) == want
        assert idle_from == leave[-1] + PIPELINE + 1
        sums = np.zeros(ROWS, dtype=np.int64)
        for column, value in zip(columns, activations, strict=True):
            sums[:rows] = np.clip(sums[:rows] + weights[:, column] * value, -(1 << 31), (1 << 31) - 1)
        assert await drain(dut) == sums.tolist()
