"""One report of the sample runs for the whole session: making it takes seconds."""

from pathlib import Path

import pytest

from reports.page import write_report
from tests.reports.sample import sample_compression, sample_runs


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report."""
    return write_report(sample_runs(), tmp_path_factory.mktemp("report"), title="Sample", compression=sample_compression()).parent
