"""Does every machine of the table run LeNet-300-100, in a time that no machine can beat: entries over PEs, bytes over bandwidth?"""

import numpy as np
import pytest

from qsim.actions import Action
from qsim.arch.architecture import PEKind
from qsim.arch.presets import MACHINES
from qsim.model.compressed import CompressedModel
from qsim.sim.model import SimulatedModel, simulate_model
from tests.model.models import random_model

INPUTS = np.where(np.random.default_rng(0).random((3, 784)) < 0.2, 100, 0)


def model_for(name: str) -> CompressedModel:
    return random_model(kinds=("pyramid",) * 3 if MACHINES[name].array.kind is PEKind.PVQ else ("scalar_coded",) * 3)


def simulate(name: str, inputs: np.ndarray = INPUTS) -> SimulatedModel:
    return simulate_model(model_for(name), MACHINES[name], inputs)


@pytest.mark.parametrize("name", MACHINES)
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


@pytest.mark.parametrize("name", MACHINES)
def test_an_all_black_image_is_simulated_too(name: str) -> None:
    first = simulate(name, np.zeros((1, 784), dtype=np.int64)).layers[0][0]
    expected = 784 if not MACHINES[name].scan.skip_zeros else 0
    assert first.events["columns"] == expected
    assert (first.macs > 0) == (expected > 0)


def test_more_pes_are_never_slower() -> None:
    cycles = [sum(layer[0].cycles for layer in simulate(f"sparse-rtl-{pes}").layers) for pes in (1, 2, 4, 8, 16)]
    assert cycles == sorted(cycles, reverse=True)


def test_the_order_of_the_published_argument() -> None:
    # EIE's case: weights from DRAM, then fewer bits, then fewer weights, then on chip, each step faster.
    names = ("dense-16b-dram", "codebook-dram", "sparse-huffman-dram", "sparse-sram")
    cycles = [sum(layer[0].cycles for layer in simulate(name).layers) for name in names]
    assert cycles == sorted(cycles, reverse=True)


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
