"""Question: does a result survive its JSON form exactly, and is a damaged one refused with the field that is wrong?"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from qsim.actions import Access, Action
from qsim.errors import FieldError, FileFormatError
from qsim.results import (
    ActionCount,
    EnergyBreakdown,
    EnergyEntry,
    LayerResult,
    Quality,
    RunResult,
    Source,
    Span,
    Stall,
    Trace,
    UnitTime,
    load_runs,
    run_from_mapping,
    run_to_json,
    save_runs,
)

READ = Access(unit="weights", action=Action.SRAM_READ, width_bits=64, capacity_bytes=131072)


def layer(cycles: int = 10) -> LayerResult:
    unit = UnitTime(unit="pe0", busy=6, stalled={Stall.STARVED: 3}, idle=1)
    counts = (ActionCount(access=READ, count=4),)
    return LayerResult(name="fc1", cycles=cycles, macs=6, dense_macs=100, units=(unit,), counts=counts, events={"entries": 6})


def run() -> RunResult:
    source = Source(name="name", hash="00")
    entry = EnergyEntry(layer="fc1", access=READ, count=4.0, pj=40.0)
    return RunResult(
        workload=source,
        model=source,
        recipe=source,
        architecture=source,
        technology=source,
        engine="fast",
        version="0",
        seed=0,
        clock_hz=1e9,
        inputs=(7,),
        file_bytes=100,
        float_bytes=4000,
        layers=((layer(),),),
        energy=EnergyBreakdown(technology="name", entries=(entry,), leakage_pj=2.0),
        quality=Quality(test_error=1.5, float_test_error=None, test_images=10),
        trace=Trace(layer="fc1", cycles=10, spans=(Span(unit="pe0", start=0, end=6, state="busy"),)),
    )


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    save_runs(tmp_path / "runs.json", [run(), run()])
    assert load_runs(tmp_path / "runs.json") == [run(), run()]


def test_totals_follow_from_the_parts() -> None:
    assert run().cycles == 10
    assert run().seconds == pytest.approx(1e-8)
    assert run().ratio == 40
    assert run().energy.total_pj == 42.0


def test_unit_times_must_add_up_to_the_layer() -> None:
    with pytest.raises(FieldError, match=r"fc1\.units\.pe0 must be .*11 cycles"):
        layer(cycles=11)


def test_an_unknown_field_is_refused_by_name() -> None:
    data = json.loads(run_to_json(run()))
    data["colour"] = "blue"
    with pytest.raises(FileFormatError, match="colour"):
        run_from_mapping(data)


def test_another_schema_is_refused() -> None:
    data = json.loads(run_to_json(run()))
    data["schema"] = 99
    with pytest.raises(FileFormatError, match="schema must be 1, not 99"):
        run_from_mapping(data)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", "\x00", "[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileFormatError):
        load_runs(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        load_runs(tmp_path / "none.json")
    with pytest.raises(FileFormatError, match="Is a directory"):
        load_runs(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clock_hz", 0.0),
        ("clock_hz", float("inf")),
        ("clock_hz", float("nan")),
        ("file_bytes", 0),
        ("float_bytes", 0),
        ("inputs", ()),
        ("inputs", (1, 2)),
        ("layers", ()),
        ("energy", EnergyBreakdown(technology="name", entries=())),
        ("energy", EnergyBreakdown(technology="name", entries=(), leakage_pj=float("nan"))),
    ],
)
def test_a_run_that_nothing_can_be_compared_with_is_refused(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=r"^run\."):
        dataclasses.replace(run(), **{field: value})


def test_a_file_with_such_a_run_names_the_rule() -> None:
    data = json.loads(run_to_json(run()))
    data["file_bytes"] = 0
    with pytest.raises(FileFormatError, match=r"run\.file_bytes must be at least 1, not 0"):
        run_from_mapping(data)
