"""The Pareto picture of ``qsim bench-methods``: test error against bytes, one point a method and rate."""

from typing import Any

import altair as alt
import vl_convert

from qsim.methods import MethodBench
from reports.charts.base import STATIC_WIDTH, data, log_axis, log_ends, log_scale
from reports.theme import CONFIG, LIGHT, paint

PALETTE = (
    "#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d",
    "#bab0ac", "#eeca3b", "#ff9da6", "#2f4b7c", "#a05195", "#8cd17d", "#003f5c",
    "#d37295", "#b6992d", "#499894", "#79706e",
)  # fmt: skip
LARGEST_ERROR = 10.0  # percent; beyond, a point is drawn at the upper edge


def picture(found: MethodBench) -> dict[str, bytes]:
    """Return the figure as ``pareto.svg`` and ``pareto.png``."""
    spec: dict[str, Any] = chart(found).to_dict()
    spec["config"] = {**CONFIG, "background": "$surface", "padding": 16}
    svg = vl_convert.vegalite_to_svg(paint(spec, LIGHT))
    return {"pareto.svg": svg.encode("utf-8"), "pareto.png": vl_convert.svg_to_png(svg, scale=2)}


def chart(found: MethodBench) -> Any:
    """Return the chart: colour is the method, shape what it started from, the line joins points that none beats in both."""
    rows = [_row(point.method, point.base, point.bytes, point.test_error) for point in found.points]
    best = [_row(point.method, point.base, point.bytes, point.test_error) for point in found.pareto()]
    methods = sorted({row["method"] for row in rows})
    ends = log_ends([row["bytes"] for row in rows], 1.3)
    errors = log_ends([row["error"] for row in rows], 1.1)
    x = alt.X("bytes:Q", title="bytes of the file", scale=log_scale(ends), axis=log_axis(ends))
    y = alt.Y("error:Q", title="test error (%)", scale=log_scale(errors), axis=log_axis(errors))
    line = alt.Chart(data(best)).mark_line(color="#888888", strokeDash=[4, 3]).encode(x=x, y=y)
    scale = alt.Scale(domain=methods, range=[PALETTE[place % len(PALETTE)] for place in range(len(methods))])
    points = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=80, opacity=0.9)
        .encode(
            x=x,
            y=y,
            color=alt.Color("method:N", scale=scale, title="method", legend=alt.Legend(columns=7, orient="bottom")),
            shape=alt.Shape("from:N", title="starting from", legend=alt.Legend(orient="bottom")),
        )
    )
    title = f"{found.workload}: error and size of every method"
    return alt.layer(line, points).properties(width=STATIC_WIDTH, height=420, title=title)


def _row(method: str, base: str, size: int, error: float) -> dict[str, Any]:
    return {"method": method, "from": base, "bytes": size, "error": min(error, LARGEST_ERROR)}
