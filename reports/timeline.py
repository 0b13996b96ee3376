"""A trace made small enough to draw: time in equal bins, one state a bin, equal neighbours joined.

A bin takes the state that is most behind its share so far (error diffusion), so that a unit that works one cycle in twenty is drawn
working in every twentieth bin: up to any cycle, drawn and true times of a state differ by about a bin. Taking the most frequent state
instead would draw it as never working. The full trace, span by span, goes to the Chrome trace file.
"""

import re
from dataclasses import dataclass

from qsim.results import Span, Trace
from reports.views import flow_order, unit_class

BINS = 240
MOST_OF_A_KIND = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One drawn stretch of a unit in ``state``, from cycle ``start`` to ``end``."""

    unit: str
    start: int
    end: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Bars to draw, units from top to bottom, cycles a bin stands for, and how many units were left out.

    ``shown``: cycles that the trace covers, fewer than ``cycles`` where it was cut.
    """

    layer: str
    cycles: int
    shown: int
    units: tuple[str, ...]
    bars: tuple[Bar, ...]
    bin_cycles: int
    left_out: int


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key under which pe9 comes before pe10."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part)


def choose_units(trace: Trace) -> tuple[list[str], int]:
    """Return the units to draw, kinds in the order of the flow of data and at most 16 of a kind, and the number left out."""
    kinds: dict[str, set[str]] = {}
    for span in trace.spans:
        kinds.setdefault(unit_class(span.unit), set()).add(span.unit)
    chosen = [
        unit
        for _, units in sorted(kinds.items(), key=lambda item: flow_order(item[0]))
        for unit in sorted(units, key=_natural)[:MOST_OF_A_KIND]
    ]
    return chosen, sum(len(units) for units in kinds.values()) - len(chosen)


def timeline(trace: Trace) -> Timeline:
    """Return the drawable form of a trace; exact when it covers at most 240 cycles."""
    units, left_out = choose_units(trace)
    shown = min(trace.cycles, max((span.end for span in trace.spans), default=trace.cycles))
    width = max(1, -(-shown // BINS))
    by_unit: dict[str, list[Span]] = {unit: [] for unit in units}
    for span in trace.spans:
        if span.unit in by_unit:
            by_unit[span.unit].append(span)
    bars = [bar for unit in units for bar in _bars(unit, by_unit[unit], shown, width)]
    return Timeline(
        layer=trace.layer, cycles=trace.cycles, shown=shown, units=tuple(units), bars=tuple(bars), bin_cycles=width, left_out=left_out
    )


def _bars(unit: str, spans: list[Span], cycles: int, width: int) -> list[Bar]:
    bins: list[dict[str, int]] = [{} for _ in range(-(-cycles // width))]
    for span in spans:
        for place in range(span.start // width, -(-min(span.end, cycles) // width)):
            overlap = min(span.end, (place + 1) * width) - max(span.start, place * width)
            bins[place][span.state] = bins[place].get(span.state, 0) + overlap
    bars: list[Bar] = []
    owed = {"idle": 0}
    for place, states in enumerate(bins):
        start, end = place * width, min((place + 1) * width, cycles)
        owed["idle"] += end - start - sum(states.values())
        for state, length in states.items():
            owed[state] = owed.get(state, 0) + length
        state = max(owed, key=lambda name: owed[name])
        owed[state] -= end - start
        if bars and bars[-1].state == state:
            bars[-1] = Bar(unit=unit, start=bars[-1].start, end=end, state=state)
        else:
            bars.append(Bar(unit=unit, start=start, end=end, state=state))
    return [bar for bar in bars if bar.state != "idle"]
