"""Asks whether everything that has a name in ``coverage`` really happened in the hardware, in the drawn networks and the decoder's streams.

What the other tests of the session have run already is not run again. The table is written to ``out/coverage``.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rtl.agreement import Ran
from tests.rtl.coverage import report, table
from tests.rtl.decoding import STREAMS
from tests.rtl.draws import QUICK_MACHINES, MachineDraw

pytestmark = pytest.mark.rtl

_log = logging.getLogger(__name__)


def test_every_bin_is_hit(
    random_runs: Callable[[MachineDraw], list[Ran]], decode: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    for of in QUICK_MACHINES:
        random_runs(of)
    for name in STREAMS:
        decode(name)
    _log.info("\n%s", report(Path(pytestconfig.rootpath, "out", "coverage")))
    missed = [f"{name}: {one}" for name, bins in table().items() for one, hits in bins.items() if not hits]
    assert not missed, "never happened: " + "; ".join(missed)
