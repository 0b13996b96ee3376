"""What the tests must have seen happen in the hardware, as cover points of cocotb-coverage with named bins.

A cover point is sampled once a layer (or once a stream of bits) with all bins that this layer has hit; so ``hits`` are layers, or streams.
The array's are collected from the drawn networks of ``test_random``, the decoder's from the streams of ``test_huffman``.
"""

import json
import logging
from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import numpy as np
from cocotb_coverage.coverage import CoverCross, CoverPoint, coverage_db

from qsim.arch.architecture import PEKind
from rtl.huffman import HuffmanError
from tests.rtl.decoders import HUFFMAN
from tests.rtl.draws import MachineDraw
from tests.rtl.observed import LayerRecord

_log = logging.getLogger(__name__)

ARRAY: dict[str, tuple[str, ...]] = {
    "pe.kind": tuple(map(str, PEKind)),
    "pe.state": ("busy", "starved", "idle"),
    "queue.level": ("full", "empty"),
    "queue.balance": ("all alike", "full in one PE and empty in another"),
    "pointers.bank": ("column starts in the even bank", "column starts in the odd bank"),
    "entries.kind": ("weight", "filler", "two fillers in a row", "column without an entry"),
    "sums.read": ("from memory", "from one product before", "from two products before", "from three products before"),
    "sums.saturation": ("up", "down", "up and down"),
    "outputs.bound": ("largest", "least", "limit", "zero of ReLU", "none"),
    "scan.state": ("item", "row without an item", "queue_full", "idle"),
    "scan.items": ("none", "one", "every column"),
    "drain.state": ("busy", "idle"),
}
CROSSES = {
    "pe.kind and state": ("pe.kind", "pe.state"),
    "pe.kind and queue": ("pe.kind", "queue.level"),
    "pe.kind and read": ("pe.kind", "sums.read"),
    "pe.kind and saturation": ("pe.kind", "sums.saturation"),
    "pe.kind and bound": ("pe.kind", "outputs.bound"),
}
DECODER: dict[str, tuple[str, ...]] = {
    "decoder.flow": ("refill", "starved", "output held"),
    "decoder.end": tuple(error.name for error in HuffmanError),
} | {f"decoder.length in {unit}": tuple(map(str, range(1, options["max_length"] + 1))) for unit, options in HUFFMAN.items()}


def code_points(draws: Iterable[MachineDraw]) -> dict[str, tuple[str, ...]]:
    """Return the cover points of every code of every width that ``draws`` have."""
    widths = sorted({(str(of.kind), of.code_bits) for of in draws if of.kind in (PEKind.CODEBOOK, PEKind.SPARSE)})
    return {f"codes.{kind} of {bits} bits": tuple(map(str, range(1 << bits))) for kind, bits in widths}


def _point(name: str, bins: tuple[str, ...]) -> CoverPoint:
    """Return a cover point that is sampled with the bins that were hit by the name of each point."""
    return CoverPoint(name, xf=lambda hit: hit.get(name, ()), rel=lambda hit, one: one in hit, bins=list(bins), inj=False)


class Coverage:
    """Samples layers of ``draws`` and streams of bits into the coverage database."""

    def __init__(self, draws: Iterable[MachineDraw]) -> None:
        def sample(hit: dict[str, set[str]]) -> None:
            """Do nothing: the cover points around it do."""

        points = [_point(name, bins) for name, bins in (ARRAY | code_points(draws)).items()]
        crosses = [CoverCross(name, items=list(items)) for name, items in CROSSES.items()]
        # Each samples before it calls what is inside it: a cross is inside the points that it crosses.
        self._layer = reduce(lambda inner, cover: cover(inner), [*crosses, *points], sample)
        self._stream = reduce(lambda inner, cover: cover(inner), [_point(name, bins) for name, bins in DECODER.items()], sample)

    def layer(self, of: MachineDraw, record: LayerRecord, columns: int) -> None:
        """Sample a layer with ``columns`` inputs."""
        self._layer(_hits(of, record, columns))

    def stream(self, hit: dict[str, set[str]]) -> None:
        """Sample a stream of bits: the bins hit, by cover point."""
        self._stream(hit)


