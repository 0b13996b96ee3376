"""Question: does ``qsim rtl`` write a whole folder or nothing, and tell a mistake in one line with what would be right?"""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

MACHINE = """
base = "sparse-rtl-1"
name = "small"
[weights]
bytes = 256
[pointers]
bytes = 64
[activations]
bytes = 128
[array]
local_rows = 8
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(MACHINE)
    return path


@pytest.mark.rtl
def test_a_machine_without_a_network(qsim: Command, machine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said, err = qsim("rtl", "-m", machine, "--layers", "2", "--out", out, "--build", tmp_path / "build", "--json")
    assert status == 0 and "Verilog" in err
    names = {"accelerator.v", "registers.md", "registers.rdl", "qsim_accelerator.h", "README.md", "package.json"}
    assert set(json.loads(said)["files"]) == names == {path.name for path in out.iterdir()}
    assert json.loads((out / "package.json").read_text())["layers"] == 2
    assert "module qsim_accelerator(" in (out / "accelerator.v").read_text()
    assert "#define QSIM_NETWORK_LAYERS 2u" in (out / "qsim_accelerator.h").read_text()


@pytest.mark.rtl
def test_mistakes_end_with_status_2_and_leave_nothing(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    file, out = workplace / "quick.qsz", tmp_path / "out"
    for words, message in (
        ((file, "-m", "pvq-rtl-4"), "presets with RTL that this network fits: sparse-rtl-"),
        ((file, "-m", "dense-rtl-9"), "legal values: "),
        ((file, "--layers", "2", "-m", "sparse-rtl-8"), "layers must be at least 3, those of the network, not 2"),
        ((file, "--images", "10000"), "--images must be 0 to 9999"),
        ((tmp_path / "none.qsz",), "none.qsz"),
        (("-m", "sparse-huffman-dram"), "dram must be absent"),
        (("--bus", "spi"), "'spi' is not one of 'axi', 'uart', 'none'"),
        (("--layers", "0"), "not in the range"),
    ):
        status, said, err = qsim("rtl", *words, "--out", out)
        assert (status, said) == (2, ""), words
        assert message in err
        assert not out.exists()


@pytest.mark.rtl
def test_a_folder_with_other_files_is_left_alone(qsim: Command, machine: Path, tmp_path: Path) -> None:
    words = ("rtl", "-m", machine, "--bus", "none", "--build", tmp_path / "build", "--out", tmp_path)
    status, _, err = qsim(*words)
    assert status == 2 and "must be a new or empty folder" in err
    assert machine.read_text() == MACHINE
