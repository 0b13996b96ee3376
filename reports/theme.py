"""Colours: one palette for each idea, the same in every figure, light and dark.

Figures name colours by token (``$machine1``, ``$dram``, ``$queue_full``); :func:`paint` puts in the colours of a theme, in Python for
files and in the page's script for the screen. Machines are hues that stay apart for colour-blind readers (after Okabe and Ito), the first
machine grey; the memory hierarchy is a blue that pales towards the arithmetic, which is amber; work is blue, idle is nearly paper.
"""

from typing import Any

from qsim.results import Stall

COMPONENTS = ("DRAM", "SRAM", "Registers", "Arithmetic", "Leakage")
STATES = ("busy", *(str(stall) for stall in Stall), "idle")
MACHINE_COLOURS = 8

_LIGHT_MACHINES = ("#6b7280", "#0072b2", "#d55e00", "#008060", "#7d2470", "#8a6d00", "#3d8fc4", "#7a1f4b")
_DARK_MACHINES = ("#a3aab5", "#56b4e9", "#f4914e", "#35c79b", "#f5b8e4", "#e0b83c", "#93cdf5", "#d9719a")

LIGHT = {
    "$ink": "#1c2127",
    "$muted": "#5b6470",
    "$grid": "#e8e7e3",
    "$surface": "#ffffff",
    "$dram": "#1d4068",
    "$sram": "#4a86b8",
    "$registers": "#a9cbe3",
    "$arithmetic": "#e69f00",
    "$leakage": "#b5b0a4",
    "$busy": "#33719f",
    "$queue_full": "#d55e00",
    "$weights_pending": "#e69f00",
    "$activations_pending": "#cc79a7",
    "$starved": "#ecd25c",
    "$buffer_full": "#43265f",
    "$channel_busy": "#1b9e77",
    "$idle": "#e9e7e2",
    **{f"$machine{number}": colour for number, colour in enumerate(_LIGHT_MACHINES)},
}
DARK = {
    "$ink": "#e8eaed",
    "$muted": "#a2abb6",
    "$grid": "#32373e",
    "$surface": "#1b1f24",
    "$dram": "#9dcbf2",
    "$sram": "#4f8dc2",
    "$registers": "#2f587f",
    "$arithmetic": "#e6a52e",
    "$leakage": "#857f74",
    "$busy": "#5c9fd0",
    "$queue_full": "#e8743b",
    "$weights_pending": "#e6a52e",
    "$activations_pending": "#d68ab5",
    "$starved": "#e6d06a",
    "$buffer_full": "#d5c3ee",
    "$channel_busy": "#35b28a",
    "$idle": "#2f343b",
    **{f"$machine{number}": colour for number, colour in enumerate(_DARK_MACHINES)},
}

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "transparent",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "$muted",
        "titleColor": "$muted",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "titlePadding": 10,
        "labelPadding": 6,
        "domain": False,
        "ticks": False,
        "gridColor": "$grid",
        "labelLimit": 170,
    },
    "axisY": {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0, "titleY": -10, "titlePadding": 0},
    "axisQuantitative": {"labelOverlap": "greedy", "labelSeparation": 8},
    "axisBand": {"grid": False, "labelColor": "$ink"},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "$ink",
        "labelFontSize": 12,
        "symbolType": "square",
        "symbolSize": 110,
        "columnPadding": 16,
        "offset": 24,
        "labelLimit": 240,
    },
    "title": {"anchor": "start", "color": "$ink", "fontSize": 13, "fontWeight": 600, "offset": 12},
    "text": {"color": "$ink", "fontSize": 12},
}


def machine_token(number: int) -> str:
    """Return the colour token of the machine with that number in the report's order."""
    return f"$machine{number % MACHINE_COLOURS}"


def component_token(component: str) -> str:
    """Return the colour token of an energy component."""
    return f"${component.lower()}"


def state_token(state: str) -> str:
    """Return the colour token of a unit's state; a state that is no known stall counts as busy."""
    return f"${state}" if state in STATES else "$busy"


def paint(node: Any, colours: dict[str, str]) -> Any:
    """Return ``node`` (nested lists, dicts, strings) with every colour token replaced."""
    if isinstance(node, dict):
        return {key: paint(value, colours) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [paint(value, colours) for value in node]
    return colours.get(node, node) if isinstance(node, str) else node
