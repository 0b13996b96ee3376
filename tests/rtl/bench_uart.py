"""Asks whether the accelerator behind a UART does what it must, and answers every request, however broken."""

from functools import partial

from cocotb.handle import HierarchyObject
from cocotb.triggers import Timer

from tests.rtl.hosts import ENDS_LATE, VECTORS, aborts, bench, every_input, run, wrong_inputs
from tests.rtl.register_host import CONTROL, IRQ_ENABLE, IRQ_STATUS, LOAD_ADDRESS, LOAD_DATA, LOAD_TARGET, RESET, START, STATUS, TIMEOUT
from tests.rtl.uart_host import (
    BROKEN,
    CHECKSUM,
    DIVISOR,
    EMPTY,
    FULL,
    INPUT,
    LENGTH,
    OKAY,
    OPERATION,
    OUTPUT,
    PERIOD,
    READ,
    REFUSED,
    UNKNOWN,
    WRITE,
    UartHost,
    check_byte,
    frame,
)

BIT = DIVISOR * PERIOD
SCRATCH = 0x30


async def still_there(host: UartHost, value: int) -> None:
    """Require that a request is answered and that nothing was written before."""
    assert await host.read(SCRATCH) == value


async def broken_requests(host: UartHost) -> None:
    """Each is answered once, with its code; then the next request is served, and nothing was written."""
    good = frame(WRITE, bytes((SCRATCH, 0, 0, 0, 1, 2, 3, 4)))
    await host.write(SCRATCH, 77)
    body = bytes((9, 0))
    requests = [
        (good[:1], BROKEN),
        (good[:2], BROKEN),
        (good[:-1], BROKEN),
        (b"\x00", BROKEN),
        (b"hello", BROKEN),
        (b"R" + good[1:], BROKEN),
        (good[:-1] + bytes((good[-1] ^ 1,)), CHECKSUM),
        (b"Q" + body + bytes((check_byte(body),)), OPERATION),
        (frame(0, b""), OPERATION),
        (frame(255, bytes(255)), OPERATION),
        (frame(READ, b""), LENGTH),
        (frame(READ, bytes(5)), LENGTH),
        (frame(WRITE, bytes(4)), LENGTH),
        (frame(WRITE, bytes(9)), LENGTH),
        (frame(INPUT, bytes(5)), LENGTH),
        (frame(INPUT, bytes(7)), LENGTH),
        (frame(OUTPUT, bytes(1)), LENGTH),
    ]
    requests += [(good[:3] + bytes((good[3] ^ 1 << bit,)) + good[4:], CHECKSUM) for bit in range(8)]
    for data, status in requests:
        await host.source.write(data)
        assert await host.reply() == (status, b""), data
        await still_there(host, 77)
    assert (await host.ask(WRITE, good[3:-1]))[0] == OKAY
    await still_there(host, 0x04030201)


async def broken_bytes(host: UartHost) -> None:
    """A low stop bit, within a frame and before one, and a line that stays low: one answer, and the next request is served."""
    await host.write(SCRATCH, 5)
    for before in (b"", b"Q", frame(READ, bytes((SCRATCH, 0, 0, 0)))[:5]):
        for low in (10, 11, 200):  # bits
            await host.source.write(before)
            await host.source.wait()
            host.dut.rx.value = 0
            await Timer(low * BIT, "ns")
            host.dut.rx.value = 1
            assert await host.reply() == (BROKEN, b"")
            await Timer(2 * BIT, "ns")
            await still_there(host, 5)
    host.dut.rx.value = 0
    await Timer(BIT // 4, "ns")  # no start bit
    host.dut.rx.value = 1
    await Timer(100 * BIT, "ns")
    assert host.sink.empty()
    await still_there(host, 5)


async def refusals(host: UartHost) -> None:
    """What the registers refuse is told apart from what is no register; a write says how many words went before."""
    await host.load(VECTORS.words)
    for address, status in ((0x34, UNKNOWN), (0x2000, UNKNOWN), (0x80000040, UNKNOWN), (LOAD_DATA, REFUSED)):
        assert await host.ask(READ, address.to_bytes(4, "little")) == (status, b"")
    assert await host.ask(WRITE, bytes((0, 0, 0, 0, 1, 2, 3, 4))) == (REFUSED, b"\0")
    assert await host.ask(OUTPUT) == (EMPTY, b"")
    await host.write(LOAD_TARGET, 5 | 1 << 8)
    await host.write(LOAD_ADDRESS, 62)  # of 64
    assert await host.ask(WRITE, LOAD_DATA.to_bytes(4, "little") + bytes(16)) == (REFUSED, b"\2")
    await host.load(VECTORS.words)
    await host.start()
    assert await host.ask(WRITE, bytes((CONTROL, 0, 0, 0, START, 0, 0, 0))) == (REFUSED, b"\0")
    await host.send(VECTORS.rows[0])
    assert await host.receive() == VECTORS.outputs[0]
    await run(host, 1)


async def rows_wait(host: UartHost) -> None:
    """Without a run one row is kept and the next is refused; a reset by register drops what waits and what would be dropped."""
    await host.load(VECTORS.words)
    row = bytes((0,)) + bytes(5)
    assert await host.ask(INPUT, row) == (OKAY, b"")
    assert await host.ask(INPUT, row) == (FULL, b"")
    await host.write(CONTROL, RESET)
    await run(host, 0)
    await host.start()
    for given in VECTORS.rows[0]:
        while await host.ask(INPUT, bytes(1) + given.to_bytes(5, "little")) != (OKAY, b""):
            pass
    assert await host.ended() == (ENDS_LATE, 0)
    assert await host.read(STATUS) & 8
    await host.write(CONTROL, RESET)
    assert await host.read(TIMEOUT) == 0
    await run(host, 2)


async def interrupt(host: UartHost) -> None:
    """The interrupt's pin."""
    await host.load(VECTORS.words)
    await host.write(IRQ_ENABLE, 1)
    await run(host, 0)
    assert host.dut.irq.value
    await host.write(IRQ_STATUS, 7)
    assert not host.dut.irq.value


async def one_input(host: UartHost) -> None:
    """With the host's clock 3 % off, either way."""
    await host.load(VECTORS.words)
    await run(host, 0)


async def _of(dut: HierarchyObject) -> UartHost:
    return await UartHost.of(dut)


for _scenario in (every_input, wrong_inputs, aborts, broken_requests, broken_bytes, refusals, rows_wait, interrupt):
    globals()[f"test_{_scenario.__name__}"] = bench(_of, _scenario)
for _name, _length in (("fast", BIT - 1), ("slow", BIT + 1)):
    globals()[f"test_{_name}"] = bench(partial(UartHost.of, baud=1e9 / _length), one_input, f"_{_name}")
