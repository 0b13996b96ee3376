"""Whether the exported files read back as the numbers that went in."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from qsim.results import Source, load_runs
from reports.exports import CSV_FIELDS, csv_text
from tests.reports.sample import sample_runs

RUNS = sample_runs()


def test_json_reads_back_equal(report: Path) -> None:
    assert load_runs(report / "data.json") == [replace(run, trace=None) for run in RUNS]


def test_csv_holds_the_numbers(report: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((report / "data.csv").read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == CSV_FIELDS

    def value(machine: str, quantity: str, layer: str = "", item: str = "") -> float:
        found = [r for r in rows if (r["machine"], r["quantity"], r["layer"], r["item"]) == (machine, quantity, layer, item)]
        assert len(found) == 1 and found[0]["unit"]
        return float(found[0]["value"])

    for run in RUNS:
        name = run.architecture.name
        assert value(name, "energy") == run.energy.total_pj / 1e12
        assert value(name, "time") == run.seconds
        assert value(name, "file size") == run.file_bytes
        assert run.quality is not None
        assert value(name, "test error") == run.quality.test_error
        assert value(name, "cycles", "fc2") == pytest.approx(sum(layer.cycles for layer in run.layers[1]) / 3)
        assert value(name, "unit time busy", item="pe") > 0


def test_a_spreadsheet_runs_no_formula() -> None:
    hostile = replace(RUNS[0], architecture=Source(name='=HYPERLINK("x")', hash="0"))
    for row in list(csv.reader(io.StringIO(csv_text([hostile]))))[1:]:
        assert row[0].startswith("'=")
