"""All figures of a report, and each as a file."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import vl_convert

from reports.charts import CHARTS
from reports.figure import Figure
from reports.theme import CONFIG, LIGHT, paint
from reports.views import Machine


def figures(machines: Sequence[Machine]) -> list[Figure]:
    """Return every figure for which the runs hold data, in the page's order."""
    found = [import_module(name).figure(machines) for name in CHARTS]
    return [figure for figure in found if figure is not None]


def figure_files(figure: Figure) -> dict[str, bytes]:
    """Return the figure as ``<key>.svg`` and ``<key>.png`` in the light theme."""
    svg = vl_convert.vegalite_to_svg(static_spec(figure))
    return {f"{figure.key}.svg": svg.encode("utf-8"), f"{figure.key}.png": vl_convert.svg_to_png(svg, scale=2)}


def static_spec(figure: Figure) -> dict[str, Any]:
    """Return the complete specification of a file: light colours on white."""
    painted: dict[str, Any] = paint({**figure.static, "config": {**CONFIG, "background": "$surface", "padding": 16}}, LIGHT)
    return painted


@cache
def library() -> str:
    """Return the script that draws figures on a page: Vega, Vega-Lite and Vega-Embed, from the installed package."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
