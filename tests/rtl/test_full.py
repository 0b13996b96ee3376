"""Asks whether a whole data set through a whole network gives the reference's outputs and the engine's cycles: the long check.

The layers of a picture are run one after the other, each with the activations of real inference; every output of every layer is compared.
"""

import logging
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.compress.reference import TorchReference
from qsim.sim import fast
from qsim.sim.lower import lower
from qsim.verify import array_job, verify
from rtl.verify import build_array, run_array
from tests.rtl.test_network import compressed
from workloads.mnist import load_test

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

_log = logging.getLogger(__name__)
DIGITS = int(os.environ.get("QSIM_DIGITS", "10000"))
BATCH = 1000


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_every_digit(build_dir: Path) -> None:
    model, machine = compressed("sparse"), MACHINES["sparse-rtl-8"]
    images = load_test().images[:DIGITS].astype(np.int64)
    lowered = [lower(layer, machine) for layer in model.layers]
    build_array(machine, build_dir)
    total, wrong, other, begun, children = 0, 0, 0, time.monotonic(), seconds_of_children()
    for start in range(0, len(images), BATCH):
        values = TorchReference(model).activations(images[start : start + BATCH])
        given = [layer.numpy() for layer in values]
        jobs = [array_job(layer, machine, inputs) for layer, inputs in zip(model.layers, given[:-1], strict=True)]
        for layer, inputs, outputs, run in zip(
            lowered, given[:-1], given[1:], run_array(machine, jobs, build_dir, record=False), strict=True
        ):
            cycles = np.array([fast.simulate(layer.program(activations)).cycles for activations in inputs])
            wrong += int(np.any(run.outputs != outputs, axis=1).sum())
            other += int((run.cycles != cycles).sum())
            total += int(run.cycles.sum())
        speed = total / (seconds_of_children() - children)
        _log.info(
            "%d digits in %.0f s: %s cycles, %s a CPU second of the simulator; %d outputs and %d lengths of layers differ",
            min(start + BATCH, DIGITS),
            time.monotonic() - begun,
            f"{total:,}",
            f"{speed:,.0f}",
            wrong,
            other,
        )
    assert total > 0
    assert (wrong, other) == (0, 0)


@pytest.mark.parametrize("kind", ["dense", "codebook", "pvq"])
def test_whole_network_on_every_pe(kind: str, build_dir: Path) -> None:
    images = load_test().images[:3].astype(np.int64)
    checks = verify(compressed(kind), MACHINES[f"{kind}-rtl-4"], images, range(3), build_dir=build_dir)
    assert len(checks) == 9
    for check in checks:
        assert check.agree, check
