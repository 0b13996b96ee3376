"""The accelerator behind AXI, driven by the models of cocotbext-axi. Runs inside the simulator."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from tests.rtl.hosts import MOMENTS, PERIOD, VECTORS
from tests.rtl.register_host import STATUS, RegisterHost

OKAY, SLVERR, DECERR = 0, 2, 3


@dataclass
class AxiHost(RegisterHost):
    """Registers over AXI4-Lite, rows over AXI4-Stream."""

    dut: HierarchyObject
    lite: AxiLiteMaster
    source: AxiStreamSource
    weights: AxiStreamSource
    sink: AxiStreamSink
    name: str = "plain"
    moments: tuple[str, ...] = MOMENTS

    @classmethod
    async def of(cls, dut: HierarchyObject, pace: int | None = None) -> "AxiHost":
        """Reset; with a ``pace`` every channel pauses at random."""
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)  # the models tell of every beat
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        dut.aresetn.value = 0
        host = cls(
            dut,
            AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **reset),
            AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset),
            AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_weights"), dut.aclk, **reset),
            AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset),
        )
        if pace is not None:
            host.name = f"pace {pace}"
            write, read = host.lite.write_if, host.lite.read_if
            channels = (
                write.aw_channel,
                write.w_channel,
                write.b_channel,
                read.ar_channel,
                read.r_channel,
                host.source,
                host.sink,
                host.weights,
            )
            for number, channel in enumerate(channels):
                channel.set_pause_generator(_pauses(np.random.default_rng((pace, number))))
        Clock(dut.aclk, PERIOD, "ns").start()
        await host.reset()
        for name in ("s_axi_b", "s_axi_r", "m_axis_t"):
            cocotb.start_soon(_stays(dut, name))
        return host

    async def reset(self) -> None:
        """Pull the reset, then wait until the accelerator is ready."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 3)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)
        await self.until_ready()

    async def write(self, address: int, *words: int, answer: int = OKAY) -> None:
        for word in words:
            got = await self.lite.write(address, word.to_bytes(4, "little"))
            assert got.resp == answer, f"write to {address:#x}: {got.resp}"

    async def read(self, address: int, answer: int = OKAY) -> int:
        got = await self.lite.read(address, 4)
        assert got.resp == answer, f"read of {address:#x}: {got.resp}"
        return int.from_bytes(got.data, "little")

    async def send(self, rows: list[int]) -> None:
        size = -(-VECTORS.row_bits // 8)
        await self.source.send(AxiStreamFrame(b"".join(row.to_bytes(size, "little") for row in rows)))

    async def send_weights(self, packets: list[list[int]]) -> None:
        for packet in packets:
            await self.weights.send(AxiStreamFrame(b"".join(word.to_bytes(4, "little") for word in packet)))

    async def receive(self) -> list[int]:
        frame = await self.sink.recv(compact=False)
        size = -(-VECTORS.row_bits // 8)
        data = bytes(frame.tdata)
        return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]

    async def until(self, moment: str) -> None:
        kind, _, layer = moment.partition(" ")
        if kind == "output":
            self.sink.pause = True
            while not self.dut.m_axis_tvalid.value:
                await RisingEdge(self.dut.aclk)
        elif kind == "layer":
            wanted = 2 | int(layer) << 16
            while (await self.read(STATUS)) & 0xFFFF0002 != wanted:
                pass
        else:
            await ClockCycles(self.dut.aclk, 100)
        self.sink.pause = False


def _pauses(rng: np.random.Generator) -> Iterator[bool]:
    while True:
        yield bool(rng.integers(2))


async def _stays(dut: HierarchyObject, channel: str) -> None:
    """Require that what a channel offers stays until it is taken."""
    names = {"s_axi_b": ("resp",), "s_axi_r": ("resp", "data"), "m_axis_t": ("data", "last")}[channel]
    held: list[int] | None = None
    while True:
        await RisingEdge(dut.aclk)
        valid, ready = getattr(dut, f"{channel}valid").value, getattr(dut, f"{channel}ready").value
        now = [int(getattr(dut, channel + name).value) for name in names]
        if held is not None and dut.aresetn.value:
            assert valid and now == held, f"{channel} changed before it was taken"
        held = now if valid and not ready and dut.aresetn.value else None
