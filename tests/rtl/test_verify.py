"""Asks whether machines and jobs that the RTL does not have, or that do not fit it, are refused by name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.errors import MachineError, UnsupportedProgram
from rtl.parameters import ArrayParameters
from rtl.verify import ArrayJob, run_array

MACHINE = MACHINES["sparse-rtl-2"]


def job(**fields: object) -> ArrayJob:
    values = {
        "rows": 3,
        "pointers": np.array([[0, 1, 1], [0, 0, 1]]),
        "codes": np.array([1, 1]),
        "gaps": np.array([0, 0]),
        "codebook": np.array([0, 5]),
        "bias": np.zeros(3, dtype=np.int64),
        "bias_shift": 0,
        "shift": 4,
        "relu": True,
        "activations": np.array([[1, 2]]),
        "accumulator_bits": 32,
        "output_bits": 16,
    }
    return ArrayJob(**(values | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 0}, "jobs[0].rows must be 1 to 512, not 0"),
        ({"pointers": np.zeros((3, 3), dtype=np.int64)}, "jobs[0].pointers must be of 2 PEs, not 3"),
        ({"activations": np.array([[1, 2, 3]])}, "jobs[0].activations must be of shape [inputs, 2], not (1, 3)"),
        ({"activations": np.array([[1, 1 << 15]])}, "jobs[0].activations must be of 16 bits, not 'larger values'"),
        ({"codebook": np.zeros(17, dtype=np.int64)}, "jobs[0].codebook must be of at most 16 values, not 17"),
        ({"codebook": np.array([0, -40000])}, "jobs[0].codebook must be of 16 bits, not 'larger values'"),
        ({"bias": np.zeros(2, dtype=np.int64)}, "jobs[0].bias must be of shape [3], not (2,)"),
        ({"bias": np.array([0, 0, 1 << 31])}, "jobs[0].bias must be of 32 bits, not 'larger values'"),
        ({"bias_shift": 32}, "jobs[0].bias_shift must be 0 to 31, not 32"),
        ({"shift": -16}, "jobs[0].shift must be -15 to 63, not -16"),
        ({"codebook": None}, "jobs[0].codebook must be given for sparse PEs, not 'the opposite'"),
        ({"scales": np.ones(3, dtype=np.int64)}, "jobs[0].scales must be None for sparse PEs, not 'the opposite'"),
        ({"accumulator_bits": 24}, "jobs[0].accumulator_bits must be 32, the PE's, not 24"),
        ({"output_bits": 8}, "jobs[0].output_bits must be 16, the array's, not 8"),
    ],
)
def test_a_job_that_does_not_fit_is_refused(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedProgram) as found:
        run_array(MACHINE, [job(**fields)], tmp_path)
    assert str(found.value) == message
    assert not list(tmp_path.iterdir()), "something was built for a job that cannot run"


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("dense-rtl-4", {"pointers": np.array([[0, 1, 3]] * 4)}, "pointers must be those of columns that hold every row, not 'others'"),
        ("dense-rtl-4", {"codes": np.full(6, 1 << 15)}, "codes must be of 16 bits, not 'larger values'"),
        ("pvq-rtl-4", {"codes": np.full(6, -129)}, "codes must be of 8 bits, not 'larger values'"),
        ("pvq-rtl-4", {"scales": np.array([1, 2])}, "scales must be of shape [3], not (2,)"),
        ("pvq-rtl-4", {"scales": np.array([1, 2, 1 << 16])}, "scales must be of 16 bits without a sign, not 'other values'"),
        ("pvq-rtl-4", {"scales": None}, "scales must be given for pvq PEs, not 'the opposite'"),
    ],
)
def test_a_job_for_another_pe_is_refused(name: str, fields: dict[str, object], message: str, tmp_path: Path) -> None:
    good: dict[str, object] = {"pointers": np.array([[0, 1, 2]] * 3 + [[0, 0, 0]]), "codes": np.ones(6, dtype=np.int64), "codebook": None}
    good |= {"gaps": None} if name.startswith("dense") else {"gaps": np.zeros(6, dtype=np.int64), "scales": np.ones(3, dtype=np.int64)}
    with pytest.raises(UnsupportedProgram) as found:
        run_array(MACHINES[name], [job(**good | fields)], tmp_path)
    assert str(found.value) == f"jobs[0].{message}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("array.queue.forward_latency", 3, "array.queue.forward_latency must be 1 or 2 in RTL, not 3"),
        ("array.queue.return_latency", 2, "array.queue.return_latency must be 1, as forward_latency, in RTL, not 2"),
        ("array.min_column_cycles", 2, "array.min_column_cycles must be 1 in RTL, not 2"),
    ],
)
def test_a_machine_without_rtl_is_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(MachineError) as found:
        ArrayParameters.of(MACHINE.replace(path, value))
    assert str(found.value) == message


def test_a_machine_with_dram_is_refused() -> None:
    with pytest.raises(MachineError, match="dram must be absent"):
        ArrayParameters.of(MACHINES["sparse-huffman-dram"])


def test_memories_have_the_machine_s_sizes() -> None:
    machine = dataclasses.replace(MACHINE, weights=dataclasses.replace(MACHINE.weights, bytes=4096, width_bits=72))
    parameters = ArrayParameters.of(machine)
    assert parameters.entries_per_row == 8, "the largest power of two of 8-bit entries in 72 bits"
    assert parameters.weight_rows == 4096 * 8 // 72
    assert parameters.local_rows == machine.array.local_rows
