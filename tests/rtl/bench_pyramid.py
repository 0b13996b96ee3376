"""Asks whether the pyramid units give the definition's numbers in the cycles that they promise, at any pace.

The vectors come as JSON from the pytest side, with what the definitions make of them.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import Port, begin, cycle, every_pace, generators

DOT_LATENCY, INDEX_LATENCY = 4, 2


def vectors(kind: str) -> dict[str, dict]:
    return json.loads(Path(os.environ["QSIM_CASES"]).read_text())[kind]


@cocotb.test(timeout_time=200, timeout_unit="us")
@every_pace
@cocotb.parametrize(unit=["dot1", "dot4", "dot5"])
async def dot(dut: HierarchyObject, unit: str, idle: bool, pressure: bool) -> None:
    await begin(dut)
    case = vectors("dot")[unit]
    _, driver, monitor = generators(4, idle, pressure)
    sending = cocotb.start_soon(Port(dut, f"{unit}__i").send(case["beats"], driver))
    received, popped = await Port(dut, f"{unit}__o").receive(len(case["outputs"]), monitor)
    _, pushed = await sending
    assert received == case["outputs"]
    if not idle and not pressure:  # every beat back to back
        busy = case["beat_cycles"]
        assert pushed == [pushed[0] + sum(busy[:at]) for at in range(len(busy))]
        assert popped == [pushed[0] + sum(busy[: at + 1]) + DOT_LATENCY for at in case["last_beats"]]


@cocotb.test(timeout_time=200, timeout_unit="us")
@every_pace
@cocotb.parametrize(unit=["index3_2", "index8_6", "index1_3", "index16_9"])
async def index(dut: HierarchyObject, unit: str, idle: bool, pressure: bool) -> None:
    await begin(dut)
    case = vectors("index")[unit]
    _, driver, monitor = generators(5, idle, pressure)
    sending = cocotb.start_soon(Port(dut, f"{unit}__i").send(case["indices"], driver))
    received, popped = await Port(dut, f"{unit}__o").receive(len(case["coordinates"]), monitor)
    _, pushed = await sending
    assert received == case["coordinates"]
    assert not getattr(dut, f"{unit}__error").value
    if not idle and not pressure:
        n, k = case["size"]
        assert pushed == [pushed[0] + at * (n + k) for at in range(len(pushed))]
        # A coordinate is settled after a step for it and one for each unit of magnitude, its own and of those before.
        assert popped == [pushed[0] + INDEX_LATENCY + step for step in case["steps"]]


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(unit=["index3_2", "index8_6", "index16_9"])
async def a_number_that_is_no_point(dut: HierarchyObject, unit: str) -> None:
    await begin(dut)
    case = vectors("index")[unit]
    n, _ = case["size"]
    source, sink = Port(dut, f"{unit}__i"), Port(dut, f"{unit}__o")
    sending = cocotb.start_soon(source.send([case["indices"][0], case["points"]]))
    received, _ = await sink.receive(n)
    assert received == case["coordinates"][:n]
    await sending
    getattr(dut, f"{unit}__o__ready").value = 1
    getattr(dut, f"{unit}__i__valid").value = 1
    for _ in range(40):
        await RisingEdge(dut.clk)
        assert not getattr(dut, f"{unit}__o__valid").value, cycle()
    assert getattr(dut, f"{unit}__error").value
    assert not getattr(dut, f"{unit}__i__ready").value
    getattr(dut, f"{unit}__i__valid").value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    assert not getattr(dut, f"{unit}__error").value
    sending = cocotb.start_soon(source.send(case["indices"][:1]))
    received, _ = await sink.receive(n)
    await sending
    assert received == case["coordinates"][:n]
