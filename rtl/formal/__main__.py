"""``python -m rtl.formal``: run all proofs, their covers and the injected bugs; exit status 1 if any is not as it must be."""

import sys
import time

from rich.console import Console

from qsim.errors import MissingExtra
from rtl.formal.prover import Method, check, require_tools
from rtl.formal.tasks import BUGS, source_of, tasks


def main() -> int:
    """Run everything and print one line each."""
    console = Console(highlight=False, width=110)
    try:
        require_tools()
    except MissingExtra as error:
        console.print(str(error))
        return 2
    begun, good, known = time.monotonic(), True, tasks()
    for task in known.values():
        proof = check(lambda task=task: task.make(source_of(task)), task.method, task.depth)
        cover = check(lambda task=task: task.make(source_of(task)), Method.COVER, task.covers)
        extent = "all time" if task.method is Method.UNBOUNDED else f"{task.depth} cycles"
        said = f"{'proved' if proof.holds else 'FAILS'} for {extent}, covers {'reached' if cover.holds else 'NOT REACHED'}"
        console.print(f"{task.name:<38}{said:<46}{proof.seconds + cover.seconds:6.1f} s")
        good = good and proof.holds and cover.holds
    for bug in BUGS:
        found = check(lambda bug=bug: known[bug.task].make(source_of(known[bug.task], bug)), Method.BOUNDED, bug.depth)
        console.print(f"{bug.name:<38}{'MISSED' if found.holds else 'caught':<46}{found.seconds:6.1f} s")
        good = good and not found.holds
    console.print(f"{'all as it must be' if good else 'NOT ALL AS IT MUST BE'} in {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
