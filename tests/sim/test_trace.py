"""Does a trace tell the same story as the accounts? Spans of a unit do not overlap, and their lengths add up to its busy and
stalled time.
"""

import numpy as np
import pytest

from qsim.errors import UnsupportedProgram
from qsim.sim import event, fast
from qsim.sim.samples import random_program
from qsim.sim.trace import trace_of


@pytest.mark.parametrize("seed", range(60))
def test_spans_add_up_to_the_accounts(seed: int) -> None:
    program = random_program(np.random.default_rng(seed), with_memory=seed % 2 == 1)
    simulated = fast.simulate(program, timeline=True)
    trace = trace_of(program, simulated)
    assert trace == trace_of(program, event.simulate(program))
    accounts = {unit.unit: unit for unit in simulated.units}
    free: dict[str, int] = {}
    spent: dict[tuple[str, str], int] = {}
    for span in trace.spans:
        assert free.get(span.unit, 0) <= span.start < span.end <= trace.cycles
        free[span.unit] = span.end
        spent[span.unit, span.state] = spent.get((span.unit, span.state), 0) + span.end - span.start
    for name, account in accounts.items():
        if name.startswith(("dram.", "drain")):
            continue
        assert spent.get((name, "busy"), 0) == account.busy
        if name == "scan" or name.startswith("pe."):
            for reason, cycles in account.stalled.items():
                assert spent.get((name, str(reason)), 0) == cycles


def test_a_trace_is_cut_in_time_for_all_units_alike() -> None:
    program = random_program(np.random.default_rng(3), with_memory=True)
    simulated = fast.simulate(program, timeline=True)
    whole, part = trace_of(program, simulated), trace_of(program, simulated, max_spans=10)
    assert len(part.spans) <= 10 < len(whole.spans)
    assert part.spans == whole.spans[: len(part.spans)]
    assert part.spans[-1].start < whole.spans[len(part.spans)].start


def test_a_trace_needs_a_timeline() -> None:
    program = random_program(np.random.default_rng(3), with_memory=False)
    with pytest.raises(UnsupportedProgram, match="timeline=True"):
        trace_of(program, fast.simulate(program))
