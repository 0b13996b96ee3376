"""Runs one input of one layer on a model that dumps the run (:mod:`rtl.bench.probe`).

Cycle 0 begins at a round time, so that a cycle's number can be read off its time. Numpy and cocotb only.

The file named by ``QSIM_VECTORS`` holds ``words`` (bytes [n, width]: the layer, then the input), ``rows`` (drain rows),
``output_bits`` and ``limit`` (clocks after which the layer must be done). The file named by ``QSIM_RESULTS`` gets ``outputs``
[drain rows, PEs], ``cycles``, and ``start``, the time in nanoseconds at which cycle 0 begins.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotb.utils import get_sim_time

from rtl.bench.array_bench import load, run

PERIOD = 10  # nanoseconds a clock
ROUND = 10_000  # nanoseconds


@cocotb.test()
async def one_input(dut: HierarchyObject) -> None:
    """Load, wait for a round time, run."""
    vectors = np.load(os.environ["QSIM_VECTORS"])
    dut.rst.value = 0
    dut.start.value = 0
    dut.load__valid.value = 0
    Clock(dut.clk, PERIOD, "ns").start()
    await RisingEdge(dut.clk)
    await load(dut, vectors["words"])
    # Loading ends at an edge, and ``run`` gives ``start`` in the cycle after one: cycle 0 is the next.
    wait = (ROUND - PERIOD - round(get_sim_time("ns"))) % ROUND // PERIOD
    if wait:
        await ClockCycles(dut.clk, wait)
    start = round(get_sim_time("ns")) + PERIOD
    running = run(dut, int(vectors["rows"]), True, int(vectors["output_bits"]))
    outputs, _, cycles = await with_timeout(running, PERIOD * int(vectors["limit"]), "ns")
    await ClockCycles(dut.clk, 2)
    np.savez(Path(os.environ["QSIM_RESULTS"]), outputs=np.array(outputs, dtype=np.int64), cycles=cycles, start=start)
