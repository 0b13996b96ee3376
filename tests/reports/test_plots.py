"""Whether figures are complete files, and a machine has one colour in all of them."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from reports.charts import CHARTS
from reports.plots import figures
from reports.theme import CONFIG, DARK, LIGHT, paint
from reports.views import machines_of
from tests.reports.sample import sample_runs

MACHINES = machines_of(sample_runs(), None)
FIGURES = figures(MACHINES)
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def test_every_chart_has_its_files(report: Path) -> None:
    assert len(FIGURES) == len(CHARTS)
    for figure in FIGURES:
        svg = ET.fromstring((report / "figures" / f"{figure.key}.svg").read_text(encoding="utf-8"))
        assert svg.tag.endswith("svg")
        assert (report / "figures" / f"{figure.key}.png").read_bytes().startswith(PNG_MAGIC)


def tokens(node: Any) -> set[str]:
    if isinstance(node, dict):
        return set().union(*map(tokens, node.values())) if node else set()
    if isinstance(node, list):
        return set().union(*map(tokens, node)) if node else set()
    return {node} if isinstance(node, str) and node.startswith("$") else set()


def test_every_colour_is_known_in_both_themes() -> None:
    assert LIGHT.keys() == DARK.keys()
    for figure in FIGURES:
        for spec in (figure.static, *(panel.spec for panel in figure.panels), CONFIG):
            for theme in (LIGHT, DARK):
                assert not {token for token in tokens(paint(spec, theme)) if token != "$schema"}


def colour_scales(node: Any) -> list[tuple[list[str], list[str]]]:
    if isinstance(node, list):
        return [found for item in node for found in colour_scales(item)]
    if not isinstance(node, dict):
        return []
    found = [found for item in node.values() for found in colour_scales(item)]
    scale = (node.get("color") or {}).get("scale") if isinstance(node.get("color"), dict) else None
    return [*found, (scale["domain"], scale["range"])] if scale else found


def test_a_name_has_one_colour_everywhere() -> None:
    colours: dict[str, set[str]] = {}
    for figure in FIGURES:
        for spec in (figure.static, *(panel.spec for panel in figure.panels)):
            for domain, values in colour_scales(spec):
                for name, colour in zip(domain, values, strict=True):
                    colours.setdefault(name, set()).add(colour)
        for name, colour in figure.legend:
            colours.setdefault(name, set()).add(colour)
    assert {machine.label for machine in MACHINES} < colours.keys()
    assert all(len(found) == 1 for found in colours.values()), colours


def test_figures_carry_words_and_numbers() -> None:
    for figure in FIGURES:
        assert figure.caption and figure.table.rows
        assert all(panel.alt for panel in figure.panels)
        assert all(len(row) == len(figure.table.columns) for row in figure.table.rows)


def test_figures_fetch_nothing() -> None:
    for figure in FIGURES:
        assert '"url"' not in json.dumps([figure.static, *(panel.spec for panel in figure.panels)])


def test_a_run_without_trace_or_units_has_no_such_figure() -> None:
    from dataclasses import replace

    bare = [
        replace(run, trace=None, layers=tuple(tuple(replace(x, units=()) for x in inputs) for inputs in run.layers))
        for run in sample_runs()
    ]
    keys = {figure.key for figure in figures(machines_of(bare, None))}
    assert keys == {"energy-and-time", "energy-by-component", "roofline"}
