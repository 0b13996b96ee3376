"""Runs the tests of each mutation on a copy of the RTL with the bug in it.

Every run is a process of its own, forked from one that has imported what all of them need but nothing of the RTL: most runs take less time
than these imports.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from mutation.judge import Verdict, judge
from mutation.mutant import ROOT, Mutation, plant

TIMEOUT = 900  # seconds until a test is given up, which decides nothing
PRELOADED = ["pytest", "hypothesis", "numba", "amaranth.sim", "qsim.sim.fast", "qsim.sim.event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """``exit_code`` of pytest, what it ``said``, and the time that it and its children took."""

    exit_code: int
    said: str
    seconds: float
    cpu_seconds: float


def run_tests(tests: Sequence[str], folder: Path, report: Path) -> Tested:
    """Run ``tests`` in ``folder`` until the first fails, in this process, which must have imported no RTL; ``report`` is the XML to write.

    Packages come from the folder, those that it does not have from here.
    """
    import pytest

    if "rtl" in sys.modules:
        raise RuntimeError("rtl must not have been imported before its tests run on a copy")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])  # for the simulator's process
    sys.dont_write_bytecode = True
    os.chdir(folder)
    said, begin = report.with_suffix(".txt"), time.monotonic()
    with said.open("w") as output:
        for number in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(output.fileno(), number)
        code = pytest.main(["-x", "--tb=short", f"--timeout={TIMEOUT}", f"--junitxml={report}", *tests])
        sys.stdout.flush()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Tested(
        exit_code=int(code),
        said=said.read_text(errors="replace"),
        seconds=time.monotonic() - begin,
        cpu_seconds=sum(each.ru_utime + each.ru_stime for each in used),
    )


def run_whole(tests: Sequence[str]) -> Tested:
    """Run ``tests`` here, without a bug."""
    with tempfile.TemporaryDirectory(prefix="qsim-whole-") as name:
        return run_tests(tests, ROOT, Path(name, "report.xml"))


def run_mutation(mutation: Mutation) -> Verdict:
    """Plant the bug, run its tests, return the verdict; nothing is left behind. In a process as for :func:`run_tests`."""
    with tempfile.TemporaryDirectory(prefix="qsim-mutant-") as name:
        folder = Path(name)
        report = folder / "report.xml"
        plant(mutation, folder)
        tested = run_tests(mutation.tests, folder, report)
        os.chdir(ROOT)
        return judge(mutation.name, tested.exit_code, report, tested.said, tested.seconds, tested.cpu_seconds)


def pool(workers: int) -> ProcessPoolExecutor:
    """Return ``workers`` processes at a time, each for one task."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)


def run_all(mutations: Sequence[Mutation], workers: int) -> Iterator[Verdict]:
    """Yield the verdicts as they come, ``workers`` at a time."""
    with pool(workers) as processes:
        for done in as_completed([processes.submit(run_mutation, mutation) for mutation in mutations]):
            yield done.result()
