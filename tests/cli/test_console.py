"""Can tables be read on a narrow terminal, and does a long silence say that something happens?"""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from qsim.cli import console as module
from qsim.cli.console import progress, table

ROWS = [
    ("sparse-huffman-dram", "smallest", "4,532 B", "235.3x", "13,161", "16.5 us"),
    ("dense-16b-dram", "dense", "529,740 B", "2.0x", "76,749", "95.9 us"),
]
COLUMNS = ("machine", "recipe", "file", "times smaller", "cycles an inference", "time")


@pytest.mark.parametrize("width", [160, 80, 60, 50])
def test_figures_stay_whole_and_names_are_folded_before_them(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    narrow = Console(file=out, width=width)
    monkeypatch.setattr(module, "console", lambda: narrow)
    narrow.print(table("Designs", COLUMNS, ROWS, text_columns=2))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for row in ROWS:
        for figure in row[2:]:
            assert figure in text
        assert width < 80 or row[0] in text, "names are whole where there is room"


class Impatient:
    """A timer whose time is up at once, or never."""

    up = True

    def __init__(self, interval: float, function: Callable[[], None]) -> None:
        self.function, self.cancelled = function, False
        made.append(self)

    def start(self) -> None:
        if self.up:
            self.function()

    def cancel(self) -> None:
        self.cancelled = True


class Patient(Impatient):
    up = False


made: list[Impatient] = []


def test_a_long_silence_says_that_something_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(module, "messages", Console(file=out, force_terminal=True, width=100))
    monkeypatch.setattr(module, "Timer", Impatient)
    with progress() as report:
        report("prune", 1, 2)
    text = out.getvalue()
    assert 0 <= text.find("getting ready") < text.find("prune")
    assert "getting ready" not in text.rpartition("prune")[2], "it goes once there is a stage"


def test_a_mistake_that_is_found_at_once_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(module, "messages", Console(file=out, force_terminal=True, width=100))
    monkeypatch.setattr(module, "Timer", Patient)
    with progress():
        pass
    assert out.getvalue() == ""
    assert made[-1].cancelled, "nothing comes later either"
