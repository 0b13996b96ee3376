"""Does every machine that holds LeNet-300-100 run it, in a time that no machine can beat: entries over PEs, bytes over bandwidth?"""

import numpy as np
import pytest

from qsim.actions import Action
from qsim.arch.architecture import PEKind
from qsim.arch.presets import EIE, MACHINES
from qsim.energy.account import memories_of
from qsim.model.compressed import CompressedModel
from qsim.run import COMPARABLE
from qsim.sim.lower import lower
from qsim.sim.model import SimulatedModel, simulate_model
from tests.model.models import random_model

# The pointer RAMs of sparse-up5k hold any layer of LeNet-300-100, not all of them together.
WHOLE_NETWORK = [name for name in MACHINES if name != "sparse-up5k"]
INPUTS = np.where(np.random.default_rng(0).random((3, 784)) < 0.2, 100, 0)


def model_for(name: str) -> CompressedModel:
    return random_model(kinds=("pyramid",) * 3 if MACHINES[name].array.kind is PEKind.PVQ else ("scalar_coded",) * 3)


def simulate(name: str, inputs: np.ndarray = INPUTS) -> SimulatedModel:
    return simulate_model(model_for(name), MACHINES[name], inputs)


@pytest.mark.parametrize("name", WHOLE_NETWORK)
def test_no_machine_beats_its_own_peak(name: str) -> None:
    machine = MACHINES[name]
    for results in simulate(name).layers:
        for result in results:
            busy = sum(unit.busy for unit in result.units if unit.unit.startswith("pe."))
            assert result.cycles > busy / machine.array.pes
            assert busy >= result.events["entries"] >= result.macs
            if machine.dram is not None:
                assert result.cycles >= result.events["dram_bytes"] * machine.dram.burst_cycles / machine.dram.burst_bytes
            else:
                assert not any(entry.access.action in (Action.DRAM_READ, Action.DRAM_WRITE) for entry in result.counts)


@pytest.mark.parametrize("name", WHOLE_NETWORK)
def test_an_all_black_image_is_simulated_too(name: str) -> None:
    first = simulate(name, np.zeros((1, 784), dtype=np.int64)).layers[0][0]
    expected = 784 if not MACHINES[name].scan.skip_zeros else 0
    assert first.events["columns"] == expected
    assert (first.macs > 0) == (expected > 0)


def test_the_smallest_machine_holds_every_layer_alone() -> None:
    for layer in model_for("sparse-up5k").layers:
        lower(layer, MACHINES["sparse-up5k"])


def test_more_pes_are_never_slower() -> None:
    cycles = [sum(layer[0].cycles for layer in simulate(f"sparse-rtl-{pes}").layers) for pes in (1, 2, 4, 8, 16)]
    assert cycles == sorted(cycles, reverse=True)


def test_the_order_of_the_published_argument() -> None:
    # EIE's case: weights from DRAM, then fewer bits, then fewer weights, then on chip, each step faster. The third step needs a decoder
    # that keeps up with the channel.
    fast = MACHINES["sparse-huffman-dram"].replace("decoder.symbols_per_cycle", 32)
    machines = (MACHINES["dense-16b-dram"], MACHINES["codebook-dram"], fast, MACHINES["sparse-sram"])
    found = [simulate_model(model_for(machine.name), machine, INPUTS) for machine in machines]
    cycles = [sum(layer[0].cycles for layer in simulated.layers) for simulated in found]
    assert cycles == sorted(cycles, reverse=True)


def test_a_decoder_of_one_symbol_a_cycle_bounds_its_machine() -> None:
    for layer in simulate("sparse-huffman-dram").layers:
        assert layer[0].cycles > layer[0].events["decoded_symbols"]
        assert layer[0].cycles < 1.1 * layer[0].events["decoded_symbols"] + 1000


def test_every_comparable_machine_moves_the_same_activations() -> None:
    # 784 pixels and 10 results of 16 bits: 49 bursts read, 1 written, and nothing else where the weights are on chip.
    for name in ("dense-16b-sram", "sparse-sram", "pvq-sram"):
        layers = [layer[0] for layer in simulate(name).layers]
        assert [layer.events["dram_bytes"] for layer in layers] == [49 * 32, 0, 32]
        assert not any(layer.events["tiles"] or layer.events["decoded_symbols"] for layer in layers)
    for name in COMPARABLE:
        for layer, (bursts, written) in zip(simulate(name).layers, ((49, 0), (0, 0), (0, 1)), strict=True):
            counts = {entry.access.action: entry.count for entry in layer[0].counts if entry.access.unit == "dram"}
            assert counts.get(Action.DRAM_READ, 0) >= bursts
            assert counts.get(Action.DRAM_WRITE, 0) == written


def test_on_chip_weights_cost_only_the_channels_time_more_than_the_published_boundary() -> None:
    published = simulate_model(model_for("sparse-sram"), EIE, INPUTS).layers
    for before, after in zip(published, simulate("sparse-sram").layers, strict=True):
        for one, other in zip(before, after, strict=True):
            on_chip = [entry for entry in other.counts if entry.access.unit != "dram"]
            assert tuple(on_chip) == one.counts
            assert one.cycles <= other.cycles
    middle = [[result.cycles for result in layers[1]] for layers in (published, simulate("sparse-sram").layers)]
    assert middle[0] == middle[1]


@pytest.mark.parametrize("name", WHOLE_NETWORK)
def test_every_memory_that_is_used_leaks_and_no_other(name: str) -> None:
    machine = MACHINES[name]
    memories = {(memory.name, memory.capacity_bytes): memory.width_bits for memory in memories_of(machine)}
    accesses = [entry.access for layer in simulate(name).layers for result in layer for entry in result.counts]
    used = {(access.unit, access.capacity_bytes) for access in accesses if access.capacity_bytes}
    assert used == set(memories)
    assert all(access.width_bits <= memories[access.unit, access.capacity_bytes] for access in accesses if access.capacity_bytes)


def test_progress_is_told_of_every_layer() -> None:
    told: list[tuple[str, int, int]] = []
    simulate_model(model_for("sparse-sram"), MACHINES["sparse-sram"], INPUTS[:1], progress=lambda *step: told.append(step))
    assert told == [(stage, done, 3) for stage in ("prepare", "simulate") for done in (1, 2, 3)]


def test_the_longest_layer_of_the_first_input_is_traced() -> None:
    found = simulate_model(model_for("sparse-rtl-4"), MACHINES["sparse-rtl-4"], INPUTS, trace=True)
    longest = max((layer[0] for layer in found.layers), key=lambda result: result.cycles)
    assert found.trace is not None
    assert (found.trace.layer, found.trace.cycles) == (longest.name, longest.cycles)
    assert simulate("sparse-rtl-4").trace is None
