"""Energy against time, one point a machine: the lower left is the better machine."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from reports.charts.base import Row, data, live_spec, log_axis, log_ends, log_scale, machine_scale, static_stack
from reports.figure import DataTable, Figure, Panel
from reports.text import Scale, factor, quantity
from reports.views import Machine


def figure(machines: Sequence[Machine]) -> Figure | None:
    """Return the figure, None if a machine took no time or no energy."""
    if any(machine.joules <= 0 or machine.run.seconds <= 0 for machine in machines):
        return None
    times = Scale([machine.run.seconds for machine in machines], "s")
    energies = Scale([machine.joules for machine in machines], "J")
    rows = [_row(machine, machines[0], times, energies) for machine in machines]

    def draw(_: bool) -> Any:
        return _chart(rows, machines, f"Time per inference ({times.unit})", f"Energy per inference ({energies.unit})")

    words = "; ".join(f"{row['machine']}: {row['energy_text']}, {row['time_text']}" for row in rows)
    return Figure(
        key="energy-and-time",
        caption="Energy and time of one inference. Both axes are logarithmic: each step down or left divides by a constant.",
        panels=(Panel(title="", spec=live_spec(draw), alt=f"Scatter plot of energy against time per inference. {words}."),),
        legend=(),
        static=static_stack([("Energy and time of one inference", draw)]),
        table=DataTable(
            columns=("Machine", f"Energy ({energies.unit})", f"Time ({times.unit})"),
            rows=tuple((row["machine"], row["energy"], row["time"]) for row in rows),
        ),
    )


def _row(machine: Machine, base: Machine, times: Scale, energies: Scale) -> Row:
    less = factor(base.joules / machine.joules)
    faster = factor(base.run.seconds / machine.run.seconds)
    return {
        "machine": machine.label,
        "time": times.value(machine.run.seconds),
        "energy": energies.value(machine.joules),
        "time_text": quantity(machine.run.seconds, "s"),
        "energy_text": quantity(machine.joules, "J"),
        "saved": f"{less} less energy, {faster} faster than {base.label}" if machine is not base else "the baseline",
    }


def _chart(rows: list[Row], machines: Sequence[Machine], x_title: str, y_title: str) -> Any:
    x_ends, y_ends = log_ends([row["time"] for row in rows]), log_ends([row["energy"] for row in rows])
    chart = alt.Chart(data(rows)).encode(
        x=alt.X("time:Q", title=x_title, scale=log_scale(x_ends), axis=log_axis(x_ends)),
        y=alt.Y("energy:Q", title=y_title, scale=log_scale(y_ends), axis=log_axis(y_ends)),
    )
    marks = chart.mark_point(filled=True, size=190, opacity=1).encode(
        color=alt.Color("machine:N", scale=machine_scale(machines), legend=None),
        tooltip=[
            alt.Tooltip("machine:N", title="machine"),
            alt.Tooltip("energy_text:N", title="energy"),
            alt.Tooltip("time_text:N", title="time"),
            alt.Tooltip("saved:N", title="against the baseline"),
        ],
    )
    # names grow towards the middle, so that none leaves the frame on a phone
    left, right = (x_ends[0] * (x_ends[1] / x_ends[0]) ** share for share in (1 / 3, 2 / 3))
    places: list[tuple[dict[str, Any], str]] = [
        ({"align": "left", "dx": 13}, f"datum.time < {left!r}"),
        ({"align": "center", "dy": -17}, f"datum.time >= {left!r} && datum.time <= {right!r}"),
        ({"align": "right", "dx": -13}, f"datum.time > {right!r}"),
    ]
    names = [
        chart.mark_text(fontSize=13, color="$ink", **place).encode(text="machine:N").transform_filter(where) for place, where in places
    ]
    return alt.layer(marks, *names).properties(height=300)
