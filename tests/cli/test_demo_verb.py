"""Question: does what `qsim demo` leaves in its folder belong to its last call, also where finished stages are reused?"""

from pathlib import Path

import pytest

from qsim.build import Built
from qsim.cli import demo_verb
from qsim.results import load_runs


def test_the_runs_beside_the_report_are_those_of_the_last_call(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_verb, "DESIGNS", (("quick", "sparse-sram"),))
    files = {"quick": Built(path=workplace / "quick.qsz", recipe="quick", key="quick", reused=True)}
    for images in ((0,), (0, 1), (0,)):  # the last call finds the first one's runs in the cache
        runs = demo_verb._simulate(files, tmp_path, images, None)
        assert [run.inputs for run in runs] == [images]
        assert load_runs(tmp_path / "runs.json") == runs
    assert len(list((tmp_path / "cache").iterdir())) == 2
