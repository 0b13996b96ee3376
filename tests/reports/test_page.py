"""Whether the page is whole, self-contained and true to the results, and harmless whatever a run is called."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qsim.errors import DataError, MissingExtra
from qsim.results import Source
from reports import page as page_module
from reports.page import write_report
from tests.reports.sample import sample_compression, sample_runs

HEADINGS = (
    "Machines compared",
    "Where the energy goes",
    "Layer by layer",
    "What the units wait for",
    "Roofline",
    "Timeline of the busiest layer",
    "Compression, beside the published",
    "Provenance",
)
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


class Reader(HTMLParser):
    """Collects what a browser would fetch, run and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.values: dict[str, list[float]] = {}
        self.headings: list[str] = []
        self.captions = self.tables = 0
        self.images: list[str | None] = []
        self.policy = ""
        self._table, self._open, self._kind = "", "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._open = tag
        self.links += [found[name] or "" for name in ("src", "href", "action", "srcset", "poster") if name in found]
        self.handlers += [name for name in found if name.startswith("on")]
        if tag == "script":
            self._kind = found.get("type") or ""
            self.scripts.append((self._kind, ""))
        elif tag == "table":
            self.tables += 1
            self._table = found.get("id") or ""
        elif tag == "caption":
            self.captions += 1
        elif tag == "dl":
            self._table = "tiles"
        elif tag == "data":
            self.values.setdefault(self._table, []).append(float(found["value"] or "nan"))
        elif tag == "img":
            self.images.append(found.get("alt"))
        elif tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._open == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(text: str) -> Reader:
    return Reader(text)


def test_it_fetches_nothing(reader: Reader, text: str) -> None:
    assert all(link.startswith(("#", "data:")) for link in reader.links), [link[:60] for link in reader.links]
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style and "url(" not in style
    assert "default-src 'none'" in reader.policy and "http" not in reader.policy


def test_only_its_own_scripts_may_run(reader: Reader) -> None:
    assert not reader.handlers
    allowed = set(re.findall(r"'sha256-([^']+)'", reader.policy))
    programs = [script for kind, script in reader.scripts if not kind]
    assert len(programs) == 2
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in programs} == allowed
    assert "unsafe-eval" not in reader.policy


def test_it_is_whole(reader: Reader, report: Path, text: str) -> None:
    assert tuple(reader.headings) == HEADINGS
    assert reader.captions == reader.tables
    assert all(reader.images) and len(reader.images) == 5
    assert (report / "report.html").stat().st_size < 3_000_000
    assert {path.name for path in report.iterdir()} == {"report.html", "figures", "data.csv", "data.json", "trace.json"}
    for kind, script in reader.scripts:
        if kind == "application/json":
            json.loads(script)
    assert 'lang="en"' in text and "<title>Sample</title>" in text


def test_numbers_are_the_results(reader: Reader) -> None:
    runs = sample_runs()
    base, best = runs[0], runs[3]
    assert reader.values["tiles"] == [best.ratio, 1.71, best.energy.total_pj / 1e12, best.seconds]
    expected: list[float] = []
    for run in runs:
        assert run.quality is not None and run.quality.test_error is not None
        less, faster = base.energy.total_pj / run.energy.total_pj, base.seconds / run.seconds
        expected += [run.file_bytes, run.ratio, run.quality.test_error, run.energy.total_pj / 1e12, less, run.seconds, faster, run.cycles]
    assert reader.values["table-machines"] == pytest.approx(expected, rel=1e-12)
    assert len(reader.values["table-layers"]) == 4 * 3 * 7
    joules = [entry.pj / 1e12 for run in runs for entry in run.energy.entries]
    # an access row has four values: width, count, price, energy
    assert sum(reader.values["table-accesses"][3::4]) == pytest.approx(sum(joules))
    assert len(reader.values["table-compression"]) == 4 * 2 * 8


def test_provenance_names_everything(text: str) -> None:
    for run in sample_runs():
        for source in (run.workload, run.recipe, run.model, run.architecture, run.technology):
            assert source.hash in text and source.hash[:12] in text
    assert "sample: trained from seed 7" in text
    assert "CACTI 7" in text and "Horowitz" in text and "ICLR 2016" in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    run = sample_runs()[3]
    hostile = replace(
        run,
        architecture=Source(name=HOSTILE, hash="0"),
        recipe=Source(name=HOSTILE, hash="0"),
        weight_source=HOSTILE,
        trace=None,
        layers=tuple(tuple(replace(x, name=f"{HOSTILE}{x.name}") for x in inputs) for inputs in run.layers),
    )
    rows = [replace(row, layer=HOSTILE) for row in sample_compression()]
    written = write_report([hostile], tmp_path, title=HOSTILE, compression=rows)
    reader = Reader(written.read_text(encoding="utf-8"))
    assert len([1 for kind, _ in reader.scripts if not kind]) == 2
    assert len(reader.images) == 4 and not reader.handlers
    assert tuple(reader.headings) == HEADINGS
    assert not (tmp_path / "trace.json").exists()


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        write_report([], tmp_path / "out")
    with pytest.raises(DataError, match="baseline"):
        write_report(sample_runs(), tmp_path / "out", baseline="abacus")
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"qsim-hw\[report\]"):
        write_report(sample_runs(), tmp_path)
