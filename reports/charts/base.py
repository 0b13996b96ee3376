"""What all charts share: inline data, specifications without a configuration, scales by token, logarithmic axes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt

from reports.theme import machine_token, state_token
from reports.views import Machine

STATIC_WIDTH = 760
BAR_STEP = 34
Row = dict[str, Any]
Draw = Callable[[bool], Any]  # called with whether the chart carries its own legend


def data(rows: list[Row]) -> Any:
    """Return rows as inline data."""
    return {"values": rows}


def live_spec(draw: Draw) -> dict[str, Any]:
    """Return the Vega-Lite of a chart as wide as its container; the page draws the legend and sets the theme."""
    chart = draw(False).properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return _without_config(chart)


def static_stack(titled: Sequence[tuple[str, Draw]]) -> dict[str, Any]:
    """Return charts below each other with a legend, at the width of a file."""
    parts = [draw(True).properties(width=STATIC_WIDTH, title=title) for title, draw in titled]
    return _without_config(parts[0] if len(parts) == 1 else alt.vconcat(*parts, spacing=28))


def _without_config(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    return spec


def legend(shown: bool, **settings: Any) -> alt.Legend | None:
    """Return Vega's own legend for files, None where the page draws it."""
    return alt.Legend(**settings) if shown else None


def machine_scale(machines: Sequence[Machine]) -> alt.Scale:
    """Return the colour scale of machines, the same in every figure."""
    return alt.Scale(domain=[m.label for m in machines], range=[machine_token(m.number) for m in machines])


def machine_legend(machines: Sequence[Machine]) -> tuple[tuple[str, str], ...]:
    """Return the page's legend of machines."""
    return tuple((machine.label, machine_token(machine.number)) for machine in machines)


def state_text(state: str) -> str:
    """Return the name of a unit's state for readers."""
    return state.replace("_", " ")


def state_scale(present: Sequence[str]) -> alt.Scale:
    """Return the colour scale of unit states, the same in every figure."""
    return alt.Scale(domain=[state_text(state) for state in present], range=[state_token(state) for state in present])


def state_legend(present: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the page's legend of unit states."""
    return tuple((state_text(state), state_token(state)) for state in present)


def log_axis(ends: Sequence[float]) -> alt.Axis:
    """Return an axis for a logarithmic scale: a line for each power of ten, and for twice and five times it where there are few."""
    steps = (1,) if math.log10(ends[1] / ends[0]) > 2 else (1, 2, 5)
    powers = range(math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1])) + 1)
    values = [step * 10.0**power for power in powers for step in steps]
    return alt.Axis(values=[value for value in values if ends[0] <= value <= ends[1]], format="~r")


def log_scale(ends: Sequence[float]) -> alt.Scale:
    """Return a logarithmic scale between two ends."""
    return alt.Scale(type="log", domain=list(ends), nice=False)


def log_ends(values: Sequence[float], share: float = 2.2) -> list[float]:
    """Return both ends of a logarithmic axis that leaves a factor of ``share`` around the values."""
    positive = [value for value in values if value > 0]
    return [min(positive) / share, max(positive) * share]
