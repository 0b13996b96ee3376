"""What every unit did during the traced layer of each machine."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from reports.charts.base import Draw, Row, data, legend, live_spec, state_legend, state_scale, state_text, static_stack
from reports.figure import Cell, DataTable, Figure, Panel
from reports.theme import STATES
from reports.timeline import Timeline, timeline
from reports.views import Machine

UNIT_STEP = 17


def figure(machines: Sequence[Machine]) -> Figure | None:
    """Return one panel a traced machine, None if no run has a trace."""
    drawn = [(machine, timeline(machine.run.trace)) for machine in machines if machine.run.trace is not None]
    if not drawn:
        return None
    present = [state for state in STATES if any(bar.state == state for _, line in drawn for bar in line.bars)]
    titled: list[tuple[str, Draw]] = [(_title(machine, line), partial(_chart, line, present)) for machine, line in drawn]
    bins = max(line.bin_cycles for _, line in drawn)
    note = f" Steps of up to {bins} cycles; each state is drawn in its true proportion." if bins > 1 else ""
    return Figure(
        key="timeline",
        caption=f"The busiest layer for the first input, unit by unit; blank is idle.{note} Shift and wheel zoom, dragging moves.",
        panels=tuple(
            Panel(title=title, spec=live_spec(draw), alt=f"Timeline of {title}; units from top to bottom: {', '.join(line.units)}.")
            for (title, draw), (_, line) in zip(titled, drawn, strict=True)
        ),
        legend=state_legend(present),
        static=static_stack(titled),
        table=DataTable(
            columns=("Machine", "Unit", "State", "Cycles, as drawn"),
            rows=tuple(row for machine, line in drawn for row in _counted(machine.label, line)),
        ),
        folded=True,
    )


def _title(machine: Machine, line: Timeline) -> str:
    hidden = f", {line.left_out} more units not drawn" if line.left_out else ""
    # after its last span a whole trace has only the few cycles of the last hand-over
    cut = line.shown < 0.97 * line.cycles
    extent = f"the first {line.shown:,} of {line.cycles:,} cycles" if cut else f"{line.cycles:,} cycles"
    return f"{machine.label}: layer {line.layer}, {extent}{hidden}"


def _counted(label: str, line: Timeline) -> list[tuple[Cell, ...]]:
    totals: dict[tuple[str, str], int] = {}
    for bar in line.bars:
        totals[bar.unit, bar.state] = totals.get((bar.unit, bar.state), 0) + bar.end - bar.start
    return [(label, unit, state_text(state), cycles) for (unit, state), cycles in totals.items()]


def _chart(line: Timeline, present: Sequence[str], own_legend: bool) -> Any:
    rows: list[Row] = [{"unit": bar.unit, "start": bar.start, "end": bar.end, "state": state_text(bar.state)} for bar in line.bars]
    chart = (
        alt.Chart(data(rows))
        .mark_bar(height={"band": 0.78}, clip=True, aria=False)
        .encode(
            x=alt.X("start:Q", title="Cycle", scale=alt.Scale(domain=[0, line.shown], nice=False), axis=alt.Axis(format=",d", tickCount=6)),
            x2="end:Q",
            y=alt.Y("unit:N", sort=list(line.units), scale=alt.Scale(domain=list(line.units)), title=None),
            color=alt.Color("state:N", scale=state_scale(present), legend=legend(own_legend)),
            tooltip=[
                alt.Tooltip("unit:N"),
                alt.Tooltip("state:N"),
                alt.Tooltip("start:Q", title="from cycle", format=","),
                alt.Tooltip("end:Q", title="to cycle", format=","),
            ],
        )
        .properties(height=UNIT_STEP * len(line.units) + 10)
    )
    if own_legend:
        return chart
    # a bare wheel scrolls the page, as a reader expects
    return chart.add_params(alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]"))
