"""The accelerator in Amaranth's own simulator: small networks in seconds, with no model to compile, and a second opinion on Verilator."""

import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.lib.data import StructLayout
from amaranth.sim import Simulator

from qsim.arch.architecture import Architecture, PEKind
from qsim.arch.presets import MACHINES as PRESETS
from qsim.array_job import array_job
from qsim.model.compressed import QuantisedLayer
from qsim.sim.semantics import run_layer
from rtl.counters import COUNTER_BITS, counters_layout
from rtl.image import ImagePacker
from rtl.load import load_layout
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.top import Accelerator
from tests.rtl.cases import Maker, coded_layer

# Rows of 2 activations in, rows of 3 out: every activation in a bank of its own, three scan rows side by side. Everything narrow, so that
# sums saturate and runs are longer than the index.
_SIZES = {
    "array.pes": 3,
    "array.queue.depth": 2,
    "array.local_rows": 32,
    "scan.row_width": 2,
    "activations.bytes": 16,
    "pointers.bytes": 128,
}
_SIZES |= {"array.activation_bits": 8, "array.accumulator_bits": 16}
_OF_KIND: dict[str, dict[str, int]] = {
    "sparse": {"array.code_bits": 3, "array.index_bits": 2, "array.weight_bits": 8, "weights.width_bits": 24, "weights.bytes": 288},
    "pvq": {"array.code_bits": 3, "array.index_bits": 2, "weights.width_bits": 24, "weights.bytes": 288},
    "dense": {"array.weight_bits": 8, "weights.width_bits": 32, "weights.bytes": 512},
    "codebook": {"array.code_bits": 3, "array.weight_bits": 8, "weights.width_bits": 24, "weights.bytes": 288},
}


def machine_of(kind: str) -> Architecture:
    """Return the machine of these tests with PEs of ``kind``."""
    machine = PRESETS[f"{kind}-rtl-4"]
    for path, value in (_SIZES | _OF_KIND[kind]).items():
        machine = machine.replace(path, value)
    return machine


SIZES = (11, 8, 31, 7)
LIMIT = 90  # of the second layer's outputs


