"""Asks whether every PE gives the sums of the sequential, saturating definition, each column in the cycle of the contract."""

import itertools

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.recurrence_of_pe import columns_of, pe_cycles
from tests.rtl.streams import Port, begin, bench, cycle, generators, layout, load, pack

CODEBOOK, POINTERS, WEIGHTS = 2, 4, 5
PE, PER_ROW, INDEX_BITS, ROWS = 1, 4, 3, 32
CODE_BITS = {"dense": 16, "codebook": 4, "sparse": 4, "pvq": 4}
PIPELINE = {"dense": 6, "codebook": 7, "sparse": 7, "pvq": 8}
DRAIN, ITEMS = 2, 60
EXTREMES = [-(1 << 15), (1 << 15) - 1, 30000, -3, 1]


def join(values: list[int], count: int, bits: int) -> list[int]:
    """Join each ``count`` following values, the first in the low bits."""
    values = [value & ((1 << bits) - 1) for value in values + [0] * (-len(values) % count)]
    return [sum(value << (bits * lane) for lane, value in enumerate(values[at : at + count])) for at in range(0, len(values), count)]


async def load_every_row(dut: HierarchyObject, kind: str, weights: np.ndarray, table: np.ndarray) -> list[int]:
    """Load local ``weights`` [rows, cols] of a PE that stores all of them; return the cycles of each column."""
    rows, cols = weights.shape
    codes = weights if kind == "dense" else np.argmax(table == weights[..., None], axis=-1)
    short = rows % 2  # whether PE 1 is one that has a row less than PE 0
    getattr(dut, f"{kind}__layer").value = pack(f"layer {kind}", drain_rows=rows + short, full_pes=PE + 1 - short)
    await load(dut, kind, WEIGHTS, join(codes.T.ravel().tolist(), PER_ROW, CODE_BITS[kind]), PE)
    return [rows] * cols


async def load_entries(dut: HierarchyObject, kind: str, weights: np.ndarray, table: np.ndarray) -> list[int]:
    """Load local ``weights`` [rows, cols] of a PE that stores those that are not zero; return the cycles of each column."""
    pointers, entries = columns_of(weights, table, INDEX_BITS)
    # Where weights are pulses the table says which: it is not in the PE.
    codes = [int(table[code]) if kind == "pvq" else code for code, _ in entries]
    cost = [max(1, abs(code)) if kind == "pvq" else 1 for code in codes]
    cycles = [max(1, sum(cost[start:end])) for start, end in itertools.pairwise(pointers)]
    places = layout(f"pointer {kind}")
    stored = [[*cycles, 0] if kind == "pvq" else [0] * len(pointers)]
    words = [pointer | count << places["place"][1] for pointer, count in zip(pointers, *stored, strict=True)]
    await load(dut, kind, POINTERS, join(words, 2, sum(width for _, width in places.values())), PE)
    await load(dut, kind, POINTERS, [0x333] * 4, PE - 1)  # words for another PE must not be taken
    bits = CODE_BITS[kind]
    packed = [(code & ((1 << bits) - 1)) | gap << bits for code, (_, gap) in zip(codes, entries, strict=True)]
    await load(dut, kind, WEIGHTS, join(packed, PER_ROW, bits + INDEX_BITS), PE)
    return cycles


async def watch(dut: HierarchyObject, kind: str, count: int) -> tuple[list[int], list[int], int]:
    """Return the cycles of every issue and every leave, and the first cycle of idleness after the last one."""
    issue, leave = [], []
    issues, leaves, idle = (getattr(dut, f"{kind}__{name}") for name in ("issue", "leave", "idle"))
    while True:
        await RisingEdge(dut.clk)
        if issues.value:
            issue.append(cycle())
        if leaves.value:
            leave.append(cycle())
        if len(leave) == count and idle.value:
            return issue, leave, cycle()


async def drain(dut: HierarchyObject, kind: str) -> list[int]:
    """Read and clear all sums, one row a cycle."""
    sums = []
    for moment in range(ROWS + DRAIN):
        getattr(dut, f"{kind}__drain").value = int(moment < ROWS)
        getattr(dut, f"{kind}__drain_row").value = moment % ROWS
        await RisingEdge(dut.clk)
        if moment >= DRAIN:
            sums.append(getattr(dut, f"{kind}__sum").value.to_signed())
    return sums


@bench
@cocotb.parametrize(kind=list(CODE_BITS), idle=[False, True], density=[0.1, 1.0], rows=[1, 2, 3, 4, 32])
async def element(dut: HierarchyObject, kind: str, idle: bool, density: float, rows: int) -> None:
    await begin(dut)
    data, driver, _ = generators(rows, idle, False)
    table = np.r_[0, -8, 7, -3, 2, 1, 1, 1, -1, -1, -1] if kind == "pvq" else np.r_[0, data.choice(EXTREMES, 15)]
    shape = rows, min(40, 120 // rows)
    for _ in range(2):  # the second round finds the sums cleared
        weights = np.where(data.random(shape) < density, data.choice(table[1:], shape), 0)
        store = load_every_row if kind in ("dense", "codebook") else load_entries
        cycles = await store(dut, kind, weights, table)
        if kind in ("codebook", "sparse"):
            await load(dut, kind, CODEBOOK, join(table.tolist(), 1, 16))
        await load(dut, kind, WEIGHTS, [0x5555] * 4, PE + 1)
        columns = data.integers(0, shape[1], ITEMS)  # any column at any time, the same one again too
        activations = np.where(data.random(ITEMS) < 0.5, data.integers(-5, 5, ITEMS), data.choice(EXTREMES[:2], ITEMS))
        bits = layout("item")["column"][1]
        items = [int(column) | (int(value) & 0xFFFF) << bits for column, value in zip(columns, activations, strict=True)]
        if kind in ("sparse", "pvq"):  # whose columns have pointers: which pair the next one's is in
            items = [item | int(column + 1 >> 1) << bits + 16 for item, column in zip(items, columns, strict=True)]
        watching = cocotb.start_soon(watch(dut, kind, len(items)))
        offered, taken = await Port(dut, f"{kind}__i").send(items, driver)
        issue, leave, idle_from = await watching

        assert (taken, issue, leave) == pe_cycles(offered, [cycles[column] for column in columns])
        assert idle_from == leave[-1] + PIPELINE[kind]
        sums = np.zeros(ROWS, dtype=np.int64)
        for column, value in zip(columns, activations, strict=True):
            term = weights[:, column] * value  # adding in steps of the same sign saturates as adding at once
            sums[:rows] = np.clip(sums[:rows] + term, -(1 << 31), (1 << 31) - 1)
        assert await drain(dut, kind) == sums.tolist()
