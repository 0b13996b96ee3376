"""What the units do: the share of unit-cycles spent working, stalled for each reason, and idle."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from reports.charts.base import BAR_STEP, Draw, Row, data, legend, live_spec, state_legend, state_scale, state_text, static_stack
from reports.figure import DataTable, Figure, Panel
from reports.theme import STATES
from reports.views import Machine, time_by_class


def figure(machines: Sequence[Machine]) -> Figure | None:
    """Return one panel a machine and one bar a class of units, None if no run has unit times."""
    by_machine = {machine.label: rows for machine in machines if (rows := _rows(machine))}
    rows = [row for own in by_machine.values() for row in own]
    if not rows:
        return None
    present = [state for state in STATES if any(row["state"] == state_text(state) for row in rows)]
    titled: list[tuple[str, Draw]] = [(label, partial(_chart, own, present)) for label, own in by_machine.items()]
    return Figure(
        key="unit-time",
        caption="What each class of units does with its cycles, over all layers: working, stalled for a reason, or idle.",
        panels=tuple(Panel(title=label, spec=live_spec(draw), alt=_words(label, by_machine[label])) for label, draw in titled),
        legend=state_legend(present),
        static=static_stack(titled),
        table=DataTable(
            columns=("Machine", "Units", "State", "Share (%)", "Unit-cycles"),
            rows=tuple((row["machine"], row["unit"], row["state"], row["share"], row["cycles"]) for row in rows),
        ),
    )


def _rows(machine: Machine) -> list[Row]:
    return [
        {
            "machine": machine.label,
            "unit": kind,
            "state": state_text(state),
            "order": place,
            "share": 100 * states[state] / sum(states.values()),
            "cycles": states[state],
        }
        for kind, states in time_by_class(machine.run).items()
        for place, state in enumerate(STATES)
        if states.get(state)
    ]


def _chart(rows: list[Row], present: list[str], own_legend: bool) -> Any:
    kinds = list(dict.fromkeys(row["unit"] for row in rows))
    return (
        alt.Chart(data(rows))
        .mark_bar(height={"band": 0.62}, stroke="$surface", strokeWidth=0.5)
        .encode(
            x=alt.X(
                "share:Q",
                title="Share of unit-cycles (%)",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(values=[0, 25, 50, 75, 100]),
            ),
            y=alt.Y("unit:N", sort=kinds, title=None, axis=alt.Axis(minExtent=64)),
            color=alt.Color("state:N", scale=state_scale(present), legend=legend(own_legend)),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("machine:N"),
                alt.Tooltip("unit:N", title="units"),
                alt.Tooltip("state:N"),
                alt.Tooltip("share:Q", title="share (%)", format=".1f"),
                alt.Tooltip("cycles:Q", title="unit-cycles", format=","),
            ],
        )
        .properties(height=BAR_STEP * len(kinds) + 10)
    )


def _words(label: str, rows: list[Row]) -> str:
    return f"{label}: " + ", ".join(f"{row['unit']} {row['state']} {row['share']:.0f} %" for row in rows) + "."
