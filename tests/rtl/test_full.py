"""Asks whether the whole test set through whole networks, on every PE, gives the right bits and counts: the long check.

The files are those of the recipes as they come with qsim. ``QSIM_DIGITS``: how many digits; ``QSIM_EVENT_DIGITS``: for how many of them
SimPy is asked as well as numba, which takes 0.1 s a digit.
"""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.build import build
from qsim.model.compressed import CompressedModel
from qsim.progress import silent
from qsim.verify_network import verify_network
from workloads.mnist import load_test

# Training a recipe takes minutes, ten thousand digits on dense PEs a quarter of an hour.
pytestmark = [pytest.mark.rtl, pytest.mark.slow, pytest.mark.timeout(7200)]

_log = logging.getLogger(__name__)
DIGITS = int(os.environ.get("QSIM_DIGITS", "10000"))
EVENT_DIGITS = int(os.environ.get("QSIM_EVENT_DIGITS", "1000"))
MACHINE_OF = {
    "smallest": "sparse-rtl-8",
    "deep-compression": "sparse-6b-rtl-8",
    "pvq": "pvq-rtl-8",
    "codebook": "codebook-rtl-8",
    "dense-16b": "dense-rtl-8",
}


@pytest.mark.parametrize("recipe", MACHINE_OF)
def test_every_digit(recipe: str, build_dir: Path, files_dir: Path) -> None:
    model = CompressedModel.load(build("lenet-300-100", recipe, cache=files_dir, progress=silent).path)
    images = load_test().images[:DIGITS].astype(np.int64)
    check = verify_network(
        model,
        MACHINES[MACHINE_OF[recipe]],
        images,
        build_dir=build_dir,
        event_inputs=EVENT_DIGITS,
        progress=lambda stage, done, total: _log.info("%s: %d of %d digits", recipe, done, total),
    )
    _log.info(
        "%s on %s: %d digits, %s cycles, %s clocks a CPU second; %s counters compared with numba, those of %d digits with SimPy",
        recipe,
        MACHINE_OF[recipe],
        check.inputs,
        f"{check.cycles:,}",
        f"{check.clocks / check.cpu_seconds:,.0f}",
        f"{sum(check.compared.values()):,}",
        check.event_inputs,
    )
    assert check.inputs == len(images) and check.logits == 10 * len(images) and check.cycles > 0
    assert check.logit_differences_numpy == check.logit_differences_torch == check.class_differences == 0, check
    assert (check.fast_differences, check.event_differences) == ({}, {}), check.first_difference
