"""Loads a network and has every input of a file run through it.

Driver: the words of the load bus, then ``go``. The model makes its own clock, reads its inputs and writes its results
(:mod:`rtl.bench.clocked`), so no Python runs until all inputs have; the comparison is made by whoever wrote the files. Numpy and cocotb
only.

The file named by ``QSIM_VECTORS`` holds ``words`` (bytes [n, width]), ``runs`` (inputs), ``limit`` (clocks after which a run must be done)
and, for a model that streams weights, ``weights`` (its words). The file named by ``QSIM_CLOCKS`` gets the clocks of the whole simulation.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge, with_timeout
from cocotb.utils import get_sim_time

from rtl.bench.array_bench import PERIOD, load


async def _write(dut: HierarchyObject, words: npt.NDArray[np.uint64]) -> None:
    """Write the words of the stream of weights, one a clock."""
    dut.write__en.value = 1
    for word in words.tolist():
        dut.write__word.value = word
        await RisingEdge(dut.clk)
    dut.write__en.value = 0


@cocotb.test()
async def every_input(dut: HierarchyObject) -> None:
    """Load the network once, then run it on each input."""
    vectors = np.load(os.environ["QSIM_VECTORS"])
    dut.go.value = 0
    dut.load__valid.value = 0
    dut.runs.value = int(vectors["runs"])
    dut.limit.value = int(vectors["limit"])
    if "weights" in vectors:
        dut.write__en.value = 0
    await RisingEdge(dut.clk)
    if not dut.ready.value:
        await with_timeout(RisingEdge(dut.ready), PERIOD * int(vectors["limit"]), "ns")
    await load(dut, vectors["words"])
    if "weights" in vectors:
        await _write(dut, vectors["weights"])
    dut.go.value = 1
    await RisingEdge(dut.clk)
    dut.go.value = 0
    await RisingEdge(dut.finished)
    Path(os.environ["QSIM_CLOCKS"]).write_text(str(int(get_sim_time("ns") / PERIOD)))
