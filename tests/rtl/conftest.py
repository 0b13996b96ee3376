"""Where the RTL tests keep the models they build: pytest's cache, so that a second run compiles nothing."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rtl.networks import Network, network

if TYPE_CHECKING:
    from tests.rtl.agreement import Ran
    from tests.rtl.coverage import Coverage
    from tests.rtl.draws import MachineDraw


@pytest.fixture(scope="session")
def build_dir(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("rtl")


@pytest.fixture(scope="session")
def files_dir(request: pytest.FixtureRequest) -> Path:
    """Compressed files of the recipes, by content."""
    return request.config.cache.mkdir("files")


@pytest.fixture(scope="session")
def coverage() -> "Coverage":
    """Collects what the tests of this session have seen happen in the hardware."""
    from tests.rtl.coverage import Coverage
    from tests.rtl.draws import QUICK_MACHINES

    return Coverage(QUICK_MACHINES)


@pytest.fixture(scope="session")
def random_runs(build_dir: Path, coverage: "Coverage") -> "Callable[[MachineDraw], list[Ran]]":
    """Runs the networks drawn for a machine, once in a session."""
    from tests.rtl.agreement import run_draws
    from tests.rtl.draws import QUICK_NETWORKS, network_draws

    @cache
    def run(of: "MachineDraw") -> "list[Ran]":
        runs = run_draws(of, network_draws(of, QUICK_NETWORKS), build_dir)
        for ran in runs:
            for record in ran.records:
                for layer, given in zip(record.layers, ran.expected.inputs, strict=True):
                    coverage.layer(of, layer, given.shape[1])
        return runs

    return run


@pytest.fixture(scope="session")
def decode(build_dir: Path, coverage: "Coverage", tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Has the Huffman decoders read a group of streams, once in a session; fails if they do not read what the software does."""
    from tests.rtl.decoding import STREAMS, decode_streams

    @cache
    def run(name: str) -> None:
        decode_streams(list(STREAMS[name]()), build_dir, tmp_path_factory.mktemp("streams"), coverage)

    return run


@pytest.fixture(scope="session")
def given() -> Network:
    """The network that every accelerator with a host runs."""
    return network()
