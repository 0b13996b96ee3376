# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator behind AXI gives the reference's logits and the simulators' counters, and reports every error."""

from pathlib import Path

import pytest

from rtl.axi import AxiAccelerator
from rtl.emit import emit
from rtl.toolchain import build_model
from tests.rtl.networks import Network

TOP = "qsim_axi"


@pytest.fixture(scope="module")
def model(given: Network, build_dir: Path) -> Path:
    p = given.streaming
    return build_model(emit(lambda: AxiAccelerator(p), TOP, build_dir, repr(p)), TOP, quick=True)


@pytest.mark.rtl
def test_axi(given: Network, model: Path, tmp_path: Path) -> None:
    names = ("plain", "pace 1", "pace 2")
    given.run_bench(model, TOP, "tests.rtl.bench_axi", tmp_path, names, streaming=True)