def _hits(of: MachineDraw, record: LayerRecord, columns: int) -> dict[str, set[str]]:
    events, counters = record.events, {name: int(np.sum(value)) for name, value in record.counters.items()}
    any_of = {name: bool(flags.any()) for name, flags in events.items()}
    result = events["result"][:, :1].astype(bool)
    bound = {name: bool((events[name].astype(bool) & result).any()) for name in ("high", "low", "limit", "relu")}
    mixed = bool((events["full"].any(axis=1) & events["empty"].any(axis=1)).any())
    popped = events["pop"].astype(bool)
    items = int(events["broadcast"].sum())
    busy, starved, pes = counters["pe_busy"], counters["pe_starved"], of.pes * record.cycles
    scanned = counters["scan_busy"] + counters["scan_queue_full"]
    table: dict[str, dict[str, object]] = {
        "pe.kind": {of.kind: True},
        "pe.state": {"busy": busy, "starved": starved, "idle": busy + starved < pes},
        "queue.level": {"full": any_of["full"], "empty": any_of["empty"]},
        "queue.balance": {"all alike": not mixed, "full in one PE and empty in another": mixed},
        "pointers.bank": {
            "column starts in the even bank": bool((popped & (events["odd"] == 0)).any()),
            "column starts in the odd bank": bool((popped & (events["odd"] == 1)).any()),
        },
        "entries.kind": _entries(of, events, counters),
        "sums.read": {
            "from memory": counters["additions"],
            **{f"from {name} product{'s' * (name != 'one')} before": any_of[name] for name in ("one", "two", "three")},
        },
        "sums.saturation": {
            "up": any_of["sum_high"],
            "down": any_of["sum_low"],
            "up and down": bool((events["sum_high"].any(axis=0) & events["sum_low"].any(axis=0)).any()),
        },
        "outputs.bound": {
            "largest": bound["high"],
            "least": bound["low"],
            "limit": bound["limit"],
            "zero of ReLU": bound["relu"],
            "none": not any(bound.values()),
        },
        "scan.state": {
            "item": items,
            "row without an item": any_of["passes_zeros"],
            "queue_full": any_of["queue_full"],
            "idle": scanned < record.cycles,
        },
        "scan.items": {"none": items == 0, "one": items == 1, "every column": items == columns},
        "drain.state": {"busy": any_of["draining"], "idle": counters["drain_busy"] < record.cycles},
    }
    found = {name: {label for label, hit in labels.items() if hit} for name, labels in table.items()}
    return found | {f"codes.{of.kind} of {of.code_bits} bits": _codes(of, events)}


def _entries(of: MachineDraw, events: dict[str, np.ndarray], counters: dict[str, int]) -> dict[str, bool]:
    """Tell the kinds of entries; a column without an entry costs a cycle all the same."""
    entry, filler = events["entry"].astype(bool), events["filler"].astype(bool)
    fillers = [filler[entry[:, pe], pe] for pe in range(of.pes)]
    cycles = counters["fillers"] + counters["additions"] if of.kind == PEKind.PVQ else counters["entries"]
    return {
        "weight": bool((entry & ~filler).any()),
        "filler": bool(filler.any()),
        "two fillers in a row": any(bool((one[1:] & one[:-1]).any()) for one in fillers),
        "column without an entry": counters["pe_busy"] > cycles,
    }


def _codes(of: MachineDraw, events: dict[str, np.ndarray]) -> set[str]:
    """Return the codes that any PE has read."""
    if "code" not in events:
        return set()
    bits = events["code"].reshape(len(events["code"]), of.pes, of.code_bits).astype(np.int64)
    codes = bits @ (1 << np.arange(of.code_bits))
    return {str(code) for code in np.unique(codes[events["entry"].astype(bool)])}


def table(part: str) -> dict[str, dict[str, int]]:
    """Return the hits of every bin of the cover points and crosses of ``part``, the array or the decoder."""
    points = {name: item for name, item in sorted(coverage_db.items()) if isinstance(item, CoverPoint | CoverCross)}
    return {
        name: {" x ".join(one) if isinstance(one, tuple) else str(one): hits for one, hits in item.detailed_coverage.items()}
        for name, item in points.items()
        if name.startswith("decoder") == (part == "decoder")
    }


def report(part: str, folder: Path) -> str:
    """Write the coverage of ``part`` to ``folder`` as JSON and Markdown, and return the Markdown."""
    found = table(part)
    lines = [f"| {part} | bins hit | each bin: {'streams' if part == 'decoder' else 'layers'} |", "|---|---|---|"]
    for name, bins in found.items():
        hit = sum(count > 0 for count in bins.values())
        lines.append(f"| {name} | {hit} of {len(bins)} | {', '.join(f'{one}: {count}' for one, count in bins.items())} |")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / f"{part}.md").write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def check(part: str, folder: Path) -> None:
    """Report the coverage of ``part``; fail if a bin was never hit."""
    _log.info("\n%s", report(part, folder))
    missed = [f"{name}: {one}" for name, bins in table(part).items() for one, hits in bins.items() if not hits]
    assert not missed, f"{len(missed)} never happened: {'; '.join(missed)}"
