"""Asks whether packets fill the memories as the case says, and whether damaged ones end, within the memories, and leave nothing behind.

The cases come as JSON: packets as the port takes them, and what software makes of each: the words, or that it must be refused.
"""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge, with_timeout

from tests.rtl.bench_loader import cases, check
from tests.rtl.streams import PERIOD, Port, begin, cycle, layout


async def start(dut: HierarchyObject, case: dict) -> None:
    unit = case["unit"]
    for name, value in case["layer"].items():
        getattr(dut, f"{unit}__{name}").value = value
    getattr(dut, f"{unit}__control__start").value = 1
    await RisingEdge(dut.clk)
    getattr(dut, f"{unit}__control__start").value = 0
    await RisingEdge(dut.clk)


async def capture(dut: HierarchyObject, unit: str, limit: int) -> list[list[int]]:
    """Return the words on the load bus until the packet is done, at most ``limit`` cycles."""
    valid, word, done = (getattr(dut, f"{unit}__{name}") for name in ("load__valid", "load__word", "control__done"))
    places, found = layout(f"load {unit.removesuffix('_port')}"), []
    for _ in range(limit):
        if valid.value:
            bits = word.value.to_unsigned()
            found.append(
                [bits >> offset & ((1 << width) - 1) for offset, width in (places[name] for name in ("unit", "pe", "address", "data"))]
            )
        if done.value:
            return found
        await RisingEdge(dut.clk)
    raise AssertionError(f"not done after {limit} cycles")


async def run(dut: HierarchyObject, case: dict, rng: np.random.Generator | None) -> None:
    begun = cycle()
    await start(dut, case)
    sending = cocotb.start_soon(Port(dut, f"{case['unit']}__i").send(case["packet"], rng))
    words = await capture(dut, case["unit"], 2000 + 2 * case["cycles"] + 8 * len(case["packet"]))
    took = cycle() - begun
    check(dut, case, words, "control__error", must_fail=case["errors"] is not None)
    if case["words"] is not None and rng is None:
        assert took <= case["cycles"], f"slower than promised: {took} of {case['cycles']}"
    await with_timeout(sending, 10 * PERIOD * (len(case["packet"]) + 100), "ns")  # what is left is dropped


@cocotb.test(timeout_time=40, timeout_unit="ms")
@cocotb.parametrize(idle=[False, True])
async def packets(dut: HierarchyObject, idle: bool) -> None:
    await begin(dut)
    rng = np.random.default_rng(3) if idle else None
    for number, case in enumerate(cases()):
        try:
            await run(dut, case, rng)
        except AssertionError as error:
            raise AssertionError(f"{number}, {case['unit']}, {case['name']}: {error}") from error


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def a_stop_leaves_nothing(dut: HierarchyObject) -> None:
    """Stopped in any phase, the port drops what is left of the packet and takes the next one."""
    await begin(dut)
    case = max((case for case in cases() if case["words"] is not None), key=lambda case: len(case["packet"]))
    stop = getattr(dut, f"{case['unit']}__control__stop")
    for moment in (0, 1, 3, 5, 12, 30, 60, 100, case["cycles"] // 2):
        await start(dut, case)
        sending = cocotb.start_soon(Port(dut, f"{case['unit']}__i").send(case["packet"]))
        for _ in range(moment + 1):
            await RisingEdge(dut.clk)
        stop.value = 1
        await RisingEdge(dut.clk)
        stop.value = 0
        await with_timeout(sending, 10 * PERIOD * (len(case["packet"]) + 100), "ns")
        await run(dut, case, None)
