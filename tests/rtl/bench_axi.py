"""Asks whether the accelerator behind AXI does what it must, in every pattern of idle cycles and back-pressure."""

from functools import partial
from itertools import pairwise

import cocotb
from cocotb.triggers import ClockCycles, Combine

from rtl.axi import AxiLite
from tests.rtl.axi_host import DECERR, OKAY, SLVERR, AxiHost
from tests.rtl.hosts import ABORTED, DECODER, ENDS_EARLY, SCENARIOS, VECTORS, WEIGHTS_EARLY, WEIGHTS_LATE, bench, every_input, run
from tests.rtl.register_host import (
    ABORT,
    BEST,
    CONTROL,
    FINISHED,
    IRQ_ENABLE,
    IRQ_STATUS,
    LOAD_ADDRESS,
    LOAD_DATA,
    LOAD_TARGET,
    RESET,
    START,
    STATUS,
    TIMEOUT,
)

SCRATCH = 0x30
DONE, ERROR, LAYER = 1, 2, 4
# What the machine of the tests is, written out as in register_host.
CONSTANTS = {
    0x04: 1 << 16,  # version 1.0
    0x08: 3 | 2 << 8 | 1 << 12 | 1 << 13 | 1 << 15 | 4 << 16 | 2 << 24,  # 3 sparse PEs, codebook, gaps, streams; rows of 4, queues of 2
    0x0C: 9 | 8 << 8 | 20 << 16 | 32 << 24,  # bits of activation, weight, sum, bias
    0x10: 3 | 2 << 8 | 4 << 16,  # bits of code and gap, entries in a row of 20 bits
    0x14: 3,  # layers
    0x18: 63,  # columns: as many pointers but one, the end of the last column
    0x1C: 12,  # local rows
    0x20: 64,  # rows of 20 bits in 160 bytes
    0x24: 64,  # pointers of 16 bits in 128 bytes
    0x2C: 5,  # bytes of 4 activations of 9 bits
}


async def every_address(host: AxiHost) -> None:
    """Reads and writes of every address are answered as the table says; constants are constant, the others as after reset."""
    at = {register["offset"]: register for register in VECTORS.registers}
    for address in range(0, 0x1200, 4):
        register = at.get(address)
        wanted = DECERR if register is None else OKAY if register["readable"] else SLVERR
        value = await host.read(address, wanted)
        if register is not None:
            assert value & register["constant"] == register["reset"] & register["constant"], register["name"]
            assert value & register["kept"] == register["reset"] & register["kept"], register["name"]
        if register is None or not register["writable"]:
            await host.write(address, 0xFFFFFFFF, answer=DECERR if register is None else SLVERR)
    assert (await host.read(0)).to_bytes(4, "big") == b"qsim"
    for offset, value in CONSTANTS.items():
        assert await host.read(offset) == value, f"{offset:#x}"
    assert await host.read(SCRATCH) == 0


async def every_byte(host: AxiHost) -> None:
    """A write changes the bytes that it strobes and no other; the low bits of an address mean nothing."""
    for offset in (SCRATCH, TIMEOUT):
        await host.write(offset, 0xA1B2C3D4)
        for byte in range(4):
            await host.lite.write(offset + byte, bytes([byte]))
            expected = int.from_bytes(bytes([*range(byte + 1), *(0xD4, 0xC3, 0xB2, 0xA1)[byte + 1 :]]), "little")
            assert await host.read(offset) == expected
    await host.write(LOAD_TARGET, 0x00010105)
    await host.lite.write(LOAD_TARGET + 2, b"\x02")
    assert await host.read(LOAD_TARGET) == 0x00020105


async def many_at_once(host: AxiHost) -> None:
    """Reads and writes under way at the same time do not disturb each other."""

    async def writes() -> None:
        for value in range(60):
            await host.write(SCRATCH, value)

    async def reads() -> None:
        last = 0
        for _ in range(60):
            value = await host.read(SCRATCH)
            assert last <= value < 60
            last = value
            assert (await host.read(0)).to_bytes(4, "big") == b"qsim"

    for offset, value in CONSTANTS.items():
        assert await host.read(offset) == value, f"{offset:#x}"

    await Combine(cocotb.start_soon(writes()), cocotb.start_soon(reads()))


