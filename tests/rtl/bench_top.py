"""Asks whether the accelerator itself, driven at its ports, does what it must."""

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time

from tests.rtl.hosts import ABORTED, MOMENTS, NONE, PERIOD, SCENARIOS, VECTORS, bench, run


class TopHost:
    """The ports of the accelerator, sampled once a clock."""

    name = "plain"
    moments = MOMENTS

    def __init__(self, dut: HierarchyObject) -> None:
        self.dut, self.edge = dut, RisingEdge(dut.clk)
        self.rows: list[int] = []
        self.snapshots: list[list[int]] = []
        self.end: tuple[int, int] | None = None
        self.layer = 0

    @classmethod
    async def of(cls, dut: HierarchyObject) -> "TopHost":
        host = cls(dut)
        for name in ("load__valid", "start", "abort", "timeout", "input__valid"):
            getattr(dut, name).value = 0
        dut.output__ready.value = 1
        Clock(dut.clk, PERIOD, "ns").start()
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        cocotb.start_soon(host.watch())
        return host

    async def watch(self) -> None:
        """Keep what goes out, the counters at the end of each layer, and how the run ended; nothing happens behind that."""
        dut = self.dut
        while True:
            await self.edge
            if dut.busy.value:
                self.layer = dut.layer.value.to_unsigned()
            if dut.layer_done.value:
                counters = dut.counters.value.to_unsigned()
                self.snapshots.append([(counters >> (32 * at)) & 0xFFFFFFFF for at in range(VECTORS.counters)])
            if dut.output__valid.value and dut.output__ready.value:
                self.rows.append(dut.output__payload.value.to_unsigned())
            if dut.done.value:
                assert self.end is None, "a run ends once"
                self.end = dut.error.value.to_unsigned(), self.layer

    async def load(self, words: list[int]) -> None:
        await self._until_ready()
        for word in words:
            self.dut.load__valid.value, self.dut.load__word.value = 1, word
            await self.edge
        self.dut.load__valid.value = 0

    async def start(self) -> None:
        await self._until_ready()
        self.rows, self.snapshots, self.end = [], [], None
        self.dut.start.value = 1
        await self.edge
        self.dut.start.value = 0

    async def abort(self) -> None:
        self.dut.abort.value = 1
        await self.edge
        self.dut.abort.value = 0
        self.dut.output__ready.value = 1

    async def set_timeout(self, cycles: int) -> None:
        self.dut.timeout.value = cycles

    async def send(self, rows: list[int]) -> None:
        """Offer the rows until the run has ended."""
        for number, row in enumerate(rows, 1):
            self.dut.input__valid.value = 1
            self.dut.input__payload.value = row | int(number == len(rows)) << VECTORS.row_bits
            await self.edge
            while not self.dut.input__ready.value and self.end is None:
                await self.edge
        self.dut.input__valid.value = 0

    async def receive(self) -> list[int]:
        while self.end is None:
            await self.edge
        return [row & ((1 << VECTORS.row_bits) - 1) for row in self.rows]

    async def ended(self) -> tuple[int, int]:
        while self.end is None:
            await self.edge
        return self.end

    async def best(self) -> int:
        return self.dut.best.value.to_unsigned()

    async def counters(self) -> list[list[int]]:
        return self.snapshots

    async def until(self, moment: str) -> None:
        kind, _, layer = moment.partition(" ")
        if kind == "output":
            self.dut.output__ready.value = 0
            while not self.dut.output__valid.value:
                await self.edge
        elif kind == "layer":
            while self.dut.layer.value.to_unsigned() != int(layer):
                await self.edge
        await ClockCycles(self.dut.clk, 30 if kind != "output" else 1)

    async def _until_ready(self) -> None:
        await self.edge
        while not self.dut.ready.value:
            await self.edge


async def aborted_anywhere(host: TopHost) -> None:
    """In every seventh cycle of a run, in its last ones and after it: a run ends once, aborted or well, and the next one is right."""
    await host.load(VECTORS.words)
    await host.start()
    began = get_sim_time("ns")
    await host.send(VECTORS.rows[0])
    await host.ended()
    length = round((get_sim_time("ns") - began) / PERIOD)
    for number, wait in enumerate([*range(1, length, 7), *range(length - 4, length + 4)]):
        await host.start()
        sending = cocotb.start_soon(host.send(VECTORS.rows[0]))
        await ClockCycles(host.dut.clk, wait)
        await host.abort()
        error, _ = await host.ended()
        await sending
        assert error == (ABORTED if wait < length - 1 else NONE), f"{wait} of {length}"
        await ClockCycles(host.dut.clk, 3)
        assert host.end == (error, host.layer)
        if number % 4 == 0 or wait > length - 5:
            await run(host, number % len(VECTORS.rows))


for _scenario in (*SCENARIOS, aborted_anywhere):
    globals()[_scenario.__name__] = bench(TopHost.of, _scenario)
