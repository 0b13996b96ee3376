"""Runs networks on the observed accelerator and writes down what was to be seen in every cycle.

The file named by ``QSIM_VECTORS`` holds ``networks`` and for network ``k`` ``words_k`` (bytes [n, width]), ``inputs_k`` (bytes
[inputs, rows, width]: the beats of each input) and ``limit_k`` (clocks). The file named by ``QSIM_RESULTS`` gets for input ``i``
``watch_k_i``, ``outputs_k_i`` and ``counters_k_i`` (bytes: a row a cycle, an output beat, a layer) and ``best_k_i``.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from rtl.bench.array_bench import PERIOD, bytes_of, load

TAKEN, OUTPUT, LAYER_DONE, DONE = 1, 2, 4, 8


async def run(dut: HierarchyObject, beats: list[int], limit: int) -> dict[str, np.ndarray]:
    """Send an input and watch until it is done; values read right after an edge are those of the cycle that ends with it."""
    edge, watch, given = RisingEdge(dut.clk), dut.watch, iter(beats[1:])
    seen, outputs, counters = [], [], []
    dut.start.value = 1
    await edge
    dut.start.value = 0
    dut.input__valid.value, dut.input__payload.value = 1, beats[0]
    while True:
        await edge
        now = watch.value.to_unsigned()
        seen.append(now)
        assert len(seen) <= limit, f"not done after {limit} cycles"
        if now & TAKEN:
            beat = next(given, None)
            dut.input__valid.value, dut.input__payload.value = int(beat is not None), beat or 0
        if now & OUTPUT:
            outputs.append(dut.output__payload.value.to_unsigned())
        if now & LAYER_DONE:
            counters.append(dut.counters.value.to_unsigned())
        if now & DONE:
            break
    await edge
    assert dut.error.value.to_unsigned() == 0
    while not dut.ready.value:
        await edge
    return {
        "watch": bytes_of(seen, len(watch)),
        "outputs": bytes_of(outputs, len(dut.output__payload)),
        "counters": bytes_of(counters, len(dut.counters)),
        "best": np.array(dut.best.value.to_unsigned()),
    }


@cocotb.test()
async def every_network(dut: HierarchyObject) -> None:
    """Load each network, then run it on each of its inputs."""
    vectors = np.load(os.environ["QSIM_VECTORS"])
    dut.rst.value, dut.start.value, dut.input__valid.value, dut.load__valid.value, dut.output__ready.value = 0, 0, 0, 0, 1
    Clock(dut.clk, PERIOD, "ns").start()
    await RisingEdge(dut.clk)
    while not dut.ready.value:
        await RisingEdge(dut.clk)
    found: dict[str, np.ndarray] = {}
    for number in range(int(vectors["networks"])):
        await load(dut, vectors[f"words_{number}"])
        for at, rows in enumerate(vectors[f"inputs_{number}"]):
            beats = [int.from_bytes(row.tobytes(), "little") for row in rows]
            for name, values in (await run(dut, beats, int(vectors[f"limit_{number}"]))).items():
                found[f"{name}_{number}_{at}"] = values
    np.savez(Path(os.environ["QSIM_RESULTS"]), **found)
