# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator runs a network exactly, reports every error where it happens, and then runs the next input right."""

from pathlib import Path

import pytest

from rtl.emit import emit
from rtl.toolchain import build_model
from rtl.top import Accelerator
from tests.rtl.networks import Network

TOP = "accelerator"


@pytest.fixture(scope="module")
def model(given: Network, build_dir: Path) -> Path:
    p = given.parameters
    return build_model(emit(lambda: Accelerator(p), TOP, build_dir, repr(p)), TOP, quick=True)


@pytest.mark.rtl
def test_top(given: Network, model: Path, tmp_path: Path) -> None:
    given.run_bench(model, TOP, "tests.rtl.bench_top", tmp_path)
