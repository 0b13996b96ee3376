"""Runs every job of a vector file on the array and writes down outputs and cycles.

Driver: words of the load bus, one a clock, then ``start``. Monitor: samples the event flags and the result once a clock
from cycle 0 on (or, without records, sleeps until the first result). The comparison is made by whoever wrote the vectors.
Numpy and cocotb only.

The file named by ``QSIM_VECTORS`` holds ``jobs``, ``record`` (bool) and ``output_bits``, and for job ``k`` ``words_k`` (bytes
[n, width], the layer's words), ``inputs_k`` (bytes [inputs, n, width], the words of each input), ``rows_k`` (drain rows) and
``limit_k`` (clocks after which the layer must be done).
The file named by ``QSIM_RESULTS`` gets ``results_k`` [inputs, drain rows, PEs], ``cycles_k`` [inputs] and, when recording,
``flags_k_i``: the event flags of input ``i`` in every cycle, as bytes [cycles, n], lowest first.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

PERIOD = 2  # nanoseconds a clock
RESULT = 0b10  # of the event flags: a row of outputs is there
Bytes = npt.NDArray[np.uint8]


async def load(dut: HierarchyObject, words: Bytes) -> None:
    """Write ``words`` [n, width], one a clock."""
    edge = RisingEdge(dut.clk)
    word = dut.load__word
    dut.load__valid.value = 1
    for row in words:
        word.value = int.from_bytes(row.tobytes(), "little")
        await edge
    dut.load__valid.value = 0
    await ClockCycles(dut.clk, 3)


def bytes_of(values: list[int], bits: int) -> Bytes:
    """Return ``values`` of ``bits`` bits as rows of bytes, the lowest first."""
    width = -(-bits // 8)
    return np.frombuffer(b"".join(value.to_bytes(width, "little") for value in values), dtype=np.uint8).reshape(-1, width)


def _signed(flat: int, pes: int, bits: int) -> list[int]:
    half, span = 1 << (bits - 1), 1 << bits
    return [((flat >> (bits * pe)) + half) % span - half for pe in range(pes)]


async def run(dut: HierarchyObject, rows: int, record: bool, bits: int) -> tuple[list[list[int]], list[int], int]:
    """Start the layer; return its outputs [rows, PEs], the event flags of every cycle, and the number of cycles."""
    edge = RisingEdge(dut.clk)
    pes = len(dut.result__values) // bits
    flags: list[int] = []
    results: list[list[int]] = []
    events, values = dut.events, dut.result__values
    dut.start.value = 1
    await edge
    dut.start.value = 0
    if not record:
        await RisingEdge(dut.result__valid)
    # Values read right after an edge are those of the cycle that ends with it. One read a clock: it is most of the time.
    while len(results) < rows:
        await edge
        happened = events.value.to_unsigned()
        flags.append(happened)
        if happened & RESULT:
            results.append(_signed(values.value.to_unsigned(), pes, bits))
    await edge
    if dut.busy.value:
        raise AssertionError("busy after the last result")
    return results, flags, dut.cycles.value.to_unsigned()


@cocotb.test()
async def every_job(dut: HierarchyObject) -> None:
    """Load, start and record each input of each job."""
    vectors = np.load(os.environ["QSIM_VECTORS"])
    record, bits = bool(vectors["record"]), int(vectors["output_bits"])
    dut.rst.value = 0
    dut.start.value = 0
    dut.load__valid.value = 0
    Clock(dut.clk, PERIOD, "ns").start()
    await RisingEdge(dut.clk)
    found: dict[str, npt.NDArray[np.generic]] = {}
    for job in range(int(vectors["jobs"])):
        await load(dut, vectors[f"words_{job}"])
        results, cycles = [], []
        for number, words in enumerate(vectors[f"inputs_{job}"]):
            await load(dut, words)
            running = run(dut, int(vectors[f"rows_{job}"]), record, bits)
            outputs, flags, count = await with_timeout(running, PERIOD * int(vectors[f"limit_{job}"]), "ns")
            results.append(outputs)
            cycles.append(count)
            if record:
                found[f"flags_{job}_{number}"] = bytes_of(flags, len(dut.events))
        found[f"results_{job}"] = np.array(results, dtype=np.int64)
        found[f"cycles_{job}"] = np.array(cycles, dtype=np.int64)
    np.savez(Path(os.environ["QSIM_RESULTS"]), **found)
