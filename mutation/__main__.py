"""Plant every bug of the table, or the named ones, and write what became of it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mutation import MUTATIONS
from mutation.judge import Fate, Verdict
from mutation.mutant import ROOT, Mutation
from mutation.report import markdown, record
from mutation.reuse import known
from mutation.runner import pool, run_all, run_whole
from qsim.files import write_text_atomically

WORKERS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every bug was caught; docs/mutations.md is written if all have been planted."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(MUTATIONS), metavar="NAME", help="a mutation (repeatable)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="how many at a time")
    parser.add_argument("--out", type=Path, default=Path("out/mutate.json"))
    parser.add_argument("--fresh", action="store_true", help="also those that were caught before by the same tests in the same RTL")
    given = parser.parse_args(arguments)
    chosen = [MUTATIONS[name] for name in given.only] if given.only else list(MUTATIONS.values())
    console = Console(width=160)
    # What is known of the others stays in the record.
    verdicts = known(given.out, MUTATIONS.values())
    if given.fresh or given.only:
        verdicts = {name: verdict for name, verdict in verdicts.items() if MUTATIONS[name] not in chosen}
    left = [mutation for mutation in chosen if mutation.name not in verdicts]
    if len(left) < len(chosen):
        console.print(f"{len(chosen) - len(left)} were caught before; RTL and tests are the same", style="dim", highlight=False)
    if left and not _whole(left, console):
        return 1
    for number, verdict in enumerate(run_all(left, given.workers), 1):
        verdicts[verdict.name] = verdict
        console.print(f"{number:3}/{len(left)}  {_line(verdict)}", highlight=False, markup=False)
        write_text_atomically(given.out, json.dumps(record(list(MUTATIONS.values()), verdicts), indent=1) + "\n")
    if len(verdicts) == len(MUTATIONS):
        write_text_atomically(ROOT / "docs" / "mutations.md", markdown(list(MUTATIONS.values()), verdicts))
    lost = [mutation.name for mutation in chosen if verdicts[mutation.name].fate is not Fate.KILLED]
    console.print(f"{len(chosen) - len(lost)} of {len(chosen)} caught" + (f"; not: {', '.join(lost)}" if lost else ""), highlight=False)
    return 1 if lost else 0


def _whole(mutations: Sequence[Mutation], console: Console) -> bool:
    """Run the tests here, without a bug: one that fails anyway would catch everything. What they build for all is there afterwards."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    console.print(f"{len(tests)} tests without a bug ...", style="dim", highlight=False)
    with pool(1) as process:
        tested = process.submit(run_whole, tests).result()
    passed = tested.exit_code == 0
    console.print(f"{'passed' if passed else tested.said} ({tested.cpu_seconds:.0f} CPU s)", style="dim", highlight=False, markup=False)
    return passed


def _line(verdict: Verdict) -> str:
    return f"{verdict.fate:9} {verdict.cpu_seconds:5.1f} CPU s  {verdict.name}: {verdict.killer} {verdict.how}"


if __name__ == "__main__":
    sys.exit(main())
