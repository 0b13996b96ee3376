"""The roofline: rate of issued MACs against MACs per byte moved, under each machine's roofs.

Source of the model: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009: rate <= min(peak, bandwidth * intensity). Here the
bandwidth is that of the memory that holds the weights: DRAM, or the weight SRAM where all weights are on chip.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from reports.charts.base import (
    Row,
    data,
    legend,
    live_spec,
    log_axis,
    log_ends,
    log_scale,
    machine_legend,
    machine_scale,
    static_stack,
)
from reports.figure import DataTable, Figure, Panel
from reports.text import quantity
from reports.views import LayerView, Machine, layer_views

GIGA = 1e9
TIPS = (
    alt.Tooltip("machine:N"),
    alt.Tooltip("layer:N"),
    alt.Tooltip("rate:Q", title="GMAC/s", format=".3g"),
    alt.Tooltip("intensity:Q", title="MACs per byte", format=".3g"),
    alt.Tooltip("roof:N", title="share of the roof"),
    alt.Tooltip("memory:N", title="bytes of"),
)


def figure(machines: Sequence[Machine]) -> Figure | None:
    """Return the figure, None if no layer moved any weights."""
    layers = [(m, layer) for m in machines for layer in layer_views(m.run) if layer.moved_bytes > 0 and layer.macs_per_second > 0]
    if not layers:
        return None
    points = [_point(machine, layer) for machine, layer in layers]
    knees = [roofs[1] / roofs[0] for machine in machines if (roofs := _roofs(machine, 1.0))]
    ends = log_ends([*(row["intensity"] for row in points), *knees], 3.0)
    draw = partial(_chart, points, _lines(machines, ends), ends, machines)
    words = "; ".join(
        f"{row['machine']} {row['layer']}: {row['rate']:.3g} GMAC/s at {row['intensity']:.3g} MACs per byte, {row['roof']} of its roof"
        for row in points
    )
    return Figure(
        key="roofline",
        caption=(
            "Roofline. No machine can be faster than its line: the slope is the bandwidth of the memory that holds the weights (DRAM, or "
            "the weight SRAM where all weights are on chip), the flat part its PEs. MACs are those really issued."
        ),
        panels=(Panel(title="", spec=live_spec(draw), alt=f"Roofline plot. {words}."),),
        legend=machine_legend(machines),
        static=static_stack([("Roofline", draw)]),
        table=DataTable(
            columns=("Machine", "Layer", "Rate (GMAC/s)", "MACs per byte", "Share of the roof"),
            rows=tuple((row["machine"], row["layer"], row["rate"], row["intensity"], row["roof"]) for row in points),
        ),
    )


def _roofs(machine: Machine, intensity: float) -> tuple[float, float] | None:
    """Return the memory's and the multipliers' bound in MAC/s at an intensity in MAC per byte, None where the run gives no peaks."""
    peak = machine.run.peak
    bits = peak.get("dram_bits_per_cycle") or peak.get("sram_bits_per_cycle")
    if not bits or not peak.get("macs_per_cycle"):
        return None
    return intensity * bits / 8 * machine.run.clock_hz, peak["macs_per_cycle"] * machine.run.clock_hz


def _lines(machines: Sequence[Machine], ends: Sequence[float]) -> list[Row]:
    """Return the corners of every distinct roof from end to end; machines that share a roof share its line."""
    rows: dict[tuple[float, float], list[Row]] = {}
    for machine in machines:
        roofs = _roofs(machine, 1.0)
        if roofs is None or roofs in rows:
            continue
        bandwidth, peak = roofs
        memory = "DRAM" if "dram_bits_per_cycle" in machine.run.peak else "weight SRAM"
        corners = sorted({ends[0], min(max(peak / bandwidth, ends[0]), ends[1]), ends[1]})
        rows[roofs] = [{"roof": len(rows), "intensity": x, "rate": min(bandwidth * x, peak) / GIGA, "label": ""} for x in corners]
        rows[roofs][0]["label"] = f"{memory}, {quantity(bandwidth, 'B/s')}"
    return [row for corners in rows.values() for row in corners]


def _point(machine: Machine, layer: LayerView) -> Row:
    intensity = layer.macs / layer.moved_bytes
    roofs = _roofs(machine, intensity)
    return {
        "machine": machine.label,
        "layer": layer.name,
        "intensity": intensity,
        "rate": layer.macs_per_second / GIGA,
        "roof": f"{100 * layer.macs_per_second / min(roofs):.0f} %" if roofs else "unknown share",
        "memory": "DRAM" if "dram_bits_per_cycle" in machine.run.peak else "weight SRAM",
    }


def _chart(points: list[Row], lines: list[Row], ends: list[float], machines: Sequence[Machine], own_legend: bool) -> Any:
    names = list(dict.fromkeys(row["layer"] for row in points))
    heights = log_ends([row["rate"] for row in (*points, *lines)])
    x = alt.X(
        "intensity:Q",
        title="MACs per byte moved",
        scale=log_scale(ends),
        axis=log_axis(ends),
    )
    y = alt.Y("rate:Q", title="GMAC/s", scale=log_scale(heights), axis=log_axis(heights))
    colour = alt.Color("machine:N", scale=machine_scale(machines), legend=legend(own_legend, orient="bottom"))
    shape = alt.Shape("layer:N", sort=names, legend=legend(True, orient="bottom", symbolFillColor="$muted", symbolType="circle"))
    roofs = alt.Chart(data(lines)).mark_line(strokeWidth=1.5, color="$muted").encode(x=x, y=y, detail="roof:N")
    labels = (
        alt.Chart(data([row for row in lines if row["label"]]))
        .mark_text(align="left", baseline="top", dx=14, dy=6, color="$muted")
        .encode(x=x, y=y, text="label:N")
    )
    dots = (
        alt.Chart(data(points))
        .mark_point(filled=True, size=130, opacity=0.95)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=list(TIPS))
    )
    return alt.layer(roofs, labels, dots).properties(height=340)
