"""Do the two engines agree? Every field of everything they return, on random programs over the whole range of programs."""

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.errors import UnsupportedProgram
from qsim.sim import event, fast
from qsim.sim.model import simulate_model, simulate_program
from qsim.sim.samples import random_program
from tests.model.models import random_model
from tests.sim.compare import assert_adds_up, assert_same

PROGRAMS = 1200
BATCHES = 12


@pytest.mark.parametrize("batch", range(BATCHES))
def test_engines_agree_on_random_programs(batch: int) -> None:
    for seed in range(batch, PROGRAMS, BATCHES):
        program = random_program(np.random.default_rng(seed), with_memory=seed % 3 > 0)
        slow, quick = event.simulate(program), fast.simulate(program, timeline=True)
        assert_same(slow, quick)
        assert_adds_up(slow)
        short = fast.simulate(program)
        assert short.timeline is None
        assert (short.cycles, short.units, short.events) == (slow.cycles, slow.units, slow.events)


def test_the_random_programs_reach_every_corner() -> None:
    found = [random_program(np.random.default_rng(seed), with_memory=seed % 3 > 0) for seed in range(PROGRAMS)]
    fetches = [program.fetch for program in found if program.fetch is not None]
    assert {program.queue.depth for program in found} >= {1, 40}
    assert any(program.queue.depth > program.items > 0 for program in found)
    assert any(program.items == 0 and program.fetch is not None for program in found)
    without_tiles = [program for program in found if program.fetch is not None and not program.fetch.tiles]
    assert len(without_tiles) > 50
    assert any(program.items == 0 for program in without_tiles)
    assert any(program.items and len(program.fetch.input_bytes) for program in without_tiles if program.fetch is not None)
    assert any(program.pes == 1 for program in found)
    assert len({fetch.dram.policy for fetch in fetches}) == 3
    assert {fetch.dram.buffers for fetch in fetches} == {1, 2, 3}
    assert {fetch.decoded for fetch in fetches} == {True, False}
    assert any(len(fetch.input_bytes) and len(fetch.output_bytes) for fetch in fetches)
    reasons: dict[str, int] = {}
    refreshes = 0
    for program in found:
        simulated = fast.simulate(program)
        refreshes += simulated.events["refreshes"]
        for unit in simulated.units:
            for reason, cycles in unit.stalled.items():
                reasons[reason] = reasons.get(reason, 0) + cycles
    assert refreshes > 1000
    assert set(reasons) == {"queue_full", "weights_pending", "activations_pending", "starved", "buffer_full", "channel_busy"}
    assert min(reasons.values()) > 100


@pytest.mark.parametrize("name", ["sparse-huffman-dram", "sparse-sram", "dense-16b-sram", "sparse-rtl-4"])
def test_engines_agree_on_a_whole_model(name: str) -> None:
    model = random_model(sizes=(120, 90, 40, 10), densities=(0.1, 0.1, 0.3))
    inputs = np.where(np.random.default_rng(1).random((2, 120)) < 0.3, 77, 0)
    slow = simulate_model(model, MACHINES[name], inputs, engine="event", trace=True)
    assert slow == simulate_model(model, MACHINES[name], inputs, engine="fast", trace=True)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UnsupportedProgram, match=r"engine must be the name of an engine, not 'quick'; legal values: fast, event"):
        simulate_program(random_program(np.random.default_rng(0), with_memory=False), "quick")


def test_the_order_of_a_programs_arrays_in_memory_does_not_matter() -> None:
    program = random_program(np.random.default_rng(6), with_memory=False)
    assert program.service.T.flags.c_contiguous
    assert not program.service.flags.writeable
