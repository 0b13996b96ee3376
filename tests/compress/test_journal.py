"""Question: does a compression that was killed go on where it was, to the very file of an uninterrupted run, and trust no other journal?"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qsim.compress.journal import FileJournal
from qsim.compress.pipeline import compress
from qsim.compress.recipe import parse_recipe
from qsim.progress import Progress, silent
from tests.compress.small import TASK, data, state

KEY, OTHER = "a" * 64, "b" * 64
GRADUAL = 'method = "gradual"\ndensity = 0.3\nepochs = 3\nsecond_density = 0.2\nsecond_epochs = 2\nshift = 1\ninterval = 7'
RECIPES = {
    "gradual": f'[prune]\n{GRADUAL}\n[quantise]\nmethod = "kmeans"\nentries = 4\nstart = "forgy"\n[finetune]\nepochs = 1',
    "iterative": '[prune]\nmethod = "iterative"\ndensities = [0.3, 0.3, 0.5]\nrounds = 2\nepochs = 1\n'
    '[quantise]\nmethod = "binary"\nepochs = 2',
    "structured": '[prune]\nmethod = "structured"\npattern = "block"\nepochs = 3\n[quantise]\nmethod = "pvq"\npulses = [1]\nepochs = 1',
}


def made(name: str, folder: Path | None = None, progress: Progress = silent) -> str:
    """The content hash of the file that a recipe gives."""
    recipe = parse_recipe(f'name = "{name}"\nseed = 3\norder_units = true\n{RECIPES[name]}\n')
    if folder is None:
        return compress(recipe, TASK, state(), data(), progress).content_hash
    return compress(recipe, TASK, state(), data(), progress, journal=FileJournal(folder / "journal", KEY)).content_hash


class StopAt:
    """Stops the job at its ``count``-th report: by an exception, or the way the kernel does it."""

    def __init__(self, count: int, *, kill: bool = False) -> None:
        self._left, self._kill = count, kill
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        self.calls.append((stage, done, total))
        self._left -= 1
        if self._left == 0:
            if self._kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", RECIPES)
def test_stopped_at_every_report_the_result_is_the_same(name: str, tmp_path: Path) -> None:
    reports, stops = StopAt(0), 0
    expected = made(name, progress=reports)
    while True:
        try:
            found = made(name, tmp_path, StopAt(stops + 1))
            break
        except KeyboardInterrupt:
            stops += 1
    assert found == expected
    assert 2 <= stops <= len(reports.calls)


def test_finished_epochs_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made("gradual", tmp_path, StopAt(4))
    later = StopAt(0)
    made("gradual", tmp_path, later)
    assert [call for call in later.calls if call[0] == "prune"] == [("prune", 5, 5)]  # 3 + 1 of 3 + 2 epochs were finished


def test_a_killed_process_leaves_a_journal_to_go_on_from(tmp_path: Path) -> None:
    code = "from pathlib import Path; from tests.compress.test_journal import *; "
    code += f"made('gradual', Path({str(tmp_path)!r}), StopAt(2, kill=True))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    later = StopAt(0)
    assert made("gradual", tmp_path, later) == made("gradual")
    assert later.calls[0] == ("prune", 3, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is damaged"),
        (lambda content: content[:50], "is damaged"),
        (lambda content: b"", "is damaged"),
        (lambda content: content.replace(KEY.encode(), OTHER.encode()), "belongs to another recipe"),
    ],
)
def test_damaged_and_foreign_journals_are_ignored_with_a_word(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    FileJournal(path, KEY).write("prune", {"parameters": torch.arange(3)})
    kept = FileJournal(path, KEY).read("prune")
    assert kept is not None
    assert torch.equal(kept["parameters"], torch.arange(3))
    path.write_bytes(change(path.read_bytes()))
    assert FileJournal(path, KEY).read("prune") is None
    assert message in caplog.text


def test_stages_that_are_over_are_dropped_and_the_file_goes_at_the_end(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal", KEY)
    journal.write("prune pass 0", {"x": torch.zeros(1)})
    journal.write("prune", {"x": torch.ones(1)}, "prune")
    assert FileJournal(tmp_path / "journal", KEY).read("prune pass 0") is None
    assert journal.read("prune") is not None
    journal.remove()
    assert list(tmp_path.iterdir()) == []
