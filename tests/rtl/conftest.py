"""Where the RTL tests keep the models they build: pytest's cache, so that a second run compiles nothing."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def build_dir(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("rtl")


@pytest.fixture(scope="session")
def files_dir(request: pytest.FixtureRequest) -> Path:
    """Compressed files of the recipes, by content."""
    return request.config.cache.mkdir("files")
