"""Asks whether the accelerator runs a network whose weights come compressed, refuses damaged streams with the right code, and recovers.

The cases come as JSON: the words of the load bus, rows in and out, and what is sent, when it is stopped and how it must end.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge, with_timeout

from tests.rtl.streams import PERIOD, Port, begin


async def until(dut: HierarchyObject, name: str, limit: int = 20_000) -> None:
    for _ in range(limit):
        await RisingEdge(dut.clk)
        if getattr(dut, name).value:
            return
    raise AssertionError(f"no {name} in {limit} cycles")


async def pulse(dut: HierarchyObject, name: str) -> None:
    getattr(dut, name).value = 1
    await RisingEdge(dut.clk)
    getattr(dut, name).value = 0


async def run(dut: HierarchyObject, vectors: dict, case: dict) -> None:
    """Run once; what is left of a refused packet is taken and dropped, unless the run is aborted."""
    if not dut.ready.value:
        await until(dut, "ready")
    dut.timeout.value = case["timeout"]
    await pulse(dut, "start")
    rows = cocotb.start_soon(Port(dut, "input").send(vectors["rows"]))
    sending = cocotb.start_soon(Port(dut, "weights").send(case["words"]))
    if case["abort"]:
        for _ in range(case["abort"]):
            await RisingEdge(dut.clk)
        assert dut.busy.value
        await pulse(dut, "abort")
        sending.cancel()
        dut.weights__valid.value = 0
    taken = cocotb.start_soon(Port(dut, "output").receive(len(vectors["outputs"])))
    await until(dut, "done")
    layer = dut.layer.value.to_unsigned()
    await RisingEdge(dut.clk)
    assert not dut.busy.value
    assert dut.error.value.to_unsigned() == case["error"], f"error {dut.error.value.to_unsigned()}"
    if not case["abort"]:
        await with_timeout(sending, 5000 * PERIOD, "ns")
    if case["error"]:
        assert layer == case["layer"], f"layer {layer}"
        rows.cancel()
        dut.input__valid.value = 0
        taken.cancel()
        dut.output__ready.value = 0
    else:
        outputs, _ = await taken
        assert outputs == vectors["outputs"], "other outputs"
    if case["reset"]:
        await pulse(dut, "abort")
        await RisingEdge(dut.clk)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def every_case(dut: HierarchyObject) -> None:
    """Behind every case the good one."""
    vectors = json.loads(Path(os.environ["QSIM_CASES"]).read_text())
    for name in ("start", "abort", "timeout", "load__valid", "input__valid", "weights__valid", "output__ready"):
        getattr(dut, name).value = 0
    await begin(dut)
    await until(dut, "ready")
    dut.load__valid.value = 1
    for word in vectors["load"]:
        dut.load__word.value = word
        await RisingEdge(dut.clk)
    dut.load__valid.value = 0
    good = vectors["cases"][0]
    for case in vectors["cases"]:
        for each in (case, good):
            try:
                await run(dut, vectors, each)
            except AssertionError as error:
                raise AssertionError(f"{case['name']}, {each['name']}: {error}") from error
