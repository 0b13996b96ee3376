"""``python -m rtl.formal``: run all proofs, their covers and the planted bugs; exit status 1 if any is not as it must be."""

import sys
from collections.abc import Iterator
from functools import partial

from rich.console import Console

from qsim.errors import MissingExtra, QsimError
from rtl.formal.bugs import BUGS
from rtl.formal.prover import Method, Verdict, check, require_tools
from rtl.formal.tasks import Task, source_of, tasks

Line = tuple[str, str, str, float, str, bool]  # name, property, depth, CPU seconds, result, whether that is good
ROW = "{:<37}{:<38}{:<11}{:>9}  {}"


def main() -> int:
    """Run everything and print a line for each."""
    console = Console(highlight=False, width=120)
    try:
        require_tools()
    except MissingExtra as error:
        console.print(str(error))
        return 2
    known, spent, bad = tasks(), 0.0, 0
    for title, runs in (("task", _proofs(known)), ("planted bug", _bugs(known))):
        console.print(ROW.format(title, "property" if title == "task" else "task that must fail", "depth", "CPU s", "result"))
        for name, about, depth, seconds, result, good in runs:
            console.print(ROW.format(name, about, depth, f"{seconds:.1f}", result))
            spent, bad = spent + seconds, bad + (not good)
        console.print()
    console.print(f"{f'{bad} NOT' if bad else 'all'} as it must be, {spent:.0f} CPU seconds")
    return 1 if bad else 0


def _proofs(known: dict[str, Task]) -> Iterator[Line]:
    """Prove every task, and reach its covers."""
    for task in known.values():
        make = partial(task.make, source_of(task))
        try:
            proof, cover = check(make, task.method, task.depth), check(make, Method.COVER, task.covers)
        except QsimError as error:
            yield task.name, task.says, _extent(task.depth), 0.0, str(error), False
            continue
        result = f"{'proved' if proof.holds else 'FAILS'}, covers {'reached' if cover.holds else 'NOT REACHED'}"
        yield task.name, task.says, _extent(task.depth), _seconds(proof, cover), result, proof.holds and cover.holds


def _bugs(known: dict[str, Task]) -> Iterator[Line]:
    """Have every planted bug refuted by every task that must see it."""
    for bug in BUGS:
        for name in bug.tasks:
            found = check(partial(known[name].make, source_of(known[name], bug)), bug.method, bug.depth)
            yield bug.name, name, _extent(bug.depth), _seconds(found), "MISSED" if found.holds else "caught", not found.holds


def _extent(depth: int) -> str:
    return f"{depth} cycles" if depth else "all time"


def _seconds(*verdicts: Verdict) -> float:
    return sum(verdict.cpu_seconds for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
