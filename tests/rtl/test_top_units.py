# amaranth: UnusedElaboratable=no
"""Asks whether the parts around the array are exact alone: counters, the output with its best, and the halves of the activation memory."""

from typing import Any

import numpy as np
import pytest

from rtl.activations import ActivationMemory
from rtl.counters import OF_PES, TOTALS, Counters
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces
from rtl.transfer import OutputReader
from tests.rtl.simulated import simulate

PES, CYCLES = 3, 200
FLAGS = ("broadcast", "result", "row_read", "passes_zeros", "queue_full", "draining")
MASKS = ("pop", "busy", "entry", "filler", "weight_read", "addition")
# What each counter adds in a cycle of a layer, and the flag it comes from.
SUMS = {
    "scan_queue_full": ("queue_full", 1),
    "drain_busy": ("draining", 1),
    "items": ("broadcast", 1),
    "activation_reads": ("row_read", 1),
    "weight_reads": ("weight_read", 1),
    "pointer_reads": ("pop", 2),
    "entries": ("entry", 1),
    "fillers": ("filler", 1),
    "additions": ("addition", 1),
    "results": ("result", 1),
}


def starved(busy: np.ndarray, works: np.ndarray) -> int:
    """Cycles without work that are followed by work in the same layer."""
    found, waited = 0, 0
    for in_layer, work in zip(busy, works, strict=True):
        waited = waited + 1 if in_layer and not work else 0 if not in_layer else waited
        if in_layer and work:
            found, waited = found + waited, 0
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_counters_add_up_what_happened_since_the_clear(seed: int) -> None:
    """Layers, gaps between them and cycles outside a run, in all of which anything may happen; cleared once between two layers."""
    p = ArrayParameters(pes=PES, columns=8, local_rows=4, weight_rows=4, layers=1)
    rng = np.random.default_rng(seed)
    running = (np.arange(CYCLES) // 37) % 4 != 3
    busy = running & ((np.arange(CYCLES) // 11) % 3 != 0)
    flags = {name: rng.integers(0, 2, CYCLES) for name in FLAGS}
    masks = {name: rng.integers(0, 2, (CYCLES, PES)) for name in MASKS}
    masks["busy"][:, 0] &= rng.integers(0, 2, CYCLES)
    clear = 104
    found: dict[str, Any] = {}
    dut = Counters(p)

    async def bench(ctx: Any) -> None:
        for moment in range(CYCLES + Counters.latency):
            happens = moment < CYCLES
            events: dict[str, Any] = {name: int(happens and values[moment]) for name, values in flags.items()}
            events |= {name: _bits(values[moment]) if happens else 0 for name, values in masks.items()}
            ctx.set(dut.events, events)
            ctx.set(dut.busy, bool(happens and busy[moment]))
            ctx.set(dut.running, bool(happens and running[moment]))
            ctx.set(dut.clear, moment == clear)
            await ctx.tick()
        found.update({name: ctx.get(dut.values[name]) for name in TOTALS})
        found.update({name: [ctx.get(value) for value in dut.values[name]] for name in OF_PES})

    simulate(dut, bench)
    since = np.arange(CYCLES) > clear
    layer = busy & since
    want: dict[str, Any] = {name: scale * int((flags | masks)[flag][layer].sum()) for name, (flag, scale) in SUMS.items()}
    want |= {"cycles": int(layer.sum()), "setup": int((running & ~busy & since).sum())}
    want["scan_busy"] = int((flags["broadcast"] + flags["passes_zeros"])[layer].sum())
    want["pe_busy"] = [int(masks["busy"][layer, pe].sum()) for pe in range(PES)]
    want["pe_starved"] = [starved(layer, masks["busy"][:, pe]) for pe in range(PES)]
    assert found == want


def _bits(values: np.ndarray) -> int:
    return sum(int(value) << at for at, value in enumerate(values))


BEST = [[5, 9, 9, -3, 9, 1, 0], [-7, -9, -7, -8, -128, -9, -10], [-128] * 7, [0, 0, 0, 0, 0, 0, 127], [3], [-5, -4, 1], [1, 2, 3, 4]]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_best_output_is_the_first_of_the_largest(width: int) -> None:
    """Whatever the memory holds behind the outputs: it is sent as zero and never the best. A row takes ``width + 3`` cycles."""
    p = ArrayParameters(pes=2, row_width=width, activation_bits=8, columns=16, local_rows=8, weight_rows=4, layers=1)
    dut = OutputReader(p)

    async def bench(ctx: Any) -> None:
        for values in BEST:
            rows = -(-len(values) // width)
            stored = np.r_[values, np.full(rows * width - len(values), 99)].reshape(rows, width).tolist()
            ctx.set(dut.count, len(values))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.o.ready, 1)
            sent, moments, reads = [], [], 0
            for moment in range(1, rows * (width + 3) + 1):
                if ctx.get(dut.unload.en):
                    reads += 1
                valid, done = ctx.get(dut.o.valid), ctx.get(dut.done)
                if valid:
                    sent += [ctx.get(value) for value in dut.o.payload["values"]]
                    moments.append(moment)
                    assert ctx.get(dut.o.payload["last"]) == done == (reads == rows)
                read = ctx.get(dut.unload.en)
                await ctx.tick()
                if read:
                    ctx.set(dut.unload.values, stored[reads - 1])
            assert moments == [(width + 3) * (row + 1) for row in range(rows)]
            assert sent == values + [0] * (rows * width - len(values))
            assert ctx.get(dut.best) == int(np.argmax(values)), values

    simulate(dut, bench)


@pytest.mark.parametrize(("pes", "row_width"), [(3, 2), (2, 3), (4, 4), (1, 4), (4, 1), (6, 4), (4, 6)])
def test_what_is_stored_is_read_by_the_next_layer(pes: int, row_width: int) -> None:
    """Rows of results go to the half that is not read, in the order of their outputs, and leave the other half as it is."""
    p = ArrayParameters(pes=pes, row_width=row_width, activation_bits=8, columns=24, local_rows=24, weight_rows=4, layers=2)
    dut, places = ActivationMemory(p), ActivationPlaces.of(p)
    rng = np.random.default_rng(pes)
    given, first, second = (rng.integers(-128, 128, 24).tolist() for _ in range(3))

    async def store(ctx: Any, source: int, values: list[int], keep: bool) -> None:
        ctx.set(dut.layer, {"source": source, "store": keep})
        ctx.set(dut.restart, 1)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        for at in range(0, 24, pes):
            ctx.set(dut.results.valid, 1)
            ctx.set(dut.results.values, values[at : at + pes])
            await ctx.tick()
        ctx.set(dut.results.valid, 0)

    async def read(ctx: Any, port: Any) -> list[int]:
        found: list[int] = []
        ctx.set(port.restart, 1)
        await ctx.tick()
        ctx.set(port.restart, 0)
        for _ in range(0, 24, row_width):
            ctx.set(port.en, 1)
            await ctx.tick()
            ctx.set(port.en, 0)
            await ctx.tick()
            found += [ctx.get(value) for value in port.values]
        return found

    async def bench(ctx: Any) -> None:
        for row in range(24 // row_width):
            joined = sum((value & 255) << (8 * lane) for lane, value in enumerate(given[row * row_width : (row + 1) * row_width]))
            ctx.set(dut.load.word, {"unit": 1, "pe": 0, "address": places.address(row), "data": joined})
            ctx.set(dut.load.valid, 1)
            await ctx.tick()
        ctx.set(dut.load.valid, 0)
        await store(ctx, 0, first, True)
        assert await read(ctx, dut.scan) == given
        assert await read(ctx, dut.unload) == first
        await store(ctx, 1, second, False)
        assert await read(ctx, dut.scan) == first
        assert await read(ctx, dut.unload) == given
        await store(ctx, 1, second, True)
        assert await read(ctx, dut.scan) == first
        assert await read(ctx, dut.unload) == second

    simulate(dut, bench)
