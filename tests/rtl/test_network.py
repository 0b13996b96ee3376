"""Asks whether the real network, magnitude-pruned and quantised, gives the same bits and cycles in RTL, SimPy, numba, numpy and PyTorch."""

from pathlib import Path

import numpy as np
import pytest

from qsim.array_job import array_job
from qsim.model.compressed import CompressedModel
from qsim.verify import verify
from rtl.verify import run_array
from tests.rtl.lenet import compressed
from tests.rtl.machines import MACHINES
from workloads.lenet_300_100 import WORKLOAD
from workloads.mnist import load_test

pytestmark = pytest.mark.rtl

IMAGES = (0, 1, 2)


@pytest.fixture(scope="module")
def model() -> CompressedModel:
    return compressed("sparse")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load_test().images[list(IMAGES)].astype(np.int64)


@pytest.mark.parametrize("name", ["1 PE", "2 PEs, queue of 1", "4 PEs", "8 PEs"])
def test_everything_agrees(name: str, model: CompressedModel, images: np.ndarray, build_dir: Path) -> None:
    checks = verify(model, MACHINES[name], images, IMAGES, build_dir=build_dir)
    assert len(checks) == len(model.layers) * len(IMAGES)
    for check in checks:
        assert check.agree, check
        assert check.item_differences == check.output_differences_numpy == check.output_differences_torch == 0
        assert check.items > 0 and check.outputs > 0


@pytest.mark.parametrize("kind", ["dense", "codebook", "pvq"])
def test_every_pe_runs_its_own_form(kind: str, images: np.ndarray, build_dir: Path) -> None:
    """The layers that fit the small machines of the tests; all of them on the machines as they come with qsim: ``test_full``."""
    layers = [layer.name for layer in WORKLOAD.layers[1:]]
    checks = verify(compressed(kind), MACHINES[f"4 {kind} PEs"], images, IMAGES, build_dir=build_dir, layers=layers)
    assert [check.layer for check in checks if check.agree] == list(np.repeat(layers, len(IMAGES)))
    assert all(check.items > 0 and check.outputs > 0 and check.output_differences_torch == 0 for check in checks)


def test_runs_without_records_give_the_same(model: CompressedModel, images: np.ndarray, build_dir: Path) -> None:
    machine = MACHINES["4 PEs"]
    job = array_job(model.layers[0], machine, images)
    (recorded,), (quick,) = (run_array(machine, [job], build_dir, record=record) for record in (True, False))
    np.testing.assert_array_equal(recorded.outputs, quick.outputs)
    np.testing.assert_array_equal(recorded.cycles, quick.cycles)
    assert len(recorded.items) == len(IMAGES) and quick.items == ()
