"""What a bench may ask of an accelerator, whatever it is behind; and what every accelerator must then do. Runs inside the simulator."""

import json
import os
from collections.abc import Callable, Coroutine
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import with_timeout

PERIOD = 2
NONE, ILLEGAL_DESCRIPTOR, TOO_LARGE, ENDS_EARLY, ENDS_LATE, DECODER, TIMEOUT, NO_LAST, ABORTED, WEIGHTS_EARLY, WEIGHTS_LATE = range(11)
LIMIT = 40_000_000  # nanoseconds: a bench that takes longer hangs


class Vectors:
    """The content of the file that :func:`tests.rtl.networks.write_vectors` wrote."""

    @cached_property
    def content(self) -> dict[str, object]:
        return json.loads(Path(os.environ["QSIM_VECTORS"]).read_text())

    def __getattr__(self, name: str) -> object:
        return self.content[name]

    def field(self, word: int, name: str) -> int:
        """Return a field of a word of the load bus."""
        offset, width = self.layout[name]
        return (word >> offset) & ((1 << width) - 1)

    @property
    def row_bits(self) -> int:
        return self.activation_bits * self.row_width

    def logits_of(self, rows: list[int]) -> list[int]:
        """Return the logits in rows of the output."""
        bits, half = self.activation_bits, 1 << (self.activation_bits - 1)
        flat = [(row >> (bits * at)) & ((1 << bits) - 1) for row in rows for at in range(self.row_width)]
        assert not any(flat[self.logits :])
        return [(value + half) % (2 * half) - half for value in flat[: self.logits]]


VECTORS = Vectors()


class Host(Protocol):
    """A way to the accelerator, whose results go to a file of its ``name``; ``moments``: when it can abort a run."""

    name: str
    moments: tuple[str, ...]

    async def load(self, words: list[int]) -> None:
        """Write words of the load bus."""

    async def start(self) -> None: ...

    async def abort(self) -> None: ...

    async def set_timeout(self, cycles: int) -> None: ...

    async def send(self, rows: list[int]) -> None:
        """Send an input, its last row marked; return when it was taken, or at once."""

    async def receive(self) -> list[int]:
        """Return the rows of an output."""

    async def ended(self) -> tuple[int, int]:
        """Wait for the end of a run; return its error and layer."""

    async def best(self) -> int: ...

    async def counters(self) -> list[list[int]]:
        """Return the counters at the end of each layer of the last run."""

    async def until(self, moment: str) -> None:
        """Wait until a run that was started is in ``layer 1`` and so on, ``output``, or waits for its ``input``."""


async def run(host: Host, number: int) -> list[int]:
    """Run an input, require that its logits and class are right, and return its rows."""
    await host.start()
    sending = cocotb.start_soon(host.send(VECTORS.rows[number]))
    rows = await host.receive()
    await sending
    assert await host.ended() == (NONE, VECTORS.layers - 1)
    assert rows == VECTORS.outputs[number], f"input {number}"
    assert await host.best() == VECTORS.best[number]
    return rows


async def every_input(host: Host) -> None:
    """Run every input, and write down what it gave for the comparison with the simulators."""
    await host.load(VECTORS.words)
    rows, best, counters = [], [], []
    for number in range(len(VECTORS.rows)):
        rows.append(await run(host, number))
        best.append(await host.best())
        counters.append(await host.counters())
    np.savez(
        Path(os.environ["QSIM_RESULTS"]) / f"{host.name}.npz",
        logits=np.array([VECTORS.logits_of(each) for each in rows]),
        best=np.array(best),
        counters=np.array(counters),
    )


async def bad_descriptors(host: Host) -> None:
    """Each flaw is found in its layer; then, with the descriptor mended, all layers give what they gave before."""
    await host.load(VECTORS.words)
    for number, bad in enumerate(VECTORS.bad):
        await host.load([bad["word"]])
        await host.start()
        takes_input = bad["layer"] > 0 or bad["error"] == NO_LAST
        if takes_input:
            await host.send(VECTORS.rows[0])
        assert await host.ended() == (bad["error"], bad["layer"]), bad["name"]
        await host.load([VECTORS.descriptors[bad["layer"]]])
        await run(host, number % len(VECTORS.rows))


async def wrong_inputs(host: Host) -> None:
    """An input that ends one row early, after its first row, one row late, and much too late."""
    await host.load(VECTORS.words)
    good = VECTORS.rows[0]
    for number, (rows, error) in enumerate(
        ((good[:-1], ENDS_EARLY), (good[:1], ENDS_EARLY), ([*good, 5], ENDS_LATE), ([*good, *range(1, 20)], ENDS_LATE))
    ):
        await host.start()
        await host.send(rows)
        assert await host.ended() == (error, 0), len(rows)
        await run(host, number)


async def timeouts(host: Host) -> None:
    """A layer may take exactly as many cycles as the limit says; one cycle less ends the run in the first layer that takes more."""
    await host.load(VECTORS.words)
    await run(host, 0)
    lengths = np.diff([layer[0] for layer in await host.counters()], prepend=0).tolist()
    for layer, length in enumerate(lengths):
        first = next((number for number, each in enumerate(lengths) if each > length - 1))
        await host.set_timeout(length - 1)
        await host.start()
        await host.send(VECTORS.rows[0])
        assert await host.ended() == (TIMEOUT, first), layer
    await host.set_timeout(max(lengths))
    await run(host, 0)
    await host.set_timeout(0)
    await run(host, 1)


async def aborts(host: Host) -> None:
    """A run is aborted while it waits for its input, in each layer and in its output; it tells so and leaves nothing behind."""
    await host.load(VECTORS.words)
    for number, moment in enumerate(host.moments):
        await host.start()
        if moment != "input":
            await host.send(VECTORS.rows[0])
        await host.until(moment)
        await host.abort()
        error, layer = await host.ended()
        assert error == ABORTED
        if moment.startswith("layer"):
            assert layer == int(moment[-1])
        if moment == "output":
            rows = await host.receive()
            assert len(rows) <= len(VECTORS.outputs[0])
        await run(host, number % len(VECTORS.rows))


MOMENTS = ("input", "layer 0", "layer 1", "layer 2", "output")
SCENARIOS = (every_input, bad_descriptors, wrong_inputs, timeouts, aborts)


def bench(
    make: Callable[[HierarchyObject], Coroutine[object, object, Host]],
    scenario: Callable[[Host], Coroutine[object, object, None]],
    suffix: str = "",
) -> object:
    """Return the cocotb test that runs a scenario on a host."""

    async def both(dut: HierarchyObject) -> None:
        await scenario(await make(dut))

    async def test(dut: HierarchyObject) -> None:
        await with_timeout(cocotb.start_soon(both(dut)), LIMIT, "ns")

    test.__name__ = test.__qualname__ = scenario.__name__ + suffix
    test.__doc__ = scenario.__doc__
    return cocotb.test()(test)