async def refused_words(host: AxiHost) -> None:
    """A word behind the end of each memory, for a PE or unit that there is not, or in too many parts is refused and written nowhere."""
    await host.load(VECTORS.words)
    good = (5 | 1 << 8, 0)
    depths = {int(unit): depth for unit, depth in VECTORS.depths.items()}
    refused = [(unit | 1 << 8, depths.get(unit, 0)) for unit in range(16)] + [(unit | 1 << 8, 1 << 31) for unit in range(16)]
    refused += [(good[0] | pe << 16, 0) for pe in (3, 4, 256, 65535)] + [(5 | parts << 8, 0) for parts in (0, 9, 255)]
    for target, address in refused:
        await host.write(LOAD_TARGET, target)
        await host.write(LOAD_ADDRESS, address)
        await host.write(LOAD_DATA, 0xFFFFFFFF, answer=SLVERR)
        assert await host.read(LOAD_ADDRESS) == address
    await host.write(LOAD_TARGET, good[0])
    await host.write(LOAD_ADDRESS, good[1])
    assert (await host.lite.write(LOAD_DATA, b"\xff\xff")).resp == SLVERR  # two bytes of four
    await run(host, 0)


async def refused_while_busy(host: AxiHost) -> None:
    """During a run nothing is loaded or started, and the run does not notice."""
    await host.load(VECTORS.words)
    await host.start()
    await host.write(LOAD_TARGET, 5 | 1 << 8)
    await host.write(LOAD_ADDRESS, 0)
    await host.write(LOAD_DATA, 0xFFFFFFFF, answer=SLVERR)
    await host.write(CONTROL, START, answer=SLVERR)
    assert await host.read(STATUS) == 2
    await host.send(VECTORS.rows[1])
    assert await host.receive() == VECTORS.outputs[1]
    assert await host.ended() == (0, VECTORS.layers - 1)
    await run(host, 2)


async def interrupts(host: AxiHost) -> None:
    """The interrupt is high while an event that is enabled is not cleared; clearing one leaves the others."""
    dut = host.dut
    await host.load(VECTORS.words)
    await run(host, 0)
    assert await host.read(IRQ_STATUS) == DONE | LAYER
    assert not dut.irq.value
    await host.write(IRQ_ENABLE, DONE | ERROR)
    await ClockCycles(dut.aclk, 2)
    assert dut.irq.value
    await host.write(IRQ_STATUS, LAYER)
    assert await host.read(IRQ_STATUS) == DONE
    assert dut.irq.value
    await host.write(IRQ_STATUS, DONE)
    await ClockCycles(dut.aclk, 2)
    assert not dut.irq.value
    await host.start()
    await host.send(VECTORS.rows[0][:1])
    while not dut.irq.value:
        await ClockCycles(dut.aclk, 1)
    assert await host.read(IRQ_STATUS) == ERROR
    await host.write(CONTROL, ABORT)  # of no run: nothing happens
    assert await host.ended() == (ENDS_EARLY, 0)
    await host.write(IRQ_ENABLE, LAYER)
    await ClockCycles(dut.aclk, 2)
    assert not dut.irq.value
    await host.start()
    await host.send(VECTORS.rows[0])
    while not dut.irq.value:
        await ClockCycles(dut.aclk, 1)
    assert await host.read(FINISHED) >= 1
    assert await host.receive() == VECTORS.outputs[0]


async def the_rest_of_an_input_is_dropped(host: AxiHost) -> None:
    """A run is aborted when half of its input was taken: the other half does not become the next run's input."""
    await host.load(VECTORS.words)
    await host.start()
    host.source.pause = True
    await host.send(VECTORS.rows[1])
    rows = VECTORS.rows[1]
    taken = 0
    host.source.pause = False
    while taken < 2:
        await ClockCycles(host.dut.aclk, 1)
        taken += int(host.dut.s_axis_tvalid.value and host.dut.s_axis_tready.value)
    host.source.pause = True
    await host.write(CONTROL, ABORT)
    assert (await host.ended())[0] == ABORTED
    assert len(rows) > 3 and await host.read(STATUS) & 8
    host.source.pause = False
    await run(host, 2)
    assert not await host.read(STATUS) & 8


async def reset_by_register(host: AxiHost) -> None:
    """In the midst of a run and of its input: every register is as after power-up, but the memories keep the network."""
    await host.load(VECTORS.words)
    for kept in (SCRATCH, TIMEOUT, IRQ_ENABLE):
        await host.write(kept, 7)
    await host.write(TIMEOUT, 100000)
    await run(host, 0)
    await host.start()
    await host.send([1])
    assert await host.ended() == (ENDS_EARLY, 0)
    await host.write(CONTROL, START)
    await host.write(CONTROL, RESET)
    for offset in (SCRATCH, TIMEOUT, IRQ_ENABLE, IRQ_STATUS, LOAD_TARGET, LOAD_ADDRESS, FINISHED):
        assert await host.read(offset) == 0, hex(offset)
    assert await host.read(STATUS) & ~1 == 0
    await host.until_ready()
    assert await host.read(STATUS) == 1
    assert not host.dut.irq.value
    await run(host, 3)


