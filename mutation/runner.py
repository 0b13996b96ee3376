"""Runs the tests of each mutation on a copy of the RTL with the bug in it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mutation.judge import Verdict, judge
from mutation.mutant import ROOT, Mutation, plant

TIMEOUT = 300  # seconds a test may take: a bug may make hardware hang


def run_tests(tests: Sequence[str], folder: Path, report: Path) -> tuple[int, str, float]:
    """Run ``tests`` in ``folder`` until the first fails; return pytest's exit code, what it printed, and the CPU seconds of it all.

    ``report`` is what XML is written to. Packages come from the folder, those that it does not have from here.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "--tb=short", f"--timeout={TIMEOUT}", f"--junitxml={report}", *tests]
    said = report.with_suffix(".txt")
    with said.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said.read_text(errors="replace"), usage.ru_utime + usage.ru_stime


def run_mutation(mutation: Mutation) -> Verdict:
    """Plant the bug, run its tests, return the verdict; nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="qsim-mutant-") as name:
        folder = Path(name)
        report = folder / "report.xml"
        plant(mutation, folder)
        begin = time.monotonic()
        code, said, cpu = run_tests(mutation.tests, folder, report)
        return judge(mutation.name, code, report, said, time.monotonic() - begin, cpu)


def run_all(mutations: Sequence[Mutation], workers: int) -> Iterator[Verdict]:
    """Yield the verdicts as they come, ``workers`` at a time: each is a process of its own."""
    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(run_mutation, mutation) for mutation in mutations]):
            yield done.result()
