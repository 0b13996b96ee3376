"""A simulated layer as spans of time for every unit, for people to look at.

Spans of one unit never overlap; neighbours of the same state are one span. Where a layer has more spans than wanted, the trace
covers the cycles
from the start up to a cut and says so by ending there: every span before the cut is present, in every unit.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.results import Span, Trace
from qsim.sim.program import Fetch, Program
from qsim.sim.simulated import Simulated, Timeline, Transfers

MAX_SPANS = 20_000


def trace_of(program: Program, simulated: Simulated, max_spans: int = MAX_SPANS) -> Trace:
    """Return the spans of a layer simulated with its timeline, at most ``max_spans``, in order of time."""
    timeline = simulated.timeline
    if timeline is None:
        raise UnsupportedProgram("trace: the layer must be simulated with timeline=True")
    spans = list(_scan(program, simulated, timeline))
    for pe in range(program.pes):
        spans += _pe(f"pe.{pe}", timeline.issue[pe] + 1, timeline.leave[pe] + 1)
    spans.append(_span("drain", simulated.barrier + program.timing.drain_start_latency, simulated.drained, "busy", "drain"))
    if program.fetch is not None:
        spans += _transfers(program.fetch, simulated.transfers)
    spans = sorted((span for span in spans if span.end > span.start), key=lambda span: (span.start, span.unit))
    return Trace(layer=program.name, cycles=simulated.cycles, spans=tuple(_cut(spans, max_spans)))


def _cut(spans: list[Span], limit: int) -> list[Span]:
    if len(spans) <= limit:
        return spans
    cut = spans[limit].start
    return [span for span in spans[:limit] if span.start < cut]


def _span(unit: str, start: int, end: int, state: str, label: str = "") -> Span:
    return Span(unit=unit, start=int(start), end=int(end), state=state, label=label)


def _merge(spans: Iterable[Span]) -> Iterator[Span]:
    """Join neighbours of one state into one span labelled from the first to the last."""
    held: Span | None = None
    for span in spans:
        if span.end <= span.start:
            continue
        if held is not None and held.end == span.start and held.state == span.state:
            first = held.label.split("-")[0]
            held = _span(held.unit, held.start, span.end, held.state, f"{first}-{span.label}" if span.label else first)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def _scan(program: Program, simulated: Simulated, timeline: Timeline) -> Iterator[Span]:
    """Busy over all-zero rows and the hand-over; between them waiting, with the reason of :mod:`qsim.sim.account`."""
    return _merge(_scan_parts(program, simulated, timeline))


def _scan_parts(program: Program, simulated: Simulated, timeline: Timeline) -> Iterator[Span]:
    weights, ready = _ready(program, simulated)
    previous = program.timing.scan_start_latency - 1
    for item, broadcast in enumerate(timeline.broadcast.tolist()):
        searched = previous + 1 + int(program.scan_empty[item])
        with_weights = max(searched, int(weights[item]))
        with_input = max(with_weights, ready)
        label = f"{item}"
        yield _span("scan", previous + 1, searched, "busy", label)
        yield _span("scan", searched, with_weights, "weights_pending", label)
        yield _span("scan", with_weights, with_input, "activations_pending", label)
        yield _span("scan", with_input, broadcast, "queue_full", label)
        yield _span("scan", broadcast, broadcast + 1, "busy", label)
        previous = broadcast
    yield _span("scan", previous + 1, previous + 1 + program.scan_tail, "busy", "")


def _ready(program: Program, simulated: Simulated) -> tuple[IntArray, int]:
    if program.fetch is None:
        return np.zeros(program.items, dtype=np.int64), 0
    transfers = simulated.transfers
    inputs = int(transfers.input_end[-1]) if transfers.input_end.size else 0
    weights = transfers.tile_ready[program.fetch.item_tile] if program.fetch.tiles else np.zeros(program.items, dtype=np.int64)
    return weights, inputs


def _pe(unit: str, start: IntArray, end: IntArray) -> list[Span]:
    """Busy per run of items without a gap; the label names the items."""
    if not start.size:
        return []
    breaks = np.flatnonzero(start[1:] > end[:-1]) + 1
    firsts = np.concatenate([np.zeros(1, dtype=np.int64), breaks])
    lasts = np.append(breaks, len(start)) - 1
    spans, free = [], 0
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        spans.append(_span(unit, free, start[first], "starved"))
        free = end[last]
        spans.append(_span(unit, start[first], free, "busy", f"{first}" if first == last else f"{first}-{last}"))
    return spans


def _transfers(fetch: Fetch, transfers: Transfers) -> Iterator[Span]:
    for tile in range(fetch.tiles):
        yield _span("dram", transfers.tile_grant[tile], transfers.tile_fetched[tile], "busy", f"tile {tile}")
        if fetch.decoded:
            start = transfers.tile_ready[tile] - fetch.tile_decode[tile]
            yield _span("decoder", start, transfers.tile_ready[tile], "busy", f"tile {tile}")
        slot = f"slot.{tile % fetch.dram.buffers}"
        yield _span(slot, transfers.tile_issue[tile], transfers.tile_release[tile], "busy", f"tile {tile}")
    moves = (("input", transfers.input_grant, transfers.input_end), ("output", transfers.output_grant, transfers.output_end))
    for label, grants, ends in moves:
        for grant, end in zip(grants.tolist(), ends.tolist(), strict=True):
            yield _span("dram", grant, end, "busy", label)
