"""What is known from the run before: a bug that was caught is caught again as long as RTL and tests are the same."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path

from mutation.judge import Fate, Verdict
from mutation.mutant import ROOT, Mutation


@lru_cache
def _text(path: Path) -> str:
    return path.read_text()


def key_of(mutation: Mutation) -> str:
    """Return a hash of the mutation, of the RTL, of the simulators, of the files of its tests and of what they import from beside them."""
    helpers = (path for path in (ROOT / "tests" / "rtl").glob("*.py") if not path.name.startswith("test_"))
    named = {ROOT / test.split("::")[0] for test in mutation.tests}
    paths = sorted({*(ROOT / "rtl").rglob("*.py"), *(ROOT / "qsim").rglob("*.py"), *helpers, *named})
    parts = [json.dumps(asdict(mutation)), *(f"{path.relative_to(ROOT)}\n{_text(path)}" for path in paths)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def known(record: Path, mutations: Iterable[Mutation]) -> dict[str, Verdict]:
    """Return the verdicts in ``record``, if there is one, on those of ``mutations`` that were caught and for which nothing has changed."""
    if not record.exists():
        return {}
    entries = {entry["name"]: entry for entry in json.loads(record.read_text())["mutations"]}
    names = [field.name for field in fields(Verdict)]
    found: dict[str, Verdict] = {}
    for mutation in mutations:
        entry = entries.get(mutation.name, {})
        if entry.get("key") == key_of(mutation) and entry["fate"] == Fate.KILLED:
            found[mutation.name] = Verdict(**{name: entry[name] for name in names} | {"fate": Fate.KILLED})
    return found