async def reset_by_pin(host: AxiHost) -> None:
    """In the midst of a run: the memories keep the network."""
    await host.load(VECTORS.words)
    await run(host, 0)
    await host.start()
    await host.send(VECTORS.rows[0])
    await host.until("layer 1")
    await host.reset()
    assert await host.read(STATUS) == 1
    assert await host.read(BEST) == 0
    await run(host, 4)


async def latencies(host: AxiHost) -> None:
    """An answer is offered four cycles after a request was taken, not earlier and not later."""
    dut = host.dut

    async def cycles(*taken: str, offered: str) -> int:
        count, seen = 0, set()
        while len(seen) < len(taken) or not getattr(dut, offered).value:
            await ClockCycles(dut.aclk, 1)
            count += len(seen) == len(taken)
            seen |= {name for name in taken if getattr(dut, f"{name}valid").value and getattr(dut, f"{name}ready").value}
        return count

    for _ in range(3):
        writing = cocotb.start_soon(cycles("s_axi_aw", "s_axi_w", offered="s_axi_bvalid"))
        await host.write(SCRATCH, 1)
        assert await writing == AxiLite.latency
        reading = cocotb.start_soon(cycles("s_axi_ar", offered="s_axi_rvalid"))
        await host.read(SCRATCH)
        assert await reading == AxiLite.latency


async def streamed(host: AxiHost, number: int) -> None:
    """Run an input with the weights of all layers from their stream."""
    await host.send_weights(VECTORS.packets)
    await run(host, number)
    last = [layer[-1] for layer in await host.counters()]
    assert all(before < after for before, after in pairwise([0, *last])), "weights came in front of every layer"


async def weights_by_stream(host: AxiHost) -> None:
    """Weights come compressed; a packet that is short, long or damaged ends the run with its code, and the next run is right."""
    await host.load(VECTORS.words)
    await run(host, 0)
    await host.load(VECTORS.streamed)
    await streamed(host, 1)
    first, second, _ = VECTORS.packets
    lies = [second[0], second[1] + 1, *second[2:]]
    cases = (
        ([first[:-1]], WEIGHTS_EARLY, 0),
        ([[*first, 7, 7]], WEIGHTS_LATE, 0),
        ([first, second[:4]], WEIGHTS_EARLY, 1),
        ([first, [*second, 7]], WEIGHTS_LATE, 1),
        ([first, lies], DECODER, 1),
    )
    for number, (packets, error, layer) in enumerate(cases):
        await host.start()
        await host.send(VECTORS.rows[0])
        await host.send_weights(packets)
        assert await host.ended() == (error, layer), number
        await streamed(host, number % len(VECTORS.rows))
    await host.load(VECTORS.words)
    await run(host, 3)


async def the_rest_of_weights_is_dropped(host: AxiHost) -> None:
    """A run is aborted when half of a layer's weights was taken: the other half is not taken for the next run's."""
    await host.load(VECTORS.words)
    await host.load(VECTORS.streamed)
    await host.start()
    await host.send(VECTORS.rows[0])
    await host.send_weights(VECTORS.packets[:1])
    taken = 0
    while taken < 5:
        await ClockCycles(host.dut.aclk, 1)
        taken += int(host.dut.s_axis_weights_tvalid.value and host.dut.s_axis_weights_tready.value)
    host.weights.pause = True
    await host.write(CONTROL, ABORT)
    assert await host.ended() == (ABORTED, 0)
    assert await host.read(STATUS) & 8
    host.weights.pause = False
    await streamed(host, 2)
    assert not await host.read(STATUS) & 8


OF_AXI = (
    weights_by_stream,
    the_rest_of_weights_is_dropped,
    latencies,
    every_address,
    every_byte,
    many_at_once,
    refused_words,
    refused_while_busy,
    interrupts,
    the_rest_of_an_input_is_dropped,
    reset_by_register,
    reset_by_pin,
)
UNPACED = (latencies, interrupts, the_rest_of_an_input_is_dropped, the_rest_of_weights_is_dropped)  # which count cycles

for _scenario in (*SCENARIOS, *OF_AXI):
    globals()[f"test_{_scenario.__name__}"] = bench(AxiHost.of, _scenario)
    for _pace in (1, 2) if _scenario is every_input else (1,):
        if _scenario not in UNPACED:
            _suffix = f"_pace_{_pace}"
            globals()[f"test_{_scenario.__name__}{_suffix}"] = bench(partial(AxiHost.of, pace=_pace), _scenario, _suffix)
