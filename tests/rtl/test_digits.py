"""Asks whether whole networks run alone on the accelerator of every PE, a hundred digits each, with the right bits and counts.

The real network, pruned and quantised without retraining, at 8 PEs; the recipes' files and ten thousand digits: ``test_full``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.array_job import array_job
from qsim.errors import UnsupportedProgram
from qsim.sim.semantics import infer
from qsim.verify_network import COMPARED, COUNTS, verify_network
from rtl.network import run_network
from tests.cli.conftest import Command
from tests.rtl.lenet import compressed
from workloads.mnist import load_test

pytestmark = pytest.mark.rtl

DIGITS = 100
EVENT_DIGITS = 3


@pytest.mark.parametrize("kind", ["sparse", "codebook", "dense", "pvq"])
def test_a_hundred_digits(kind: str, build_dir: Path) -> None:
    images = load_test().images[:DIGITS].astype(np.int64)
    check = verify_network(compressed(kind), MACHINES[f"{kind}-rtl-8"], images, build_dir=build_dir, event_inputs=EVENT_DIGITS)
    assert check.agree, check.first_difference
    assert (check.inputs, check.logits, check.event_inputs) == (DIGITS, DIGITS * 10, EVENT_DIGITS)
    assert check.logit_differences_torch == 0
    # Of three layers each.
    assert check.compared == dict.fromkeys((*COMPARED, COUNTS), 3 * DIGITS)


def test_layers_that_do_not_follow_each_other_are_refused(build_dir: Path) -> None:
    machine, images = MACHINES["sparse-rtl-8"], load_test().images[:1].astype(np.int64)
    model = compressed("sparse")
    inputs = infer(model, images).inputs
    jobs = [array_job(layer, machine, given) for layer, given in zip(model.layers, inputs, strict=True)]
    with pytest.raises(UnsupportedProgram, match=r"layers\[1\].columns must be 300, not 100"):
        run_network(machine, [jobs[0], jobs[2]], images, build_dir)


def test_the_command_says_what_was_compared(tmp_path: Path, build_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compressed("sparse").save(tmp_path / "lenet.qsz")
    words = ("verify", tmp_path / "lenet.qsz", "-m", "sparse-rtl-8", "--images", "0:20", "--whole", "--build", build_dir)
    code, out, err = Command(capsys)(*words)
    assert code == 0, err
    assert "20 inputs" in out and "SimPy" in out and "action counts" in out
    code, out, err = Command(capsys)(*words, "--json")
    found = json.loads(out)
    assert code == 0 and found["agree"] and found["event_inputs"] == 10 and found["compared"]["cycles"] == 60, err
