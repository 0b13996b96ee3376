"""What a figure is: panels drawn by Vega-Lite, a legend, words for those who cannot see it, and the numbers behind it."""

from dataclasses import dataclass
from typing import Any

Cell = str | float | int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """The numbers behind a figure: column heads with their units, and rows of texts and numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart. ``spec`` is Vega-Lite with colour tokens, ``alt`` says in words what it shows."""

    title: str
    spec: dict[str, Any]
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of a report.

    ``key``: file name and anchor; ``legend``: labels and their colour tokens; ``static``: the whole figure as one Vega-Lite specification
    with legend, for files, print and readers without scripts; ``folded``: panels open one by one.
    """

    key: str
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]
    static: dict[str, Any]
    table: DataTable
    folded: bool = False

    @property
    def alt(self) -> str:
        """The figure in words."""
        return " ".join(panel.alt for panel in self.panels)
