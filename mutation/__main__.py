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
from mutation.runner import pool, run_all, run_whole
from qsim.files import write_text_atomically

WORKERS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every bug was caught; docs/mutations.md is written if all were planted."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(MUTATIONS), metavar="NAME", help="a mutation (repeatable)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="how many at a time")
    parser.add_argument("--out", type=Path, default=Path("out/mutate.json"))
    parser.add_argument("--skip-whole", action="store_true", help="do not first run the tests without a bug")
    given = parser.parse_args(arguments)
    chosen = [MUTATIONS[name] for name in given.only] if given.only else list(MUTATIONS.values())
    console = Console(width=160)
    if not given.skip_whole and not _whole(chosen, console):
        return 1
    verdicts: dict[str, Verdict] = {}
    for verdict in run_all(chosen, given.workers):
        verdicts[verdict.name] = verdict
        console.print(f"{len(verdicts):3}/{len(chosen)}  {_line(verdict)}", highlight=False, markup=False)
    write_text_atomically(given.out, json.dumps(record(chosen, verdicts), indent=1) + "\n")
    if not given.only:
        write_text_atomically(ROOT / "docs" / "mutations.md", markdown(chosen, verdicts))
    lost = [name for name, verdict in verdicts.items() if verdict.fate is not Fate.KILLED]
    console.print(f"{len(chosen) - len(lost)} of {len(chosen)} caught" + (f"; not: {', '.join(lost)}" if lost else ""), highlight=False)
    return 1 if lost else 0


def _whole(chosen: Sequence[Mutation], console: Console) -> bool:
    """Run the tests here, without a bug: one that fails anyway would catch everything. What they build for all is there afterwards."""
    tests = sorted({test for mutation in chosen for test in mutation.tests})
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
