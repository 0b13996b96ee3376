"""Asks whether every planted bug still fits the sources and names a test that exists, and whether a survivor would be told."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mutation import MUTATIONS
from mutation.judge import Fate, Verdict, judge
from mutation.mutant import ROOT, Mutation
from mutation.report import markdown, record
from mutation.reuse import known
from mutation.runner import run_all
from mutation.table_of_array import OF_ARRAY
from mutation.table_of_elements import OF_ELEMENTS
from mutation.table_of_top import OF_TOP
from mutation.table_of_units import OF_UNITS

ALL = list(MUTATIONS.values())
ONE = Mutation(
    name="no least depth",
    bug="A queue without a slot is accepted.",
    file="rtl/stream.py",
    old="if depth < 1:",
    new="if depth < 0:",
    tests=("tests/rtl/test_units.py::test_impossible_units_are_refused",),
)


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_every_bug_still_fits_the_source(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    ast.parse(mutation.planted(text))


def test_there_are_enough_of_them_and_no_two_are_the_same() -> None:
    tables = (OF_UNITS, OF_ELEMENTS, OF_ARRAY, OF_TOP)
    assert len(ALL) == sum(len(table) for table in tables) >= 30
    assert len({(mutation.file, mutation.old, mutation.new) for mutation in ALL}) == len(ALL)


def test_every_named_test_exists() -> None:
    """File and function; whether the parameters do is seen when the tests run without a bug."""
    named = {test.split("[")[0] for mutation in ALL for test in mutation.tests}
    for path in {test.split("::")[0] for test in named}:
        functions = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}
        assert {test.split("::")[1] for test in named if test.startswith(path)} <= functions


def test_the_generated_table_is_of_these_bugs() -> None:
    text = (ROOT / "docs" / "mutations.md").read_text()
    rows = re.findall(r"^\| (?!mutation|---)(.+?) \| (.+?) \| `(.+?)` \|", text, flags=re.MULTILINE)
    assert rows == [(mutation.name, mutation.bug, mutation.file) for mutation in ALL], "make mutate writes docs/mutations.md anew"
    assert "**survived**" not in text and "**broken**" not in text and "**not planted**" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "qsim/errors.py"}, r"no least depth: file must be in rtl/, not 'qsim/errors.py'"),
        ({"new": "if depth < 1:"}, "no least depth: new must differ from old, 'if depth < 1:'"),
        ({"tests": ()}, "no least depth: tests must name at least one"),
    ],
)
def test_impossible_mutations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as found:
        replace(ONE, **change)
    assert str(found.value) == message


def test_a_text_that_is_gone_or_twice_is_told() -> None:
    with pytest.raises(ValueError, match=r"rtl/stream.py must hold 'if depth < 1:' once, not 0 times"):
        ONE.planted("")
    with pytest.raises(ValueError, match="not 2 times"):
        ONE.planted(ONE.old * 2)


def test_a_bug_is_planted_in_a_copy_and_caught_there() -> None:
    (verdict,) = run_all([ONE], 1)
    assert verdict.fate is Fate.KILLED
    assert verdict.killer.startswith("tests/rtl/test_units.py::test_impossible_units_are_refused[")
    assert verdict.how.startswith("Failed: DID NOT RAISE")
    assert ONE.old in (ROOT / ONE.file).read_text()


def report(folder: Path, message: str, text: str = "") -> Path:
    path = folder / "report.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="tests.rtl.a" name="good"/><testcase classname="tests.rtl.a" name="bad">'
        f'<failure message="{message}">{text}</failure></testcase></testsuite></testsuites>'
    )
    return path


@pytest.mark.parametrize(
    ("code", "message", "text", "fate", "how"),
    [
        (0, "", "", Fate.SURVIVED, ""),
        (1, "assert 1 == 2", "", Fate.KILLED, "assert 1 == 2"),
        (1, "assert False + where False = f(3)", "a.py:1: in x\n    assert f(3)\nE   assert False", Fate.KILLED, "assert f(3)"),
        (1, "qsim.errors.QsimError: bench x: failed: y", "some\nE AssertionError: item 3\nmore", Fate.KILLED, "AssertionError: item 3"),
        (1, "NameError: name 'x' is not defined", "", Fate.BROKEN, "NameError: name 'x' is not defined"),
        (1, "qsim.errors.QsimError: Verilator could not build units:", "", Fate.BROKEN, "QsimError: Verilator could not build units:"),
        (1, "Failed: Timeout (&gt;900.0s) from pytest-timeout.", "", Fate.BROKEN, "Failed: Timeout (>900.0s) from pytest-timeout."),
        (4, "", "", Fate.BROKEN, "no such file"),
    ],
)
def test_the_judge_is_fair(code: int, message: str, text: str, fate: Fate, how: str, tmp_path: Path) -> None:
    verdict = judge("x", code, report(tmp_path, message, text), "said\nno such file\n", 1.23, 4.56)
    killer = "tests/rtl/a.py::bad" if code == 1 else ""
    assert verdict == Verdict(name="x", fate=fate, killer=killer, how=how, seconds=1.2, cpu_seconds=4.6)


def test_the_report_shows_who_caught_what_and_who_escaped() -> None:
    other = replace(ONE, name="other")
    verdicts = {
        ONE.name: Verdict(name=ONE.name, fate=Fate.KILLED, killer="tests/rtl/a.py::b", how="1 | 2", cpu_seconds=90.0),
        "other": Verdict(name="other", fate=Fate.SURVIVED),
    }
    text = markdown([ONE, other], verdicts)
    assert "1 of 2 bugs were caught, in 2 CPU minutes." in text
    assert "| no least depth | A queue without a slot is accepted. | `rtl/stream.py` | `rtl/a.py::b` | `1 \\| 2` |" in text
    assert "| other | A queue without a slot is accepted. | `rtl/stream.py` | **survived** |  |" in text
    assert [each["fate"] for each in record([ONE, other], verdicts)["mutations"]] == ["killed", "survived"]


def test_what_was_caught_is_known_until_something_changes(tmp_path: Path) -> None:
    """Killed ones only, and only with the key of the same mutation, tests and RTL."""
    path, (one, other, third) = tmp_path / "mutate.json", ALL[:3]
    verdicts = {each.name: Verdict(name=each.name, fate=Fate.KILLED, killer="a", how="b", cpu_seconds=2.5) for each in (one, other, third)}
    verdicts[other.name] = replace(verdicts[other.name], fate=Fate.SURVIVED)
    path.write_text(json.dumps(record(ALL, verdicts)))
    assert known(path, ALL) == {name: verdict for name, verdict in verdicts.items() if name != other.name}
    assert known(path, [replace(one, bug="another"), third]) == {third.name: verdicts[third.name]}
    assert known(tmp_path / "absent.json", ALL) == {}
