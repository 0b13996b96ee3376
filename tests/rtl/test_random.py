"""Asks whether RTL, SimPy, numba, numpy and PyTorch agree on machines and networks that nobody thought of.

Hypothesis draws machines and, for each, networks of one to three layers with inputs. The accelerator runs them alone; compared are the
cycle of every broadcast, pop, issue and leave, the account of every unit (busy, stalled by reason, idle), every counter, every action
count, and every output. A difference is printed with a call of ``replay`` that runs it again.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.rtl import coverage
from tests.rtl.agreement import Ran, run_draws
from tests.rtl.draws import FULL, FULL_NETWORKS, QUICK_MACHINES, QUICK_NETWORKS, MachineDraw, machine_draws, network_draws

pytestmark = pytest.mark.rtl

_log = logging.getLogger(__name__)
FULL_MACHINES = machine_draws(FULL, 1000)


def names(draws: Sequence[MachineDraw]) -> list[str]:
    return [f"{number}: {draw.pes} {draw.kind}" for number, draw in enumerate(draws)]


def layers_of(runs: list[Ran]) -> int:
    return sum(len(ran.draw.layers) for ran in runs)


def check(runs: list[Ran]) -> None:
    found = [text for text in (ran.report() for ran in runs) if text]
    assert not found, f"{len(found)} networks of {len(runs)} differ; the smallest of them:\n" + min(found, key=len)


@pytest.mark.parametrize("of", QUICK_MACHINES, ids=names(QUICK_MACHINES))
def test_everything_agrees(of: MachineDraw, random_runs: Callable[[MachineDraw], list[Ran]]) -> None:
    runs = random_runs(of)
    assert len(runs) == QUICK_NETWORKS and layers_of(runs) > QUICK_NETWORKS
    check(runs)


def test_as_many_draws_as_promised() -> None:
    """Pairs of a machine and a layer, a network having one at least: 100 in the quick run, 2,000 in the full run."""
    assert len(set(QUICK_MACHINES)) * QUICK_NETWORKS >= 100
    assert len(set(FULL_MACHINES)) * FULL_NETWORKS >= 2000


@pytest.mark.timeout(1800)
def test_every_bin_is_hit(random_runs: Callable[[MachineDraw], list[Ran]], pytestconfig: pytest.Config) -> None:
    """Everything that has a name in ``coverage`` has happened in the hardware; the table goes to ``out/coverage``."""
    for of in QUICK_MACHINES:
        random_runs(of)
    coverage.check("array", Path(pytestconfig.rootpath, "out", "coverage"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("of", FULL_MACHINES, ids=names(FULL_MACHINES))
def test_everything_agrees_on_many(of: MachineDraw, build_dir: Path) -> None:
    runs = run_draws(of, network_draws(of, FULL_NETWORKS), build_dir)
    _log.info("%s: %d layers on %d inputs each", of, layers_of(runs), 2)
    check(runs)
