"""Where the energy goes: stacked bars by component, in absolute terms and as shares."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from reports.charts.base import BAR_STEP, Row, data, legend, live_spec, static_stack
from reports.figure import DataTable, Figure, Panel
from reports.text import Scale, quantity
from reports.theme import COMPONENTS, component_token
from reports.views import Machine, component_joules


def figure(machines: Sequence[Machine]) -> Figure:
    """Return the figure; leakage appears only where the technology gives it."""
    scale = Scale([machine.joules for machine in machines], "J")
    rows = [row for machine in machines for row in _rows(machine, scale)]
    present = [component for component in COMPONENTS if any(row["component"] == component for row in rows)]
    names = [machine.label for machine in machines]
    absolute = partial(_chart, rows, names, present, "energy", f"Energy per inference ({scale.unit})")
    share = partial(_chart, rows, names, present, "share", "Share of the energy (%)")
    words = "; ".join(
        f"{name}: " + ", ".join(f"{row['component']} {row['text']}" for row in rows if row["machine"] == name) for name in names
    )
    return Figure(
        key="energy-by-component",
        caption="Where the energy of one inference goes: in absolute terms, and as shares of each machine's own total.",
        panels=(
            Panel(title="Absolute", spec=live_spec(absolute), alt=f"Stacked bars of energy by component. {words}."),
            Panel(title="Share", spec=live_spec(share), alt="The same as shares of each machine's total."),
        ),
        legend=tuple((component, component_token(component)) for component in present),
        static=static_stack([("Energy by component", absolute), ("Shares of each machine's total", share)]),
        table=DataTable(
            columns=("Machine", "Component", f"Energy ({scale.unit})", "Share (%)"),
            rows=tuple((row["machine"], row["component"], row["energy"], row["share"]) for row in rows),
        ),
    )


def _rows(machine: Machine, scale: Scale) -> list[Row]:
    joules = component_joules(machine.run)
    return [
        {
            "machine": machine.label,
            "component": component,
            "order": place,
            "energy": scale.value(joules[component]),
            "share": 100 * joules[component] / machine.joules if machine.joules else 0.0,
            "text": quantity(joules[component], "J"),
            "total": quantity(machine.joules, "J"),
        }
        for place, component in enumerate(COMPONENTS)
        if component in joules
    ]


def _chart(rows: list[Row], names: list[str], present: list[str], field: str, title: str, own_legend: bool) -> Any:
    colours = alt.Scale(domain=present, range=[component_token(component) for component in present])
    totals = [next(row for row in rows if row["machine"] == name) for name in names]
    sums = [sum(row[field] for row in rows if row["machine"] == name) for name in names]
    # room for the totals behind the longest bar; shares all end at 100
    ends = [0.0, max(sums) * 1.4 if field == "energy" else 100.0]
    y = alt.Y("machine:N", sort=names, title=None)
    bars = (
        alt.Chart(data(rows))
        .mark_bar(height={"band": 0.62}, stroke="$surface", strokeWidth=0.5)
        .encode(
            x=alt.X(f"{field}:Q", title=title, stack="zero", scale=alt.Scale(domain=ends, nice=False), axis=alt.Axis(tickCount=5)),
            y=y,
            color=alt.Color("component:N", scale=colours, legend=legend(own_legend)),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("machine:N"),
                alt.Tooltip("component:N"),
                alt.Tooltip("text:N", title="energy"),
                alt.Tooltip("share:Q", title="share (%)", format=".1f"),
                alt.Tooltip("total:N", title="all components"),
            ],
        )
    )
    if field == "energy":
        labels = [{"machine": row["machine"], "total": row["total"], "end": end} for row, end in zip(totals, sums, strict=True)]
        text = alt.Chart(data(labels)).mark_text(align="left", dx=7, color="$ink").encode(x="end:Q", y=y, text="total:N")
        bars = alt.layer(bars, text)
    return bars.properties(height=BAR_STEP * len(names) + 20)
