"""Driver and monitor of a stream for the benches, with or without random idle cycles and back-pressure. Runs inside the simulator."""

import json
import os
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time

PERIOD = 2


def cycle() -> int:
    """The cycle that has just ended, right after its clock edge."""
    return round(get_sim_time("ns")) // PERIOD


def layout(name: str) -> dict[str, tuple[int, int]]:
    """Offset and width of each field of a layout that the pytest side has sent."""
    return {key: tuple(value) for key, value in json.loads(os.environ["QSIM_LAYOUTS"])[name].items()}


def pack(name: str, **fields: int) -> int:
    """Return the word of a layout."""
    places = layout(name)
    return sum((int(value) & ((1 << places[key][1]) - 1)) << places[key][0] for key, value in fields.items())


def signed(value: int, bits: int) -> int:
    """Read a two's complement number."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


async def begin(dut: HierarchyObject) -> RisingEdge:
    """Start the clock, reset, and return the clock's edge."""
    Clock(dut.clk, PERIOD, "ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return RisingEdge(dut.clk)


async def load(dut: HierarchyObject, unit: str, kind: int, values: list[int], pe: int = 0) -> None:
    """Write ``values`` to addresses 0, 1, ... over the load bus of ``unit``, whose layout is ``load <unit>``."""
    getattr(dut, f"{unit}__load__valid").value = 1
    for address, value in enumerate(values):
        getattr(dut, f"{unit}__load__word").value = pack(f"load {unit}", unit=kind, pe=pe, address=address, data=value)
        await RisingEdge(dut.clk)
    getattr(dut, f"{unit}__load__valid").value = 0
    await RisingEdge(dut.clk)


@dataclass
class Port:
    """A stream of the top module, ``name`` like ``queue1__i``."""

    dut: HierarchyObject
    name: str
    ready_in: set[int] = field(default_factory=set)

    def _signal(self, part: str) -> object:
        return getattr(self.dut, f"{self.name}__{part}")

    async def send(self, items: list[int], rng: np.random.Generator | None = None) -> tuple[list[int], list[int]]:
        """Offer ``items``, with random idle cycles if given a generator; return the cycles of first offer and of hand-over."""
        edge, offered, taken = RisingEdge(self.dut.clk), [], []
        valid, ready, payload = self._signal("valid"), self._signal("ready"), self._signal("payload")
        for item in items:
            if rng is not None and (pause := int(rng.integers(0, 4)) * int(rng.integers(0, 2))):
                valid.value = 0
                await ClockCycles(self.dut.clk, pause)
            valid.value, payload.value = 1, item
            await edge
            offered.append(cycle())
            while not ready.value:
                await edge
            taken.append(cycle())
        valid.value = 0
        return offered, taken

    async def receive(self, count: int, rng: np.random.Generator | None = None) -> tuple[list[int], list[int]]:
        """Take ``count`` items, with random back-pressure if given a generator; return the items and the cycles of hand-over.

        ``ready_in`` remembers the cycles in which the monitor was ready.
        """
        edge, items, taken = RisingEdge(self.dut.clk), [], []
        valid, ready, payload = self._signal("valid"), self._signal("ready"), self._signal("payload")
        pace = 1.0 if rng is None else 0.5
        while len(items) < count:
            willing = rng is None or bool(rng.random() < pace)
            ready.value = int(willing)
            await edge
            if willing:
                self.ready_in.add(cycle())
                if valid.value:
                    items.append(payload.value.to_unsigned())
                    taken.append(cycle())
            if rng is not None and rng.random() < 0.05:  # change between hurry and slowness, to fill and empty what is in between
                pace = float(rng.choice([0.1, 0.5, 0.95]))
        ready.value = 0
        return items, taken

    def first_ready(self, earliest: int) -> int:
        """Return the first cycle from ``earliest`` on in which the monitor was ready."""
        return min(moment for moment in self.ready_in if moment >= earliest)


def generators(seed: int, idle: bool, pressure: bool) -> tuple[np.random.Generator, np.random.Generator | None, np.random.Generator | None]:
    """Return generators for the data, for the driver (None without idle cycles) and for the monitor (None without back-pressure)."""
    data, driver, monitor = np.random.default_rng(seed).spawn(3)
    return data, driver if idle else None, monitor if pressure else None


# A unit that never hands anything over must fail its bench, not hang it.
bench = cocotb.test(timeout_time=200_000 * PERIOD, timeout_unit="ns")
every_pace = cocotb.parametrize(idle=[False, True], pressure=[False, True])
