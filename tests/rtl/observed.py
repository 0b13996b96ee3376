"""Whole networks on the accelerator with everything recorded: the events of every cycle, the counters of every layer, the outputs.

One simulation runs any number of networks on a built machine, so that building it pays.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from qsim.arch.architecture import Architecture
from qsim.formats.fixed import IntArray
from rtl.array import events_layout
from rtl.counters import COUNTER_BITS
from rtl.emit import emit
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.network import counters_of_layers, most_clocks, signed_values
from rtl.parameters import ArrayParameters
from rtl.toolchain import build_model, run_bench
from rtl.top import Accelerator
from tests.rtl.draws import MOST_LAYERS

TOP = "observed"
FLAGS = ("taken", "output", "layer_done", "done")


def seen_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of what is looked at inside the array, a bit a PE unless it says more: ``full`` and ``empty``: its queue;
    ``odd``: the column at the head of the queue; of its sums ``sum_high``, ``sum_low``: saturation, ``one``, ``two`` and ``three``: taken
    from so many products before; of its outputs, in the cycle of ``result``, ``high``, ``low``, ``limit``, ``relu``: how they are bounded;
    ``code``: of each PE the entry that is read, where it is a place in a codebook.
    """
    p = parameters
    names = ("full", "empty", "odd", "sum_high", "sum_low", "one", "two", "three", "high", "low", "limit", "relu")
    return data.StructLayout(dict.fromkeys(names, p.pes) | ({"code": p.code_bits * p.pes} if p.has_codebook else {}))


class Observed(wiring.Component):
    """The accelerator; ``watch``: the :data:`FLAGS` in the low bits, above them the events, and above those what
    :func:`seen_layout` says: one port to be read in every cycle.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.inner = Accelerator(parameters)
        members = self.inner.signature.members
        kept = {name: members[name] for name in ("load", "start", "input", "output", "counters", "best", "error", "ready")}
        self.seen = Signal(seen_layout(parameters))
        super().__init__(kept | {"watch": Out(len(FLAGS) + events_layout(parameters).size + len(self.seen.as_value()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = self.inner
        for name in ("load", "input", "output"):
            connect(m, flipped(getattr(self, name)), getattr(inner, name))
        taken, output = inner.input.valid & inner.input.ready, inner.output.valid & inner.output.ready
        m.d.comb += [
            inner.start.eq(self.start),
            self.watch.eq(Cat(taken, output, inner.layer_done, inner.done, inner.events.as_value(), self.seen)),
            *(getattr(self, name).eq(getattr(inner, name)) for name in ("counters", "best", "error", "ready")),
        ]
        for pe in range(self.inner.parameters.pes):
            self._look(m, pe)
        return m

    def _look(self, m: Module, pe: int) -> None:
        """Read signals of the units themselves: what is read here is no port of anything."""
        array, seen = self.inner.array, self.seen
        queue, element, lane = array.queues[pe], array.pes[pe], array.drain.lanes[pe]
        sums = element.accumulator
        m.d.comb += [
            seen.full[pe].eq(queue.level == queue.depth),
            seen.empty[pe].eq(queue.level == 0),
            seen.odd[pe].eq(queue.o.payload.column[0]),
            Cat(seen.sum_high[pe], seen.sum_low[pe]).eq(sums.saturates),
            Cat(seen.one[pe], seen.two[pe], seen.three[pe]).eq(sums.forwards),
        ]
        m.d.sync += Cat(seen.high[pe], seen.low[pe], seen.limit[pe], seen.relu[pe]).eq(lane.bounds)
        if self.inner.parameters.has_codebook:
            m.d.comb += seen.code.word_select(pe, self.inner.parameters.code_bits).eq(element.reader.o.payload.code)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerRecord:
    """What happened in a layer: ``events`` by name, one row a cycle, of cycles 0 to the last; ``counters`` of this layer alone."""

    events: dict[str, np.ndarray]
    counters: dict[str, IntArray]

    @property
    def cycles(self) -> int:
        return int(self.counters["cycles"])

    def cycles_of(self, name: str) -> IntArray:
        """Return the cycles in which an event happened; [pes, times] of what is not the scan's."""
        flags = self.events[name]
        if name == "broadcast":
            return np.flatnonzero(flags[:, 0])
        return np.stack([np.flatnonzero(flags[:, pe]) for pe in range(flags.shape[1])])


