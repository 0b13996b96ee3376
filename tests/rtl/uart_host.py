"""The accelerator behind a UART, driven by the models of cocotbext-uart. Runs inside the simulator."""

import logging
from dataclasses import dataclass, field

from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, Lock
from cocotbext.uart import UartSink, UartSource

from tests.rtl.hosts import VECTORS
from tests.rtl.register_host import FINISHED, RegisterHost

DIVISOR, PERIOD = 8, 4
BAUD = 1e9 / (DIVISOR * PERIOD)
READ, WRITE, INPUT, OUTPUT = 1, 2, 3, 4
OKAY, CHECKSUM, OPERATION, LENGTH, REFUSED, UNKNOWN, FULL, EMPTY, BROKEN = range(9)
MOST_WORDS = 62


def check_byte(data: bytes) -> int:
    """The remainder of the bits times x^8 by x^8 + x^2 + x + 1, as one long division."""
    rest = int.from_bytes(data, "big") << 8
    while rest.bit_length() > 8:
        rest ^= 0x107 << (rest.bit_length() - 9)
    return rest


def frame(operation: int, data: bytes) -> bytes:
    """Return a request."""
    body = bytes((operation, len(data))) + data
    return b"Q" + body + bytes((check_byte(body),))


@dataclass
class UartHost(RegisterHost):
    """Frames over two wires."""

    dut: HierarchyObject
    source: UartSource
    sink: UartSink
    name: str = "plain"
    moments: tuple[str, ...] = ("input", "output")  # a layer is over long before a frame
    lock: Lock = field(default_factory=Lock)

    @classmethod
    async def of(cls, dut: HierarchyObject, baud: float = BAUD) -> "UartHost":
        """Reset; the host's clock may be a little off."""
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)  # the models tell of every byte
        host = cls(dut, UartSource(dut.rx, baud=baud), UartSink(dut.tx, baud=baud))
        dut.rst.value = 1
        Clock(dut.clk, PERIOD, "ns").start()
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 4)
        return host

    async def reply(self) -> tuple[int, bytes]:
        """Return status and bytes of a reply; nothing comes behind it."""
        data = b""
        while len(data) < 4 or len(data) < 4 + data[2]:
            data += await self.sink.read(1)
        assert data[:1] == b"R" and data[-1] == check_byte(data[1:-1])
        return data[1], data[3:-1]

    async def ask(self, operation: int, data: bytes = b"") -> tuple[int, bytes]:
        async with self.lock:
            await self.source.write(frame(operation, data))
            return await self.reply()

    async def read(self, address: int) -> int:
        status, data = await self.ask(READ, address.to_bytes(4, "little"))
        assert status == OKAY and len(data) == 4, f"read of {address:#x}: {status}"
        return int.from_bytes(data, "little")

    async def write(self, address: int, *words: int) -> None:
        for at in range(0, len(words), MOST_WORDS):
            some = words[at : at + MOST_WORDS]
            data = b"".join(word.to_bytes(4, "little") for word in (address, *some))
            assert await self.ask(WRITE, data) == (OKAY, bytes((len(some),))), f"write to {address:#x}"

    async def send(self, rows: list[int]) -> None:
        size = -(-VECTORS.row_bits // 8)
        for number, row in enumerate(rows, 1):
            data = bytes((int(number == len(rows)),)) + row.to_bytes(size, "little")
            while (answer := await self.ask(INPUT, data)) == (FULL, b""):
                pass
            assert answer == (OKAY, b"")

    async def receive(self) -> list[int]:
        rows: list[int] = []
        last = False
        while not last:
            status, data = await self.ask(OUTPUT)
            if status == EMPTY:
                continue
            assert status == OKAY
            rows.append(int.from_bytes(data[1:], "little"))
            last = bool(data[0])
        return rows

    async def until(self, moment: str) -> None:
        while moment == "output" and await self.read(FINISHED) < VECTORS.layers:
            pass
