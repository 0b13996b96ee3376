"""Question: do errors, units and file writes keep their promises, whoever calls them?"""

import errno
import os
import pickle
from pathlib import Path

import pytest

from qsim.actions import Access, Action
from qsim.errors import FieldError, MissingExtra, QsimError, nearest
from qsim.files import parse_toml, write_bytes_atomically
from qsim.units import si


def test_a_field_error_names_path_rule_value_and_the_nearest_legal_value() -> None:
    error = FieldError(path="array.kind", rule="a PE kind", value="spars", legal=("dense", "sparse"))
    assert str(error) == "array.kind must be a PE kind, not 'spars'; legal values: dense, sparse (did you mean 'sparse'?)"
    assert error.exit_code == 2


def test_nothing_is_suggested_when_nothing_is_near() -> None:
    assert nearest("zzz", ("dense", "sparse")) == ""


def test_a_missing_extra_names_the_install_command() -> None:
    assert "pip install 'qsim-hw[report]'" in str(MissingExtra("report", "the HTML report"))


@pytest.mark.parametrize("error", [MissingExtra("torch", "training"), FieldError(path="a.b", rule="at least 1", value=0, legal=("c",))])
def test_errors_come_back_whole_from_another_process(error: QsimError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, f"x = {'9' * 5000}", "x", "x = 1\nx = 2"])
def test_what_is_no_toml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_toml(text)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 J"), (1.5e-6, "1.5 uJ"), (999.6, "1 kJ"), (2.5e-13, "0.25 pJ"), (12, "12 J"), (-3e3, "-3 kJ")]
)
def test_si_prefixes(value: float, text: str) -> None:
    assert si(value, "J") == text


@pytest.mark.parametrize(("action", "capacity"), [(Action.SRAM_READ, 0), (Action.INT_ADD, 1024)])
def test_capacity_belongs_to_sram_and_only_to_sram(action: Action, capacity: int) -> None:
    with pytest.raises(FieldError, match="capacity_bytes"):
        Access(unit="x", action=action, width_bits=32, capacity_bytes=capacity)


def test_a_write_replaces_the_file_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_bytes_atomically(path, b"old")
    write_bytes_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """A pipe stands for ``/dev/stdout`` and ``/dev/null``: replaced by a file, nobody could use it any more."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes_atomically(path, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert path.is_fifo()
    with pytest.raises(QsimError, match="cannot write"):
        write_bytes_atomically(tmp_path, b"a folder")


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "file")
    for data in (b"first", b"second"):
        write_bytes_atomically(tmp_path / "link", data)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far" / "file").read_bytes() == data
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(QsimError, match="cannot write"):
        write_bytes_atomically(tmp_path / "one", b"in a circle")


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(QsimError, match="No space left"):
        write_bytes_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_during_the_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes_atomically(path, b"old")

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_bytes_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