@dataclass(frozen=True, kw_only=True, eq=False)
class InputRecord:
    """What a network did with one input."""

    logits: IntArray
    best: int
    layers: tuple[LayerRecord, ...]


def build_observed(machine: Architecture, build_dir: Path) -> Path:
    """Build the observed accelerator of ``machine``, or find it."""
    p = ArrayParameters.of(machine, layers=MOST_LAYERS)
    return build_model(emit(lambda: Observed(p), TOP, build_dir.resolve(), f"{p!r} {Path(__file__).read_text()}"), TOP, quick=True)


def run_observed(
    machine: Architecture, networks: Sequence[tuple[Sequence[ArrayJob], IntArray]], build_dir: Path
) -> list[list[InputRecord]]:
    """Run the inputs [n, columns] of every network, one network after the other, in one simulation."""
    p = ArrayParameters.of(machine, layers=MOST_LAYERS)
    packer = ImagePacker(p, every_column=not machine.scan.skip_zeros)
    vectors: dict[str, object] = {"networks": len(networks)}
    row_bytes = -(-(p.row_width * p.activation_bits + 1) // 8)
    for number, (jobs, inputs) in enumerate(networks):
        vectors[f"words_{number}"] = packer.network_words(jobs)
        rows = [packer.activation_rows(given) for given in inputs]
        last = 1 << (p.row_width * p.activation_bits)
        beats = [[row | (last if at == len(each) - 1 else 0) for at, row in enumerate(each)] for each in rows]
        raw = b"".join(beat.to_bytes(row_bytes, "little") for each in beats for beat in each)
        vectors[f"inputs_{number}"] = np.frombuffer(raw, dtype=np.uint8).reshape(len(inputs), -1, row_bytes)
        vectors[f"limit_{number}"] = most_clocks(jobs)
    model = build_observed(machine, build_dir)
    with tempfile.TemporaryDirectory(prefix="qsim-rtl-") as folder:
        work = Path(folder)
        source, target = work / "vectors.npz", work / "results.npz"
        np.savez(source, **vectors)
        run_bench(model, TOP, "tests.rtl.bench_observed", {"QSIM_VECTORS": str(source), "QSIM_RESULTS": str(target)}, work)
        with np.load(target) as results:
            found = dict(results)
    return [
        [
            _input_record(p, jobs, {name: found[f"{name}_{number}_{at}"] for name in ("watch", "counters", "outputs", "best")})
            for at in range(len(inputs))
        ]
        for number, (jobs, inputs) in enumerate(networks)
    ]


def _input_record(p: ArrayParameters, jobs: Sequence[ArrayJob], found: dict[str, np.ndarray]) -> InputRecord:
    bits = np.unpackbits(found["watch"], axis=1, bitorder="little")
    ends = np.flatnonzero(bits[:, FLAGS.index("layer_done")])
    assert len(ends) == len(jobs), f"{len(ends)} layers of {len(jobs)}"
    counters = counters_of_layers(p, found["counters"].view(f"<u{COUNTER_BITS // 8}").astype(np.int64)[None])
    layers, start = [], 0
    for layer, end in enumerate(ends):
        layers.append(_layer_record(p, bits[start : end + 1], {name: values[0, layer] for name, values in counters.items()}))
        start = end + 1
    values = signed_values(found["outputs"], p.activation_bits, p.row_width).reshape(-1)[: jobs[-1].rows]
    return InputRecord(logits=values, best=int(found["best"]), layers=tuple(layers))


def _layer_record(p: ArrayParameters, bits: np.ndarray, counters: dict[str, IntArray]) -> LayerRecord:
    """Cut a layer out: its last result is there in its last cycle."""
    layout: data.StructLayout = events_layout(p)
    result = bits[:, len(FLAGS) + layout["result"].offset]
    last = int(np.flatnonzero(result)[-1])
    mine = bits[last + 1 - int(counters["cycles"]) : last + 1, len(FLAGS) :]
    events = {name: mine[:, field.offset :][:, : field.width] for name, field in layout}
    events |= {name: mine[:, layout.size + field.offset :][:, : field.width] for name, field in seen_layout(p)}
    return LayerRecord(events=events, counters=counters)
