"""Question: does ``qsim synth`` give the table and the same numbers as JSON, and tell a mistake in one line?"""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

MACHINE = """
base = "sparse-rtl-1"
name = "small"
[weights]
bytes = 2048
[pointers]
bytes = 512
[activations]
bytes = 512
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(MACHINE)
    return path


def test_the_table_and_the_json_agree(qsim: Command, machine: Path, tmp_path: Path) -> None:
    words = ("synth", "-m", machine, "-d", "ecp5-25k", "--no-place", "--build", tmp_path / "out")
    status, out, err = qsim(*words, "--json")
    facts = json.loads(out)
    assert status == 0
    assert "synth_ecp5" in err, "a long job tells what it does"
    assert facts["fmax_mhz"] is None
    status, out, _ = qsim(*words)
    assert status == 0
    for resource, used in facts["used"].items():
        (line,) = (line for line in out.splitlines() if f" {resource} " in line and "│" in line)
        assert f"{used:,}" in line
        assert f"{facts['available'][resource]:,}" in line
    assert f"{facts['shell_registers']:,} flip-flops of these belong to the scan shell" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-d", "ecp5-25"), "did you mean 'ecp5-25k'?"),
        (("-m", "sparse-rtl-3"), "did you mean 'sparse-rtl-"),
        (("-m", "sparse-huffman-dram"), "dram must be absent"),
    ],
)
def test_a_mistake_gets_one_clear_line_and_status_2(words: tuple[str, ...], told: str, qsim: Command, tmp_path: Path) -> None:
    status, out, err = qsim("synth", *words, "--build", tmp_path)
    assert status == 2
    assert told in err
    assert "Traceback" not in err + out
