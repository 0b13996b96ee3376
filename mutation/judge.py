"""What pytest's report says about a mutation."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree

# A text that is no RTL any more is no bug that a test caught; nor is a machine too busy for the test: benches limit cycles, not seconds.
_NO_DESIGN = ("SyntaxError", "NameError", "TypeError", "AttributeError", "ImportError", "IndexError")
_NO_MODEL = ("Verilator could not build", "yosys failed", "pytest-timeout")
FAILED, PASSED = 1, 0  # pytest's exit codes
_LENGTH = 110


class Fate(StrEnum):
    """What became of a mutation."""

    KILLED = "killed"
    SURVIVED = "survived"
    BROKEN = "broken"
    OPEN = "not planted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``killer``: the test that failed; ``how``: its message. Both empty unless killed; ``how`` also if the design could not be made."""

    name: str
    fate: Fate
    killer: str = ""
    how: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def judge(name: str, exit_code: int, report: Path, said: str, seconds: float, cpu_seconds: float) -> Verdict:
    """Return the verdict on mutation ``name``: ``report`` is pytest's XML, ``said`` what it printed."""
    spent = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
    if exit_code == PASSED:
        return Verdict(name=name, fate=Fate.SURVIVED, **spent)
    killer, how = _first_failure(report) if exit_code == FAILED else ("", said.strip().splitlines()[-1] if said.strip() else "no output")
    broken = exit_code != FAILED or how.startswith(_NO_DESIGN) or any(text in how for text in _NO_MODEL)
    return Verdict(name=name, fate=Fate.BROKEN if broken else Fate.KILLED, killer=killer, how=how, **spent)


def _first_failure(report: Path) -> tuple[str, str]:
    for case in ElementTree.parse(report).iter("testcase"):
        for child in case:
            if child.tag in ("failure", "error"):
                return f"{case.get('classname', '?').replace('.', '/')}.py::{case.get('name', '?')}", _reason(child)
    return "?", "?"


def _reason(failure: ElementTree.Element) -> str:
    """Return the message in a line; of a bench that failed the message of the bench."""
    message, text = failure.get("message", ""), failure.text or ""
    marks = [line.strip() for line in text.splitlines() if "AssertionError" in line or "SimTimeoutError" in line]
    if "QsimError" in message and marks:
        message = marks[-1]
    line = " ".join(message.split()).split(" + where ")[0]
    if line.removeprefix("AssertionError: ") == "assert False":  # says nothing: the line that was asserted does
        sources = [each.strip() for each in text.splitlines() if each.startswith("    assert ")]
        line = sources[-1] if sources else line
    for prefix in ("qsim.errors.", "failed on setup with ", "E "):
        line = line.removeprefix(prefix).strip('"')
    return line if len(line) <= _LENGTH else f"{line[: _LENGTH - 3]}..."