def simulate(design: Elaboratable, bench: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run ``bench`` on ``design``, a cycle a clock."""
    simulator = Simulator(design)
    simulator.add_clock(2e-9)
    simulator.add_testbench(bench)
    simulator.run()


def network(machine: Architecture, sizes: Sequence[int] = SIZES, seed: int = 3) -> list[QuantisedLayer]:
    """Return layers that follow each other, the second one with few weights; the last one without ReLU, the second one clipped."""
    make = Maker(machine, np.random.default_rng(seed))
    layers = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        options: dict[str, Any] = {"limit": LIMIT} if number == 1 else {"relu": number + 2 < len(sizes)}
        weights = make.weights(outputs, inputs, 0.2 if number == 1 else 0.5)
        up = 0 if machine.array.kind is PEKind.PVQ else -3  # pulses times scales are small
        layers.append(coded_layer(machine, weights, make.bias(outputs) >> 7, up=up, **options))
    return layers


def reference(layers: Sequence[QuantisedLayer], inputs: np.ndarray) -> list[np.ndarray]:
    """Return the input of every layer and the output of the last one, by the definition."""
    values = [inputs]
    for layer in layers:
        values.append(run_layer(layer, values[-1]))
    return values


@dataclass
class Run:
    """What a run gave: its outputs, its end, and the counters at the end of each layer.

    ``cycles``: from the cycle after the start to ``done``; ``taken``: rows of the input.
    """

    outputs: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    error: ErrorCode = ErrorCode.NONE
    best: int = -1
    cycles: int = 0
    taken: int = 0
    counters: list[dict[str, Any]] = field(default_factory=list)


class Host:
    """Drives an :class:`~rtl.top.Accelerator` from within a bench."""

    def __init__(self, ctx: Any, top: Accelerator) -> None:
        self.ctx, self.top = ctx, top
        self.p = top.parameters

    async def ready(self, most: int = 400) -> None:
        """Wait until a start is seen."""
        for _ in range(most):
            if self.ctx.get(self.top.ready):
                return
            await self.ctx.tick()
        raise AssertionError("never ready")

    async def load(self, words: Sequence[int]) -> None:
        """Write words, one a cycle."""
        for word in words:
            self._offer_word(word)
            await self.ctx.tick()
        self._offer_word(None)
        await self.ctx.tick().repeat(3)

    async def run(
        self,
        rows: Sequence[int],
        *,
        idle: np.random.Generator | None = None,
        pressure: np.random.Generator | None = None,
        marked: int | None = None,
        meanwhile: Sequence[int] = (),
        abort: int | None = None,
        most: int = 1200,
    ) -> Run:
        """Start, send ``rows``, number ``marked`` (by default the last one) as the last, and take everything until ``done``.

        ``idle``, ``pressure``: random gaps of input and output; ``meanwhile``: words on the load bus during the run; ``abort``: the cycle
        after the start in which the host gives up.
        """
        ctx, top, found, at = self.ctx, self.top, Run(), 0
        values = top.input.payload.shape()["values"].shape
        last = len(rows) - 1 if marked is None else marked
        ctx.set(top.start, 1)
        await ctx.tick()
        ctx.set(top.start, 0)
        for moment in range(most):
            offers = at < len(rows) and (idle is None or bool(idle.random() < 0.5))
            takes = pressure is None or bool(pressure.random() < 0.5)
            if offers:
                ctx.set(top.input.payload, {"values": values.from_bits(rows[at]), "last": int(at == last)})
            ctx.set(top.input.valid, offers)
            ctx.set(top.output.ready, takes)
            ctx.set(top.abort, moment == abort)
            self._offer_word(meanwhile[moment] if moment < len(meanwhile) else None)
            if ctx.get(top.layer_done):
                found.counters.append(counters(ctx, top))
            if takes and ctx.get(top.output.valid):
                found.outputs += [ctx.get(value) for value in top.output.payload["values"]]
                found.lasts.append(ctx.get(top.output.payload["last"]))
            at += int(offers and ctx.get(top.input.ready))
            done = ctx.get(top.done)
            await ctx.tick()
            if done:
                for port in (top.input.valid, top.load.valid, top.abort):
                    ctx.set(port, 0)
                found.error, found.best, found.cycles, found.taken = ctx.get(top.error), ctx.get(top.best), moment + 1, at
                return found
        raise AssertionError("never done")

    def _offer_word(self, word: int | None) -> None:
        self.ctx.set(self.top.load.valid, word is not None)
        if word is not None:
            self.ctx.set(self.top.load.word, self.top.load.word.shape().from_bits(word))


def counters(ctx: Any, top: Accelerator) -> dict[str, Any]:
    """Return all counters by name, of PEs as lists."""
    view, found = top.counters, {}
    for name, place in counters_layout(top.parameters):
        values = ctx.get(view[name])
        found[name] = int(values) if place.width == COUNTER_BITS else [int(value) for value in values]
    return found


def differences(snapshots: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counters run on from layer to layer: return what each layer added."""
    before = {name: np.zeros_like(value) for name, value in snapshots[0].items()}
    found = []
    for snapshot in snapshots:
        found.append({name: np.array(value) - before[name] for name, value in snapshot.items()})
        before = {name: np.array(value) for name, value in snapshot.items()}
    return found


@dataclass
class Network:
    """A network with an accelerator of its size and all that is loaded into it."""

    layers: list[QuantisedLayer]
    inputs: np.ndarray
    machine: Architecture
    spare_layers: int = 0

    def __post_init__(self) -> None:
        self.values = reference(self.layers, self.inputs)
        self.jobs = [array_job(layer, self.machine, given) for layer, given in zip(self.layers, self.values, strict=False)]
        self.parameters = ArrayParameters.of(self.machine, layers=len(self.layers) + self.spare_layers)
        self.packer = ImagePacker(self.parameters, every_column=not self.machine.scan.skip_zeros)

    @property
    def packer_layout(self) -> StructLayout:
        """Layout of a word of the load bus."""
        return load_layout(self.parameters)

    @property
    def words(self) -> list[int]:
        """Words of the load bus."""
        return [int.from_bytes(row.tobytes(), "little") for row in self.packer.network_words(self.jobs)]

    def rows(self, number: int) -> list[int]:
        """Rows of the input stream for input ``number``."""
        return self.packer.activation_rows(self.inputs[number])

    def simulate(self, bench: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
        """Run ``bench`` with a host whose accelerator is ready and loaded."""
        top = Accelerator(self.parameters)

        async def begin(ctx: Any) -> None:
            host = Host(ctx, top)
            await host.ready()
            await host.load(self.words)
            await bench(host)

        simulate(top, begin)


def small_network(kind: str = "sparse", count: int = 3, spare_layers: int = 0) -> Network:
    """Return the network of the tests with ``count`` inputs."""
    machine = machine_of(kind)
    inputs = Maker(machine, np.random.default_rng(8)).inputs(count, SIZES[0], 0.7)
    return Network(network(machine), inputs, machine, spare_layers)
