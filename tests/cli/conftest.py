"""A real network for the tests of the command line: LeNet-300-100 on MNIST, compressed by a recipe that takes seconds."""

from pathlib import Path

import pytest

from qsim.build import build
from qsim.cli import main
from qsim.progress import silent

QUICK = """
name = "quick"
description = "seconds, not accuracy"
[prune]
method = "iterative"
densities = [0.08, 0.09, 0.26]
rounds = 1
epochs = 1
[quantise]
method = "kmeans"
entries = 15
[finetune]
epochs = 0
"""


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe ``quick.toml``, the file ``quick.qsz`` made from it, and the cache it was made in."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "quick.toml").write_text(QUICK)
    built = build("lenet-300-100", str(folder / "quick.toml"), cache=folder / "cache", progress=silent)
    (folder / "quick.qsz").write_bytes(built.path.read_bytes())
    return folder


class Command:
    """Runs the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Return exit status, standard output and standard error of ``qsim words``."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        captured = self._capsys.readouterr()
        code = left.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err


@pytest.fixture
def qsim(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line."""
    return Command(capsys)
