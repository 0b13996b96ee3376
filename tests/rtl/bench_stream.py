"""Asks whether a queue and a fork hand over every item in the first cycle that the contract allows, and in no earlier one."""

import cocotb
from cocotb.handle import HierarchyObject

from tests.rtl.streams import Port, begin, bench, every_pace, generators

FORWARD, RETURN = 1, 1


@bench
@every_pace
@cocotb.parametrize(depth=[1, 2, 3, 8])
async def queue(dut: HierarchyObject, depth: int, idle: bool, pressure: bool) -> None:
    await begin(dut)
    data, driver, monitor = generators(depth, idle, pressure)
    items = data.integers(0, 1 << 16, 300).tolist()
    source, sink = Port(dut, f"queue{depth}__i"), Port(dut, f"queue{depth}__o")
    sending = cocotb.start_soon(source.send(items, driver))
    received, popped = await sink.receive(len(items), monitor)
    offered, pushed = await sending
    assert received == items
    for n in range(len(items)):
        room = popped[n - depth] + RETURN if n >= depth else 0
        assert pushed[n] == max(offered[n], room), f"item {n} entered in {pushed[n]}"
        assert popped[n] == sink.first_ready(max(pushed[n] + FORWARD, popped[n - 1] + 1 if n else 0)), f"item {n} left in {popped[n]}"


@bench
@every_pace
@cocotb.parametrize(name=["fork", "far_fork1", "far_fork2", "far_fork3", "far_fork8"])
async def fork(dut: HierarchyObject, name: str, idle: bool, pressure: bool) -> None:
    """Each branch begins in the first cycle in which all have room, each item leaves in the first after its way: with registers 2 each."""
    depth, latency = (int(name[-1]), 2) if name.startswith("far") else (2, 1)
    await begin(dut)
    data, driver, monitor = generators(9, idle, pressure)
    items = data.integers(0, 1 << 16, 300).tolist()
    sinks = [Port(dut, f"{name}__o{number}") for number in range(3)]
    paces = monitor.spawn(3) if monitor is not None else [None] * 3
    sending = cocotb.start_soon(Port(dut, f"{name}__i").send(items, driver))
    receiving = [cocotb.start_soon(sink.receive(len(items), pace)) for sink, pace in zip(sinks, paces, strict=True)]
    results = [await task for task in receiving]
    offered, taken = await sending
    for n in range(len(items)):
        room = max(popped[n - depth] for _, popped in results) + latency if n >= depth else 0
        assert taken[n] == max(offered[n], room), f"item {n} broadcast in {taken[n]}"
    for sink, (received, popped) in zip(sinks, results, strict=True):
        assert received == items
        arrivals = [max(taken[n] + latency, popped[n - 1] + 1 if n else 0) for n in range(len(items))]
        assert popped == [sink.first_ready(arrival) for arrival in arrivals]
