"""Is every machine description possible, and is every impossible one refused with the field to change?"""

from dataclasses import replace
from typing import Any

import pytest

from qsim.arch.architecture import ArbiterPolicy, Architecture, PEKind
from qsim.arch.presets import EIE, LPDDR3_1600_AT_800_MHZ, MACHINES
from qsim.arch.timing import TIMINGS, Timing
from qsim.errors import FieldError, MachineError
from qsim.run import COMPARABLE


def test_eie_is_the_published_machine() -> None:
    # Han et al., ISCA 2016: 64 PEs, 800 MHz, 45 nm, queue depth 8, 4-bit codes and runs, 128 + 32 + 2 KB a PE, 64-bit weight rows.
    array = EIE.array
    assert (array.pes, EIE.clock_hz, EIE.node_nm, array.queue.depth) == (64, 800e6, 45, 8)
    assert (array.code_bits, array.index_bits, array.entry_bits, array.weight_bits) == (4, 4, 8, 16)
    assert [memory.bytes // 1024 for memory in (EIE.weights, EIE.pointers, EIE.activations)] == [128, 32, 2]
    assert EIE.weights.width_bits == 64
    # 131 K compressed weights a PE, as the paper counts them.
    assert EIE.weights.bytes * 8 // array.entry_bits == 131_072


def test_the_dram_numbers_follow_from_the_standard() -> None:
    # LPDDR3-1600 x32, clock 1.25 ns: 32 bytes in 4 clocks are 6.4 GB/s.
    dram, nanoseconds = LPDDR3_1600_AT_800_MHZ, 1.25
    assert dram.burst_bytes / (dram.burst_cycles * nanoseconds) == pytest.approx(6.4)
    assert dram.row_miss_cycles - 1 < (18 + 18) / nanoseconds <= dram.row_miss_cycles
    assert dram.refresh_interval * nanoseconds == pytest.approx(3900)
    assert dram.refresh_cycles * nanoseconds == pytest.approx(130)
    assert dram.latency == 12 + 4


def test_comparable_machines_differ_only_in_what_is_compared() -> None:
    found = [MACHINES[name] for name in COMPARABLE]
    assert len(found) == 6
    assert {(m.clock_hz, m.node_nm, m.array.pes, m.array.queue, m.activations, m.scan.row_width) for m in found} == {
        (EIE.clock_hz, EIE.node_nm, 64, EIE.array.queue, EIE.activations, 4)
    }
    assert len({m.hash for m in MACHINES.values()}) == len(MACHINES)


def test_comparable_machines_have_one_boundary() -> None:
    # Input from and output to the same channel; what differs of it is only whether the weights stream over it too.
    for machine in (MACHINES[name] for name in COMPARABLE):
        assert machine.dram is not None
        assert replace(machine.dram, holds_weights=True) == LPDDR3_1600_AT_800_MHZ
        assert machine.streams_weights == machine.name.endswith("-dram")
        assert machine.weights.bytes == (1024 if machine.streams_weights else EIE.weights.bytes)


def test_the_dense_control_differs_from_each_neighbour_in_one_thing() -> None:
    control = MACHINES["dense-16b-sram"]
    streamed = MACHINES["dense-16b-dram"].replace("weights.bytes", EIE.weights.bytes).replace("dram.holds_weights", False)
    assert control.hash == streamed.hash
    sparse = MACHINES["sparse-sram"].replace("array.kind", "dense").replace("scan.skip_zeros", False)
    assert control.hash == sparse.hash


def test_the_width_of_the_activation_memory_follows_from_the_scan() -> None:
    assert EIE.activation_row_bits == 64
    assert EIE.replace("scan.row_width", 2).replace("array.activation_bits", 8).activation_row_bits == 16
    with pytest.raises(MachineError, match=r"activations\.width_bits must be an existing field"):
        EIE.replace("activations.width_bits", 64)


@pytest.mark.parametrize("pes", [1, 2, 4, 8, 16])
def test_rtl_machines_hold_the_same_network(pes: int) -> None:
    machine, one = MACHINES[f"sparse-rtl-{pes}"], MACHINES["sparse-rtl-1"]
    assert machine.array.pes == pes
    assert machine.array.pes * machine.array.local_rows == one.array.local_rows
    assert machine.array.pes * machine.weights.bytes == one.weights.bytes


@pytest.mark.parametrize("pes", [4, 8])
@pytest.mark.parametrize("kind", [PEKind.DENSE, PEKind.CODEBOOK])
def test_rtl_machines_hold_every_weight_of_lenet_300_100(kind: PEKind, pes: int) -> None:
    machine = MACHINES[f"{kind}-rtl-{pes}"]
    places = machine.weights.bytes * 8 // machine.array.entry_bits
    rows = [-(-outputs // pes) for outputs in (300, 100, 10)]
    assert machine.array.pes == pes
    assert rows[0] * 784 + rows[1] * 300 + rows[2] * 100 <= places
    assert sum(rows) <= machine.array.local_rows
    assert machine.activations.bytes * 8 * pes >= 784 * machine.array.activation_bits


@pytest.mark.parametrize("kind", ["dense", "codebook", "pvq"])
def test_machines_of_8_pes_have_as_much_memory_as_those_of_4(kind: str) -> None:
    four, eight = (MACHINES[f"{kind}-rtl-{pes}"] for pes in (4, 8))
    assert (4 * four.weights.bytes, 4 * four.activations.bytes) == (8 * eight.weights.bytes, 8 * eight.activations.bytes)
    assert (four.array.code_bits, four.array.index_bits, four.pointers) == (eight.array.code_bits, eight.array.index_bits, eight.pointers)


def test_names_are_keys() -> None:
    assert all(name == machine.name for name, machine in MACHINES.items())
    assert set(TIMINGS) == set(PEKind)


def test_replace_changes_one_field_and_the_hash() -> None:
    deeper = EIE.replace("array.queue.depth", 16)
    assert (deeper.array.queue.depth, EIE.array.queue.depth) == (16, 8)
    assert deeper.hash != EIE.hash
    assert deeper.replace("array.queue.depth", 8) == EIE
    assert EIE.replace("name", "other").hash == EIE.hash
    turns = MACHINES["codebook-dram"].replace("dram.policy", "round_robin").dram
    assert turns is not None and turns.policy is ArbiterPolicy.ROUND_ROBIN


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("array.queue.dept", 4, r"array\.queue\.dept must be an existing field, not 'dept'.*did you mean 'depth'"),
        ("weights.bytes", 0, r"^weights\.bytes must be 1 to"),
        ("pointers.width_bits", 0, r"^pointers\.width_bits must be 1 to"),
        ("array.queue.depth", 0, r"^array\.queue\.depth must be 1 to 16777216, not 0"),
        ("array.queue.depth", 1.5, r"array\.queue\.depth must be of type int, not 1\.5"),
        ("array.queue.depth", True, r"array\.queue\.depth must be of type int, not True"),
        ("array.queue.forward_latency", 0, r"queue\.forward_latency must be 1 to 1048576, not 0"),
        # 2^32 + 1 as an unsigned 32-bit service time would be 1.
        ("array.min_column_cycles", (1 << 32) + 1, r"array\.min_column_cycles must be 1 to 1048576"),
        ("array.queue.depth", 10**20, r"queue\.depth must be 1 to"),
        ("dram.latency", 1 << 62, r"dram\.latency must be 0 to 1048576"),
        ("array", 3, r"array must be a table, changed field by field, not 3"),
        ("dram", "abc", r"dram must be a table, changed field by field, not 'abc'"),
        ("name", 5, r"name must be of type str, not 5"),
        ("clock_hz", float("inf"), r"clock_hz must be 1 to 1e15, not inf"),
        ("clock_hz", float("nan"), r"clock_hz must be 1 to 1e15, not nan"),
        ("clock_hz", 10**400, r"clock_hz must be 1 to 1e15, not"),
        ("array.pes", 0, r"array\.pes must be 1 to 4096, not 0"),
        ("array.kind", "systolic", r"array\.kind must be one of the legal values.*dense, codebook, sparse, pvq"),
        ("clock_hz", 0, r"clock_hz must be 1 to 1e15, not 0"),
        ("weights.width_bits", 4, r"weights\.width_bits must be at least one entry of 8 bits, not 4"),
        ("scan.row_width", 0, r"scan\.row_width must be 1 to 1024, not 0"),
        ("dram.burst_bytes", 0, r"dram\.burst_bytes must be 1 to .*, not 0"),
        ("dram.row_bytes", 4095, r"dram\.row_bytes must be a multiple of burst_bytes, not 4095"),
        ("dram.refresh_interval", 137, r"dram\.refresh_interval must be greater than .* or no burst ever fits, not 137"),
        ("decoder.symbols_per_cycle", 0, r"decoder\.symbols_per_cycle must be 1 to .*, not 0"),
        ("decoder.max_code_bits", 16, r"decoder\.max_code_bits must be 1 to 15, not 16"),
        ("decoder.table_symbols", 0, r"decoder\.table_symbols must be 1 to .*, not 0"),
        ("dram", None, r"decoder must be absent without dram"),
        ("dram.holds_weights", False, r"decoder must be absent without dram that holds the weights"),
        ("activations.bytes", 0, r"activations\.bytes must be 1 to .*, not 0"),
    ],
)
def test_impossible_machines_are_refused(path: str, value: Any, message: str) -> None:
    machine: Architecture = MACHINES["sparse-huffman-dram"]
    with pytest.raises(MachineError, match=message):
        machine.replace(path, value)


def test_a_whole_number_of_hertz_is_the_same_machine() -> None:
    assert EIE.replace("clock_hz", 800_000_000).hash == EIE.hash


def test_the_smallest_possible_refresh_interval_is_accepted() -> None:
    assert MACHINES["sparse-huffman-dram"].replace("dram.refresh_interval", 138)


@pytest.mark.parametrize("name", ["scan_start_latency", "drain_start_latency"])
def test_latencies_have_a_least_value(name: str) -> None:
    Timing(**{name: 1})
    with pytest.raises(FieldError, match=rf"timing\.{name} must be at least 1, not 0"):
        Timing(**{name: 0})
