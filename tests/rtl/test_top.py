# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator runs a network exactly, reports every error where it happens, and then runs the next input right."""

from pathlib import Path

import numpy as np
import pytest

from rtl.emit import emit
from rtl.toolchain import build_model, run_bench
from rtl.top import Accelerator
from tests.rtl.networks import Network, network, write_vectors

TOP = "accelerator"


@pytest.fixture(scope="module")
def given() -> Network:
    return network()


@pytest.fixture(scope="module")
def model(given: Network, build_dir: Path) -> Path:
    p = given.parameters
    return build_model(emit(lambda: Accelerator(p), TOP, build_dir, repr(p)), TOP, quick=True)


@pytest.mark.rtl
def test_top(given: Network, model: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.json"
    write_vectors(given, vectors)
    run_bench(model, TOP, "tests.rtl.bench_top", {"QSIM_VECTORS": str(vectors), "QSIM_RESULTS": str(tmp_path)}, tmp_path)
    with np.load(tmp_path / "plain.npz") as found:
        assert given.compare(given.run_of(dict(found))) > 0
