"""Asks whether the words on the load bus fill the memories as the case says, once each, whatever the pace of the streams.

The cases come as JSON: what the streamer is given, and what software makes of it: the words, or that it must be refused.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import Port, begin, cycle, layout, pack


def cases() -> list[dict]:
    return json.loads(Path(os.environ["QSIM_CASES"]).read_text())


async def load_tables(dut: HierarchyObject, case: dict) -> None:
    for kind in ("code", "gap"):
        prefix, tables = f"{case['unit']}__{kind}", case[f"{kind}s"]
        writes = [("lengths", word) for word in tables["lengths"]]
        writes += [("symbols", {"addr": address, "data": symbol}) for address, symbol in enumerate(tables["symbols"])]
        for port, word in writes:
            getattr(dut, f"{prefix}_{port}__en").value = 1
            for name, value in word.items():
                getattr(dut, f"{prefix}_{port}__{name}").value = value
            await RisingEdge(dut.clk)
            getattr(dut, f"{prefix}_{port}__en").value = 0


async def start(dut: HierarchyObject, case: dict) -> None:
    unit = case["unit"]
    getattr(dut, f"{unit}__start__layer").value = pack(f"layer {unit}", **case["layer"])
    for kind in ("code", "gap"):
        getattr(dut, f"{unit}__start__{kind}_bits_total").value = case[f"{kind}s"]["bits"]
    getattr(dut, f"{unit}__start__en").value = 1
    await RisingEdge(dut.clk)
    getattr(dut, f"{unit}__start__en").value = 0


async def capture(dut: HierarchyObject, unit: str, limit: int) -> list[list[int]]:
    """Return the words on the load bus until nothing is busy, at most ``limit`` cycles."""
    valid, word, busy, done = (getattr(dut, f"{unit}__{name}") for name in ("load__valid", "load__word", "busy", "done"))
    places, found = layout(f"load {unit}"), []
    await RisingEdge(dut.clk)
    for _ in range(limit):
        if valid.value:
            assert not done.value, "a word behind the end"
            bits = word.value.to_unsigned()
            found.append(
                [bits >> offset & ((1 << width) - 1) for offset, width in (places[name] for name in ("unit", "pe", "address", "data"))]
            )
        if not busy.value:
            assert done.value
            return found
        await RisingEdge(dut.clk)
    raise AssertionError(f"still busy after {limit} cycles")


def check(dut: HierarchyObject, case: dict, words: list[list[int]], name: str = "error", *, must_fail: bool = True) -> None:
    places = [tuple(word[:3]) for word in words]
    assert len(set(places)) == len(places), "a place is written twice"
    assert all(address < case["depths"][str(kind)] for kind, _, address in places), "outside a memory"
    error = getattr(dut, f"{case['unit']}__{name}").value.to_unsigned()
    if case["words"] is None:
        assert error or not must_fail, "accepted"
        assert not case["errors"] or error in case["errors"], f"error {error}"
    else:
        assert not error, f"error {error}"
        assert sorted(words) == case["words"], "other words"


async def run(dut: HierarchyObject, case: dict, idle: list[np.random.Generator | None]) -> None:
    begun = cycle()
    await start(dut, case)
    ports = [Port(dut, f"{case['unit']}__{kind}s") for kind in ("code", "gap")]
    sent = [
        [word | (place == len(words) - 1) << 32 for place, word in enumerate(words)]
        for words in (case["codes"]["words"], case["gaps"]["words"])
    ]
    sending = [cocotb.start_soon(port.send(items, rng)) for port, items, rng in zip(ports, sent, idle, strict=True)]
    words = await capture(dut, case["unit"], 1000 + 2 * case["cycles"] + 8 * sum(map(len, sent)))
    check(dut, case, words)
    if case["words"] is not None and not any(idle):
        assert cycle() - begun <= case["cycles"], "slower than promised"
    for task, port in zip(sending, ports, strict=True):  # a stream that has no bits by its header leaves its words
        task.cancel()
        getattr(dut, f"{port.name}__valid").value = 0


@cocotb.test(timeout_time=40, timeout_unit="ms")
@cocotb.parametrize(codes_idle=[False, True], gaps_idle=[False, True])
async def layers(dut: HierarchyObject, codes_idle: bool, gaps_idle: bool) -> None:
    await begin(dut)
    idle = [np.random.default_rng(seed) if wanted else None for seed, wanted in enumerate((codes_idle, gaps_idle))]
    for case in cases():
        await load_tables(dut, case)
        try:
            await run(dut, case, idle)
        except AssertionError as error:
            raise AssertionError(f"{case['unit']}, {case['name']}: {error}") from error


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def start_in_the_middle_begins_anew(dut: HierarchyObject) -> None:
    await begin(dut)
    case = max((case for case in cases() if case["words"] is not None), key=lambda case: case["layer"]["count"])
    await load_tables(dut, case)
    for moment in (0, 1, 5, 9, 20, 45, 77):
        await start(dut, case)
        tasks = [cocotb.start_soon(Port(dut, f"{case['unit']}__{kind}").send(case[kind]["words"])) for kind in ("codes", "gaps")]
        for _ in range(moment):
            await RisingEdge(dut.clk)
        for task, kind in zip(tasks, ("codes", "gaps"), strict=True):
            task.cancel()
            getattr(dut, f"{case['unit']}__{kind}__valid").value = 0
        await run(dut, case, [None, None])
