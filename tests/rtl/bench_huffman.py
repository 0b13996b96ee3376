"""Asks whether the Huffman decoder gives the symbols, and the errors, of the definition, at its rate, whatever the pace around it.

The cases come as JSON: streams with what an independent decoder makes of them.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from tests.rtl.streams import Port, begin, cycle, every_pace, generators

LATENCY = 5
# How often something happened, in all tests of this simulation; see ``observe``.
OBSERVED = {"refill": 0, "starved": 0, "output held": 0}


def observe(**times: int) -> None:
    """Add to what happened and write it to the file that ``QSIM_OBSERVED`` names."""
    for name, count in times.items():
        OBSERVED[name.replace("_", " ")] += count
    Path(os.environ["QSIM_OBSERVED"]).write_text(json.dumps(OBSERVED))


async def load_tables(dut: HierarchyObject, unit: str, case: dict) -> None:
    def port(name: str) -> object:
        return getattr(dut, f"{unit}__{name}")

    port("lengths__en").value = 1
    for word in case["lengths"]:
        for name, value in word.items():
            port(f"lengths__{name}").value = value
        await RisingEdge(dut.clk)
    port("lengths__en").value = 0
    port("symbols__en").value = 1
    for address, symbol in enumerate(case["table"]):
        port("symbols__addr").value, port("symbols__data").value = address, symbol
        await RisingEdge(dut.clk)
    port("symbols__en").value = 0


async def start(dut: HierarchyObject, unit: str, count: int, bits: int) -> None:
    getattr(dut, f"{unit}__start__count").value = count
    getattr(dut, f"{unit}__start__bits").value = bits
    getattr(dut, f"{unit}__start__en").value = 1
    await RisingEdge(dut.clk)
    getattr(dut, f"{unit}__start__en").value = 0


async def receive(dut: HierarchyObject, unit: str, limit: int, rng: np.random.Generator | None) -> tuple[list[int], list[int]]:
    """Take symbols until ``done``, at most ``limit`` cycles; return them and the cycles of hand-over."""
    valid, ready, payload = (getattr(dut, f"{unit}__o__{part}") for part in ("valid", "ready", "payload"))
    done = getattr(dut, f"{unit}__done")
    symbols, taken, held, waits, holds = [], [], None, 0, 0
    for _ in range(limit):
        willing = rng is None or bool(rng.random() < 0.5)
        ready.value = int(willing)
        await RisingEdge(dut.clk)
        offered = payload.value.to_unsigned() if valid.value else None
        assert held is None or offered == held, "an offered symbol changed before it was taken"
        held = None if willing else offered
        waits, holds = waits + (offered is None and bool(taken) and not done.value), holds + (held is not None)
        if willing and offered is not None:
            symbols.append(offered)
            taken.append(cycle())
        if done.value and offered is None:
            ready.value = 0
            observe(starved=waits, output_held=holds)
            return symbols, taken
    raise AssertionError(f"not done after {limit} cycles, {len(symbols)} symbols")


async def decode(
    dut: HierarchyObject, unit: str, case: dict, idle: np.random.Generator | None, pressure: np.random.Generator | None
) -> None:
    bits = case["word_bits"]
    items = [word | last << bits for word, last in zip(case["words"], case["last"], strict=True)]
    await start(dut, unit, case["count"], case["bits"])
    sending = cocotb.start_soon(Port(dut, f"{unit}__i").send(items, idle))
    symbols, taken = await receive(dut, unit, 100 + 12 * (len(items) + case["count"]), pressure)
    error = getattr(dut, f"{unit}__error").value.to_unsigned()
    assert (symbols, error) == (case["expected"], case["error"]), case["name"]
    if any(case["last"][: len(items)]) or not error:  # all words are taken, behind an error too
        offered, pushed = await sending
        observe(refill=sum(bool(taken) and at > taken[0] for at in pushed))
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        assert not getattr(dut, f"{unit}__busy").value
        if not error and not (idle or pressure) and case["full_rate"] and symbols:
            assert taken[0] == pushed[0] + LATENCY
            assert taken[-1] - taken[0] == len(symbols) - 1, "not a symbol every cycle"
            assert offered[0] == pushed[0]
    else:
        sending.cancel()
        getattr(dut, f"{unit}__i__valid").value = 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
@every_pace
async def streams(dut: HierarchyObject, idle: bool, pressure: bool) -> None:
    await begin(dut)
    _, driver, monitor = generators(1, idle, pressure)
    loaded = {}
    for case in json.loads(Path(os.environ["QSIM_CASES"]).read_text()):
        unit = case["unit"]
        tables = [case["lengths"], case["table"]]
        if loaded.get(unit) != tables:
            await load_tables(dut, unit, case)
            loaded[unit] = tables
        await decode(dut, unit, case, driver, monitor)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def start_in_the_middle_begins_anew(dut: HierarchyObject) -> None:
    await begin(dut)
    cases = json.loads(Path(os.environ["QSIM_CASES"]).read_text())
    case = next(case for case in cases if not case["error"] and case["full_rate"] and case["count"] > 30)
    unit = case["unit"]
    await load_tables(dut, unit, case)
    for moment in range(1, 16):
        getattr(dut, f"{unit}__o__ready").value = moment % 2
        await start(dut, unit, case["count"], case["bits"])
        sending = cocotb.start_soon(Port(dut, f"{unit}__i").send([word for word in case["words"]], None))
        for _ in range(moment):
            await RisingEdge(dut.clk)
        sending.cancel()
        getattr(dut, f"{unit}__i__valid").value = 0
        await decode(dut, unit, case, None, None)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_in_the_middle_leaves_it_idle(dut: HierarchyObject) -> None:
    await begin(dut)
    cases = json.loads(Path(os.environ["QSIM_CASES"]).read_text())
    case = next(case for case in cases if not case["error"] and case["full_rate"] and case["count"] > 30)
    unit = case["unit"]
    await load_tables(dut, unit, case)
    await start(dut, unit, case["count"], case["bits"])
    sending = cocotb.start_soon(Port(dut, f"{unit}__i").send([word for word in case["words"]], None))
    for _ in range(9):
        await RisingEdge(dut.clk)
    sending.cancel()
    getattr(dut, f"{unit}__i__valid").value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    assert not getattr(dut, f"{unit}__busy").value
    assert not getattr(dut, f"{unit}__o__valid").value
    await load_tables(dut, unit, case)
    await decode(dut, unit, case, None, None)
