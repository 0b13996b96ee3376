# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator behind AXI gives the reference's logits and the simulators' counters, and reports every error."""

from pathlib import Path

import numpy as np
import pytest

from rtl.axi import AxiAccelerator
from rtl.emit import emit
from rtl.toolchain import build_model, run_bench
from tests.rtl.networks import Network, network, write_vectors

TOP = "qsim_axi"


@pytest.fixture(scope="module")
def given() -> Network:
    return network()


@pytest.fixture(scope="module")
def model(given: Network, build_dir: Path) -> Path:
    p = given.streaming
    return build_model(emit(lambda: AxiAccelerator(p), TOP, build_dir, repr(p)), TOP, quick=True)


@pytest.mark.rtl
def test_axi(given: Network, model: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.json"
    write_vectors(given, vectors, streaming=True)
    run_bench(model, TOP, "tests.rtl.bench_axi", {"QSIM_VECTORS": str(vectors), "QSIM_RESULTS": str(tmp_path)}, tmp_path)
    for name in ("plain", "pace 1", "pace 2"):
        with np.load(tmp_path / f"{name}.npz") as found:
            assert given.compare(given.run_of(dict(found))) > 0
