"""Energy against time, one point a machine: the lower left is the better machine."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from reports.charts.base import Row, data, live_spec, log_axis, log_ends, log_scale, machine_scale, static_stack
from reports.figure import DataTable, Figure, Panel
from reports.text import Scale, factor, quantity
from reports.views import Machine

CROWDED = 0.08  # share of the height within which the names of two points would cover each other


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
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((_side(row, x_ends), _height(row, rows, x_ends, y_ends)), []).append(row)
    names = [_names(chart, group, side, height) for (side, height), group in groups.items()]
    return alt.layer(marks, *names).properties(height=300)


def _names(chart: Any, rows: list[Row], side: int, height: int) -> Any:
    """Return the names of points, beside (``side`` 1 right, -1 left), above or below them (``height`` -1, 1)."""
    align = {-1: "right", 0: "center", 1: "left"}[side]
    text = chart.mark_text(fontSize=13, color="$ink", align=align, dx=13 * side, dy=(13 if side else 17) * height)
    return text.encode(text="machine:N").properties(data=data(rows))


def _side(row: Row, ends: Sequence[float]) -> int:
    """Names grow towards the middle, so that none leaves the frame on a phone."""
    share = math.log(row["time"] / ends[0]) / math.log(ends[1] / ends[0])
    return 1 if share < 1 / 3 else -1 if share > 2 / 3 else 0


def _height(row: Row, rows: list[Row], x_ends: Sequence[float], ends: Sequence[float]) -> int:
    """Of points at about one height the upper one's name goes above and the lower one's below, so that neither covers the other."""
    reach = CROWDED * math.log(ends[1] / ends[0])
    others = [other for other in rows if other is not row and abs(math.log(other["energy"] / row["energy"])) < reach]
    place = rows.index(row)
    over = sum(1 for other in others if (other["energy"], rows.index(other)) > (row["energy"], place))
    if not others:
        return 0 if _side(row, x_ends) else -1
    return 1 if over else -1
