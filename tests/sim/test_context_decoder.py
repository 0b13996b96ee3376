"""Does a machine with a decoder by context bring exactly the stream that the coder writes, and pay for every decision in it?"""

import numpy as np
import pytest

from qsim.actions import Action
from qsim.arch import context_memories as memories
from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES
from qsim.energy.account import memories_of
from qsim.errors import MachineError, UnsupportedProgram
from qsim.formats import context_kernel as kernel
from qsim.formats.context import decisions, decode_cells, encode_cells, tables
from qsim.formats.fixed import IntArray
from qsim.formats.layer import ScalarCoded
from qsim.results import LayerResult
from qsim.sim.context_decoder import context_stream
from qsim.sim.lower import lower
from qsim.sim.model import simulate_layer, simulate_model
from tests.model.models import random_model
from tests.sim.test_lower import layer_of

MACHINE: Architecture = MACHINES["sparse-context-dram"]
ROWS, COLS = 100, 60


def cells_of(form: ScalarCoded) -> IntArray:
    assert form.mask is not None
    return np.where(form.mask, form.codes, len(form.codebook)).astype(np.int64).T


def simulated(machine: Architecture = MACHINE) -> tuple[LayerResult, IntArray, int]:
    layer = layer_of("scalar_coded", rows=ROWS, cols=COLS, density=0.1)
    assert isinstance(layer.form, ScalarCoded)
    return simulate_layer(lower(layer, machine), np.ones(COLS, dtype=np.int64)), cells_of(layer.form), len(layer.form.codebook)


def counted(result: LayerResult, action: Action, width: int) -> int:
    found = [entry for entry in result.counts if entry.access.unit == "decoder" and entry.access.action is action]
    return sum(entry.count for entry in found if entry.access.width_bits == width)


def test_a_column_can_be_decoded_from_the_bytes_that_are_said_to_be_enough() -> None:
    layer = layer_of("scalar_coded", rows=ROWS, cols=COLS, density=0.1)
    assert isinstance(layer.form, ScalarCoded)
    cells, hole = cells_of(layer.form), len(layer.form.codebook)
    payload = encode_cells(cells, hole)
    stream = context_stream(layer.form, MACHINE, "layer")
    assert stream.bits.sum() == 8 * len(payload)
    assert stream.decisions.sum() == decisions(cells, hole)
    depth = (int(cells[cells != hole].max())).bit_length()
    for column in (1, COLS // 2, COLS - 1):
        enough = payload[: int(stream.bits[:column].sum()) // 8]
        part = np.zeros((column, ROWS), dtype=np.int64)
        data = np.frombuffer(enough + bytes(8 * [255]), dtype=np.uint8).copy()  # what comes later does not matter
        kernel.code_cells(part, hole, depth, 0, data, True, *tables(), np.zeros(column, dtype=np.int64))
        assert np.array_equal(part, cells[:column])
    assert np.array_equal(decode_cells(payload, COLS, ROWS, hole, int(cells[cells != hole].max()) + 1, 0), cells)


def test_every_decision_takes_its_cycles_and_its_accesses() -> None:
    result, cells, hole = simulated()
    number, cleared = decisions(cells, hole), 4096
    decoder = next(unit for unit in result.units if unit.unit == "decoder")
    assert result.events["decoded_symbols"] == number
    assert decoder.busy == 4 * number + cleared
    assert counted(result, Action.SRAM_READ, 26) == 8 * number
    assert counted(result, Action.SRAM_WRITE, 26) == 8 * number + 16 * cleared
    assert counted(result, Action.INT_MULTIPLY, 16) == 25 * number
    assert counted(result, Action.INT_ADD, 32) == 35 * number
    faster, _, _ = simulated(MACHINE.replace("decoder.decision_cycles", 1))
    assert next(unit for unit in faster.units if unit.unit == "decoder").busy == number + cleared


def test_engines_agree_on_a_model_decoded_by_context() -> None:
    model = random_model(("scalar_coded",) * 2, sizes=(60, 50, 10), densities=(0.1, 0.3))
    inputs = np.where(np.random.default_rng(1).random((2, 60)) < 0.3, 77, 0)
    machine = MACHINE.replace("dram.tile_bytes", 64)
    slow = simulate_model(model, machine, inputs, engine="event", trace=True)
    assert slow == simulate_model(model, machine, inputs, engine="fast", trace=True)
    assert slow.layers[0][0].events["tiles"] > 1


def test_the_memories_are_those_of_the_coder() -> None:
    logits, chances, rates = tables()
    assert (kernel.INPUTS, len(logits), len(chances), len(rates)) == (memories.INPUTS, memories.LOGITS, memories.CHANCES, memories.RATES)
    assert int(np.abs(logits).max()) < 1 << (memories.LOGIT_BITS - 1)
    assert max(int(chances.max()), int(rates.max())) < 1 << 16
    assert 16 + kernel.SLOW.bit_length() == memories.SLOT_BITS
    assert MACHINE.decoder is not None and MACHINE.decoder.slots == kernel.FEWEST_SLOTS
    found = [(item.capacity_bytes, item.instances) for item in memories_of(MACHINE) if item.name == "decoder"]
    assert found == [(4096 * 26 // 8, 16), (4096 * 3, 1), (4096 * 13 // 8, 8), (5631 * 2, 1), (2048, 8)]


def test_what_the_decoder_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedProgram, match=r"decoder.slots must be at least 4096, for .*, not 100"):
        simulated(MACHINE.replace("decoder.slots", 100))
    with pytest.raises(MachineError, match=r"decoder.symbols_per_cycle must be 1 for a decoder by context"):
        MACHINE.replace("decoder.symbols_per_cycle", 2)
