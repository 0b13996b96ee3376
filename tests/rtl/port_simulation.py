"""The port in Amaranth's own simulator: slow, but nothing has to be compiled, and every machine is simulated at its own sizes."""

import numpy as np
from amaranth.sim import Simulator, SimulatorContext

from qsim.formats.layer import CompressedLayer
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.load import Unit, load_layout
from rtl.loader import EntryLoader, StreamLimits
from rtl.parameters import ArrayParameters
from rtl.stream_image import StreamImage
from rtl.weight_port import WeightPort

Words = set[tuple[int, int, int, int]]  # unit, PE, address, data


def image_of(job: ArrayJob, layer: CompressedLayer, p: ArrayParameters) -> StreamImage:
    return StreamImage.of(layer, job.rows, job.pointers.shape[1] - 1, StreamLimits(code_bits=p.code_bits))


def most_cycles(image: StreamImage, job: ArrayJob, p: ArrayParameters) -> int:
    """The bound in the docstrings of the port and the loader."""
    symbols = len(image.codes.symbols) + len(image.gaps.symbols)
    fillers = int((job.codes == 0).sum())
    loading = image.columns * (p.pes + 1) + 2 * p.pes + image.count + fillers + EntryLoader.latency
    return len(image.packet()) + symbols + loading + WeightPort.latency


def preloaded(job: ArrayJob, p: ArrayParameters) -> Words:
    """The words by which the host fills weight and pointer memories."""
    layout = load_layout(p)
    found = set()
    for row in ImagePacker(p, every_column=False).layer_words(job):
        word = layout.from_bits(int.from_bytes(np.asarray(row).tobytes(), "little"))
        if word.unit in (Unit.WEIGHTS, Unit.POINTERS):
            found.add((word.unit.value, word.pe, word.address, word.data))
    return found


def streamed(image: StreamImage, p: ArrayParameters) -> tuple[Words, int]:
    """The words that the port writes from the layer's packet, and the cycles that this takes."""
    port = WeightPort(p)
    packet, found = image.packet(), []
    took = 0

    async def drive(ctx: SimulatorContext) -> None:
        nonlocal took
        for name in ("rows", "columns"):
            ctx.set(getattr(port, name), getattr(image, name))
        ctx.set(port.control.start, 1)
        await ctx.tick()
        ctx.set(port.control.start, 0)
        for cycle in range(1, 2 * len(packet) + 20 * image.count + 100 * image.columns):
            await ctx.tick()
            if ctx.get(port.control.done):
                took = cycle
                assert not ctx.get(port.control.error).value
                return
        raise AssertionError("not done")

    async def feed(ctx: SimulatorContext) -> None:
        ctx.set(port.i.valid, 1)
        for place, word in enumerate(packet):
            ctx.set(port.i.payload.bits, word)
            ctx.set(port.i.payload.last, place == len(packet) - 1)
            await ctx.tick().until(port.i.ready)
        ctx.set(port.i.valid, 0)

    async def watch(ctx: SimulatorContext) -> None:
        async for _, _, valid, word in ctx.tick().sample(port.load.valid, port.load.word):
            if valid:
                found.append((word.unit.value, word.pe, word.address, word.data))

    simulator = Simulator(port)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(feed, background=True)
    simulator.add_process(watch)
    simulator.run()
    assert len(set(found)) == len(found)
    return set(found), took
