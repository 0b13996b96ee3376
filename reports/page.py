"""The report: one HTML file that works from disk, and everything in it as files beside it.

The page fetches nothing: scripts, styles and data are inside, and its content security policy forbids the browser to load anything else
or to run any script but the two that are named there by their hash.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qsim import __version__
from qsim.errors import MissingExtra
from qsim.files import write_bytes_atomically
from qsim.results import RunResult
from reports.chrome_trace import chrome_trace_text
from reports.exports import csv_text, json_text
from reports.figure import Figure
from reports.headline import headline
from reports.provenance import provenance_table, remarks
from reports.published import PUBLISHED_COMPRESSION, CompressionRow
from reports.tables import access_table, compression_table, layer_table, machine_table, price_table
from reports.text import short
from reports.theme import CONFIG, DARK, LIGHT
from reports.views import Machine, machines_of

NEEDS = ("altair", "vl_convert", "jinja2")
TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    runs: Sequence[RunResult],
    out: Path,
    *,
    title: str = "What it saves and what it costs",
    baseline: str | None = None,
    highlight: str | None = None,
    compression: Sequence[CompressionRow] = (),
    compressed: str = "",
) -> Path:
    """Write ``report.html``, ``figures/*.svg`` and ``*.png``, ``data.csv``, ``data.json`` and, with traces, ``trace.json`` into ``out``.

    ``baseline`` names the machine all others are compared with, None for the first run; ``highlight`` the machine of the first
    screen, None for the one with the least energy; ``compression`` are the rows of the compression table
    of the file ``compressed``, the total last.
    Everything is made before the first file is written, the page last. Returns the path of the page.

    Raises :class:`MissingExtra` without the report extra, :class:`qsim.errors.DataError` for no runs or an unknown machine.
    """
    if any(find_spec(name) is None for name in NEEDS):
        raise MissingExtra("report", "writing a report")
    from reports.plots import figure_files, figures

    machines = machines_of(runs, baseline)
    drawn = figures(machines)
    files: dict[str, bytes] = {}
    for figure in drawn:
        files |= {f"figures/{name}": content for name, content in figure_files(figure).items()}
    files["data.csv"] = csv_text(runs).encode("utf-8")
    files["data.json"] = json_text(runs).encode("utf-8")
    if any(run.trace is not None for run in runs):
        files["trace.json"] = chrome_trace_text(runs).encode("utf-8")
    page = _render(title, machines, drawn, files, compression, compressed, highlight)
    for name, content in files.items():
        write_bytes_atomically(out / name, content)
    write_bytes_atomically(out / "report.html", page.encode("utf-8"))
    return out / "report.html"


def _render(
    title: str,
    machines: Sequence[Machine],
    drawn: Sequence[Figure],
    files: dict[str, bytes],
    compression: Sequence[CompressionRow],
    compressed: str,
    highlight: str | None,
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from reports.plots import library

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = short
    scripts = [_inert_script(library()), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    published = PUBLISHED_COMPRESSION.get(machines[0].run.workload.name)
    return environment.get_template("page.html.j2").render(
        title=title,
        version=__version__,
        policy=_policy(scripts),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        palette=_palette_css(),
        scripts=scripts,
        headline=headline(machines, highlight),
        remarks=remarks(machines),
        figures={figure.key: figure for figure in drawn},
        images={figure.key: _data_uri(files[f"figures/{figure.key}.svg"]) for figure in drawn},
        machines=machine_table(machines),
        layers=layer_table(machines),
        accesses=access_table(machines),
        prices=price_table(machines),
        provenance=provenance_table(machines),
        compression=compression_table(compression, published, compressed) if compression else None,
        published=published,
        technologies=sorted({machine.run.technology.name for machine in machines}),
        has_trace="trace.json" in files,
        payload={
            "figures": _json_block({figure.key: [panel.spec for panel in figure.panels] for figure in drawn}),
            "themes": _json_block({"config": CONFIG, "light": LIGHT, "dark": DARK}),
            "csv": _json_block(files["data.csv"].decode("utf-8")),
        },
    )


def _json_block(value: Any) -> str:
    """Return JSON that can stand inside a script element: no ``<`` can close it or open a comment."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _inert_script(text: str) -> str:
    """Return a script in which no string can close the script element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Return the content security policy: nothing from anywhere, and only these scripts."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'" for text in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _palette_css() -> str:
    """Return the palette as custom properties, ``$dram`` as ``--dram``, for light and dark."""

    def block(colours: dict[str, str]) -> str:
        return "".join(f"--{token[1:].replace('_', '-')}:{colour};" for token, colour in colours.items())

    light, dark = block(LIGHT), block(DARK)
    follows_system = f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
    chosen = f"@media screen{{:root[data-theme=dark]{{{dark}}}}}"
    return f":root{{{light}}}{follows_system}{chosen}"
