"""Asks whether the array gives the bits of the definition and every cycle of the contract, on machines and layers made to break it.

Bits: the numpy definition. Cycles of every broadcast, pop, issue and leave, and of the whole layer: a loop written from the
contract (``recurrence``), the SimPy engine and the numba engine. The layers of the real network: ``test_network``.
"""

from pathlib import Path

import numpy as np
import pytest

from qsim.arch.architecture import PEKind
from qsim.array_job import array_job
from qsim.sim import event, fast
from qsim.sim.lower import lower
from qsim.sim.semantics import run_layer
from qsim.verify import PLACES
from rtl.verify import ArrayRun, run_array
from tests.rtl.cases import Case, cases_for
from tests.rtl.machines import MACHINES
from tests.rtl.recurrence import expected

pytestmark = pytest.mark.rtl


class Ran:
    """A machine's cases and what the RTL did with them, in one simulation."""

    def __init__(self, name: str, build_dir: Path) -> None:
        self.machine = MACHINES[name]
        self.cases = cases_for(self.machine, seed=len(name))
        jobs = [array_job(case.layer, self.machine, case.inputs) for case in self.cases.values()]
        self.runs = dict(zip(self.cases, run_array(self.machine, jobs, build_dir), strict=True))

    def pairs(self) -> list[tuple[str, Case, ArrayRun]]:
        return [(name, case, self.runs[name]) for name, case in self.cases.items()]


@pytest.fixture(scope="module", params=MACHINES)
def ran(request: pytest.FixtureRequest, build_dir: Path) -> Ran:
    return Ran(request.param, build_dir)


def test_outputs_are_those_of_the_definition(ran: Ran) -> None:
    for name, case, run in ran.pairs():
        np.testing.assert_array_equal(run.outputs, run_layer(case.layer, case.inputs), err_msg=name)


def test_every_cycle_is_that_of_the_contract(ran: Ran) -> None:
    for name, case, run in ran.pairs():
        weights = case.layer.form.reconstruct()
        for number, activations in enumerate(case.inputs):
            want = expected(weights, activations, ran.machine)
            for place in PLACES:
                np.testing.assert_array_equal(getattr(run.items[number], place), getattr(want, place), err_msg=f"{name}, {place}")
            assert run.cycles[number] == want.cycles, name


@pytest.mark.parametrize("engine", [event.simulate, fast.simulate], ids=["simpy", "numba"])
def test_every_cycle_is_that_of_the_engine(ran: Ran, engine) -> None:
    for name, case, run in ran.pairs():
        lowered = lower(case.layer, ran.machine)
        for number, activations in enumerate(case.inputs):
            simulated = engine(lowered.program(activations), timeline=True)
            for place in PLACES:
                np.testing.assert_array_equal(
                    getattr(run.items[number], place), getattr(simulated.timeline, place), err_msg=f"{name}, {place}"
                )
            assert run.cycles[number] == simulated.cycles, name


def test_the_cases_reach_what_they_are_for(ran: Ran) -> None:
    """Filler entries, the largest pulses, saturation both ways, a full queue and an all-zero input really occur, where there are such."""
    array = ran.machine.array
    runs = array_job(ran.cases["long_runs"].layer, ran.machine, ran.cases["long_runs"].inputs)
    if runs.gaps is not None and array.local_rows > 1 << array.index_bits:
        assert np.any((runs.codes == 0) & (runs.gaps == (1 << array.index_bits) - 1))
    if array.kind is PEKind.PVQ:
        pulses = ran.cases["saturating 1"].layer.form.reconstruct()
        assert {int(pulses.min()), int(pulses.max())} == {-(1 << (array.code_bits - 1)), (1 << (array.code_bits - 1)) - 1}
    assert any(not np.any(activations) for activations in ran.cases["typical"].inputs)
    saturating = ran.cases["saturating 1"]
    exact = saturating.inputs @ saturating.layer.form.reconstruct().T
    limit = 1 << (array.accumulator_bits - 1)
    # 32 bits hold all pulses of 90 columns.
    assert (np.any(exact >= limit) and np.any(exact < -limit)) or (array.kind, array.accumulator_bits) == (PEKind.PVQ, 32)
    items = ran.runs["lopsided"].items[0]
    assert np.any(np.diff(items.broadcast) > 1), "the queue never held the scan up"
