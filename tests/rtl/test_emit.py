"""Asks whether making Verilog and models is deterministic, cached by content, and clear about what went wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qsim.errors import QsimError
from rtl.emit import content_hash, emit, rtlil_text, verilog_text
from rtl.stream import Queue
from rtl.toolchain import build_model, run_bench

_PRINT = """
from rtl.emit import rtlil_text, verilog_text
from tests.rtl.units import Units
print(verilog_text(rtlil_text(Units(), "units")))
"""


def _in_process(hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", _PRINT], env=environment, capture_output=True, text=True, check=True).stdout


def test_verilog_is_the_same_in_every_process() -> None:
    first = _in_process(1)
    assert first == _in_process(2)
    assert "module units(" in first
    assert "rtl/stream.py" not in first, "the text names source files"
    assert "process_1_runs" in first and "$auto$" not in first, "GTKWave refuses a dump with colons in a name"


def test_a_design_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(depth: int) -> Queue:
        made.append(depth)
        return Queue(8, depth)

    first = emit(lambda: make(3), "queue", tmp_path, "depth 3")
    assert emit(lambda: make(3), "queue", tmp_path, "depth 3") == first
    assert made == [3]
    assert emit(lambda: make(3), "queue", tmp_path, "another key, the same design") == first
    assert emit(lambda: make(4), "queue", tmp_path, "depth 4") != first
    assert first.parent.name == f"queue-{content_hash(rtlil_text(Queue(8, 3), 'queue'))}"
    first.unlink()
    assert emit(lambda: make(3), "queue", tmp_path, "depth 3") == first
    assert first.exists()


def test_yosys_failures_are_reported() -> None:
    with pytest.raises(QsimError, match=r"yosys failed: .*ERROR"):
        verilog_text("module \\unfinished\n  wire width\n")


@pytest.mark.rtl
def test_verilator_failures_are_reported_and_leave_no_model(tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken(input clk); assign nothing = ; endmodule\n")
    with pytest.raises(QsimError, match=r"Verilator could not build broken:\n(.|\n)*syntax error"):
        build_model(source, "broken")
    assert not (tmp_path / "model").exists()


@pytest.mark.rtl
def test_bench_failures_are_reported(build_dir: Path, tmp_path: Path) -> None:
    model = build_model(emit(lambda: Queue(8, 3), "queue", build_dir, "depth 3"), "queue")
    assert build_model(emit(lambda: Queue(8, 3), "queue", build_dir, "depth 3"), "queue") == model
    with pytest.raises(QsimError, match=r"failed: fails\n(.|\n)*one is not two"):
        run_bench(model, "queue", "tests.rtl.bench_failing", {}, tmp_path)
    with pytest.raises(QsimError, match="no_such_bench"):
        run_bench(model, "queue", "tests.rtl.no_such_bench", {}, tmp_path)
