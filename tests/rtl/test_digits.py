"""Asks whether whole networks run alone on the accelerator of every PE, a hundred digits each, with the right bits and counts.

The real network, pruned and quantised without retraining, at 8 PEs; the recipes' files and ten thousand digits: ``test_full``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.errors import UnsupportedProgram
from qsim.sim.semantics import infer
from qsim.verify import array_job
from qsim.verify_network import COUNTS, verify_network
from rtl.counters import OF_PES, TOTALS, Counters
from rtl.network import run_network
from rtl.parameters import ArrayParameters
from rtl.sequencer import Sequencer
from tests.cli.conftest import Command
from tests.rtl.test_network import compressed
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
    # Of three layers each; additions are among the action counts, and setup is no time of a layer.
    names = {*TOTALS, *OF_PES, COUNTS} - {"additions", "setup"}
    assert check.compared == dict.fromkeys(names, 3 * DIGITS)


def test_setup_takes_what_the_sequencer_says(build_dir: Path) -> None:
    """The same model as above; the counters are read ``settle`` cycles behind a layer and show what was ``latency`` before."""
    machine, images = MACHINES["sparse-rtl-8"], load_test().images[:5].astype(np.int64)
    model = compressed("sparse")
    inputs = infer(model, images).inputs
    jobs = [array_job(layer, machine, given) for layer, given in zip(model.layers, inputs, strict=True)]
    setup = run_network(machine, jobs, images, build_dir).counters["setup"]
    sequencer = Sequencer(ArrayParameters.of(machine, layers=3))
    seen = 1 + sequencer.settle - Counters.latency
    assert setup[:, 0].tolist() == [sequencer.setup_latency + 784 // machine.scan.row_width + seen] * 5
    assert setup[:, 1:].tolist() == [[sequencer.between_layers] * 2] * 5


def test_layers_that_do_not_follow_each_other_are_refused(build_dir: Path) -> None:
    machine, images = MACHINES["sparse-rtl-8"], load_test().images[:1].astype(np.int64)
    model = compressed("sparse")
    inputs = infer(model, images).inputs
    jobs = [array_job(layer, machine, given) for layer, given in zip(model.layers, inputs, strict=True)]
    with pytest.raises(UnsupportedProgram, match=r"layers\[1\].columns must be 300, not 100"):
        run_network(machine, [jobs[0], jobs[2]], images, build_dir)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layers", "ip3"), "--layers must be absent with --whole, not 'ip3'"),
        (("--wave", "x.vcd"), "--wave must be absent with --whole, not 'x.vcd'"),
    ],
)
def test_the_command_refuses_parts_of_a_whole(
    words: tuple[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compressed("sparse").save(tmp_path / "lenet.qsz")
    code, _, err = Command(capsys)("verify", tmp_path / "lenet.qsz", "-m", "sparse-rtl-8", "--whole", *words)
    assert (code, message in err.replace("\n", " ")) == (2, True), err


def test_the_command_says_what_was_compared(tmp_path: Path, build_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compressed("sparse").save(tmp_path / "lenet.qsz")
    words = ("verify", tmp_path / "lenet.qsz", "-m", "sparse-rtl-8", "--images", "0:20", "--whole", "--build", build_dir)
    code, out, err = Command(capsys)(*words)
    assert code == 0, err
    assert "20 inputs" in out and "SimPy" in out and "action counts" in out
    code, out, err = Command(capsys)(*words, "--json")
    found = json.loads(out)
    assert code == 0 and found["agree"] and found["event_inputs"] == 10 and found["compared"]["cycles"] == 60, err
