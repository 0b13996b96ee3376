"""Runs every input of a vector file through a whole network on the accelerator and writes down outputs and counters.

Driver: the words of the load bus, then for each input one wide write and ``go``. Monitor: one wide read when the run has finished. The
comparison is made by whoever wrote the vectors. The model makes its own clock. Numpy and cocotb only.

The file named by ``QSIM_VECTORS`` holds ``words`` (bytes [n, width]), ``inputs`` (bytes [inputs, width]: all activation rows of an
input) and ``limit`` (clocks after which a run must be done). The file named by ``QSIM_RESULTS`` gets, a row for each input,
``outputs`` and ``snapshots`` (bytes), ``error`` and ``best``, and ``clocks``, those of the whole simulation.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.handle import HierarchyObject, LogicArrayObject
from cocotb.triggers import RisingEdge, with_timeout
from cocotb.utils import get_sim_time

from rtl.bench.array_bench import PERIOD, load


def _bytes(handle: LogicArrayObject) -> npt.NDArray[np.uint8]:
    width = -(-len(handle) // 8)
    return np.frombuffer(handle.value.to_unsigned().to_bytes(width, "little"), dtype=np.uint8)


@cocotb.test()
async def every_input(dut: HierarchyObject) -> None:
    """Load the network once, then run it on each input."""
    vectors = np.load(os.environ["QSIM_VECTORS"])
    limit = PERIOD * int(vectors["limit"])
    dut.go.value = 0
    dut.load__valid.value = 0
    await RisingEdge(dut.clk)
    if not dut.ready.value:
        await with_timeout(RisingEdge(dut.ready), limit, "ns")
    await load(dut, vectors["words"])
    outputs, snapshots, errors, best = [], [], [], []
    for given in vectors["inputs"]:
        dut.picture.value = int.from_bytes(given.tobytes(), "little")
        dut.go.value = 1
        await RisingEdge(dut.clk)
        dut.go.value = 0
        await with_timeout(RisingEdge(dut.finished), limit, "ns")
        outputs.append(_bytes(dut.outputs))
        snapshots.append(_bytes(dut.snapshots))
        errors.append(dut.error.value.to_unsigned())
        best.append(dut.best.value.to_unsigned())
        await RisingEdge(dut.clk)
        if not dut.ready.value:
            await with_timeout(RisingEdge(dut.ready), limit, "ns")
    np.savez(
        Path(os.environ["QSIM_RESULTS"]),
        outputs=np.stack(outputs),
        snapshots=np.stack(snapshots),
        error=np.array(errors),
        best=np.array(best),
        clocks=get_sim_time("ns") / PERIOD,
    )
