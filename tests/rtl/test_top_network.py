# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator runs small networks of every PE alone: outputs, best and every counter, at any pace of input and output."""

import numpy as np
import pytest

from qsim.sim import fast
from qsim.sim.lower import lower
from qsim.verify_network import counters_of_rtl, counters_of_simulator
from rtl.sequencer import ErrorCode, Sequencer
from tests.rtl.simulated import LIMIT, SIZES, Host, Network, Run, differences, machine_of, small_network
from tests.rtl.simulated import network as layers_of

KINDS = ("sparse", "dense", "codebook", "pvq")
INPUTS = 3


class Ran:
    """A network and what the accelerator made of each input, one run right after the other."""

    def __init__(self, kind: str) -> None:
        self.network = small_network(kind, INPUTS)
        self.runs: list[Run] = []
        self.network.simulate(self._bench)

    async def _bench(self, host: Host) -> None:
        for number in range(INPUTS):
            self.runs.append(await host.run(self.network.rows(number)))


@pytest.fixture(scope="module", params=KINDS)
def ran(request: pytest.FixtureRequest) -> Ran:
    return Ran(request.param)


def check_outputs(network: Network, number: int, run: Run) -> None:
    """Compare with the definition; what is behind the outputs in the last row is zero."""
    outputs = network.values[-1][number]
    rest = -len(outputs) % network.parameters.row_width
    assert run.error is ErrorCode.NONE
    assert run.outputs == outputs.tolist() + [0] * rest
    assert run.best == int(np.argmax(outputs))
    assert run.lasts == [0] * (len(run.outputs) // network.parameters.row_width - 1) + [1]


def test_outputs_are_those_of_the_definition(ran: Ran) -> None:
    for number, run in enumerate(ran.runs):
        check_outputs(ran.network, number, run)


def test_counters_are_those_of_the_engine(ran: Ran) -> None:
    network = ran.network
    for number, run in enumerate(ran.runs):
        for found, layer, given in zip(differences(run.counters), network.layers, network.values, strict=False):
            lowered = lower(layer, network.machine)
            engine = fast.simulate(lowered.program(given[number]))
            assert counters_of_rtl(found, lowered) == counters_of_simulator(lowered, given[number], engine)


def test_the_network_reaches_what_it_is_for(ran: Ran) -> None:
    """Clipped, rectified and largest values, fillers, full queues, items that make PEs wait."""
    totals = ran.runs[-1].counters[-1]
    first, second, last = ran.network.values[1:]
    assert np.any(first == 0) and np.any(second > 0) and np.any(last < 0)
    if ran.network.parameters.has_codebook:
        assert np.any(second == LIMIT) and np.any((second > 0) & (second < LIMIT))
    if ran.network.parameters.has_gaps:
        assert totals["fillers"] and totals["scan_queue_full"] and all(totals["pe_starved"])


def test_setup_is_what_the_sequencer_promises(ran: Ran) -> None:
    p = ran.network.parameters
    sequencer, rows = Sequencer(p), len(ran.network.rows(0))
    # The counters are read when those of the layer have settled: 2 of the cycles behind it have been counted then.
    between = sequencer.between_layers
    for run in ran.runs:
        assert [int(each["setup"]) for each in differences(run.counters)] == [sequencer.setup_latency + rows + 2, between, between]


@pytest.mark.parametrize(("idle", "pressure"), [(True, False), (False, True), (True, True)])
def test_any_pace_gives_the_same(idle: bool, pressure: bool) -> None:
    network = small_network("sparse")
    driver, monitor = np.random.default_rng(1).spawn(2)

    async def bench(host: Host) -> None:
        for number in range(INPUTS):
            run = await host.run(network.rows(number), idle=driver if idle else None, pressure=monitor if pressure else None)
            check_outputs(network, number, run)

    network.simulate(bench)


def test_the_next_input_may_be_offered_at_any_time() -> None:
    """During the whole run of the one before: nothing of it is taken, and nothing that the run needs is written over."""
    network = small_network("sparse")

    async def bench(host: Host) -> None:
        rows = network.rows(0)
        run = await host.run([*rows, *network.rows(1)], marked=len(rows) - 1)
        assert run.taken == len(rows)
        check_outputs(network, 0, run)

    network.simulate(bench)


def test_the_last_item_finds_idle_pes() -> None:
    """One activation, the last one: when the scan is done and every PE idle, the only item is still in the queues."""
    machine = machine_of("sparse")
    inputs = np.zeros((1, SIZES[0]), dtype=np.int64)
    inputs[0, -1] = 100
    network = Network(layers_of(machine), inputs, machine)

    async def bench(host: Host) -> None:
        check_outputs(network, 0, await host.run(network.rows(0)))

    assert np.any(network.values[1] != Network(layers_of(machine), 0 * inputs, machine).values[1])
    network.simulate(bench)


def test_words_on_the_load_bus_are_ignored_during_a_run() -> None:
    """Every word of the network, of another one, while the first is busy: nothing of it is taken."""
    network = small_network("sparse")
    wrong = [word ^ 1 << (word.bit_length() - 1) for word in network.words]

    async def bench(host: Host) -> None:
        check_outputs(network, 0, await host.run(network.rows(0), meanwhile=wrong))
        check_outputs(network, 1, await host.run(network.rows(1)))

    network.simulate(bench)
