"""Run layers on the built array: from plain integers to outputs and the cycle of every item.

A model is built once for each machine and kept by content; one simulation runs any number of layers and inputs on it.
Nothing here knows the simulators of ``qsim.sim``: that their cycles are equal is for the caller to find out.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture, PEKind
from qsim.formats.fixed import IntArray
from rtl.array import BroadcastArray, events_layout
from rtl.emit import emit
from rtl.image import ImagePacker
from rtl.job import ArrayJob, check_job
from rtl.parameters import ArrayParameters
from rtl.toolchain import build_model, run_bench

TOP = "array"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemCycles:
    """In which cycle each item passed each place, as docs/timing.md names them: ``broadcast`` [N] (A), ``pop`` (B), ``issue`` (I) and
    ``leave`` (I + s), all [pes, N].
    """

    broadcast: IntArray
    pop: IntArray
    issue: IntArray
    leave: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayRun:
    """What the array did with a job: ``outputs`` [inputs, pixels * rows], ``cycles`` [inputs] and, if recorded, ``items`` of each input."""

    outputs: IntArray
    cycles: IntArray
    items: tuple[ItemCycles, ...]


def build_array(machine: Architecture, build_dir: Path, *, windows: bool = False) -> Path:
    """Build the model of ``machine``'s array below ``build_dir``, or find it there; return its folder. ``windows``: one that runs
    convolutions.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`MissingExtra` without the ``rtl`` extra.
    """
    parameters = ArrayParameters.of(machine, windows=windows)
    return build_model(emit(lambda: BroadcastArray(parameters), TOP, build_dir.resolve(), repr(parameters)), TOP, quick=True)


def run_array(machine: Architecture, jobs: list[ArrayJob], build_dir: Path, record: bool = True) -> list[ArrayRun]:
    """Run every input of every job on ``machine``'s array, in one simulation.

    Without ``record`` the simulator runs without Python between start and drain, and the runs have no ``items``.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`UnsupportedProgram` if a job does not fit it.
    """
    parameters = ArrayParameters.of(machine, windows=any(job.window is not None for job in jobs))
    for number, job in enumerate(jobs):
        check_job(parameters, job, f"jobs[{number}]")
    model = build_array(machine, build_dir, windows=parameters.windows)
    packer = ImagePacker(parameters, every_column=not machine.scan.skip_zeros)
    vectors: dict[str, npt.ArrayLike] = {"jobs": len(jobs), "record": record, "output_bits": parameters.activation_bits}
    for number, job in enumerate(jobs):
        vectors[f"words_{number}"] = packer.layer_words(job)
        vectors[f"inputs_{number}"] = np.stack([packer.activation_words(row, job.window) for row in job.activations])
        vectors[f"rows_{number}"] = job.pixels * -(-job.rows // parameters.pes)
        vectors[f"limit_{number}"] = most_cycles(parameters, job)
    with tempfile.TemporaryDirectory(prefix="qsim-rtl-") as folder:
        work = Path(folder)
        source, target = work / "vectors.npz", work / "results.npz"
        np.savez(source, **{name: np.asarray(value) for name, value in vectors.items()})
        run_bench(model, TOP, "rtl.bench.array_bench", {"QSIM_VECTORS": str(source), "QSIM_RESULTS": str(target)}, work)
        with np.load(target) as results:
            return [_collect(parameters, job, number, results, record) for number, job in enumerate(jobs)]


def most_cycles(parameters: ArrayParameters, job: ArrayJob) -> int:
    """Return cycles in which ``job`` would end even if no two PEs ever worked at once: a model that is still running then never ends."""
    entry_cycles = int(np.maximum(1, np.abs(job.codes)).sum()) if parameters.kind is PEKind.PVQ else len(job.codes)
    return 1000 + 4 * job.pixels * (entry_cycles + job.pointers.size + job.rows + 10)


def _collect(parameters: ArrayParameters, job: ArrayJob, number: int, results: "np.lib.npyio.NpzFile", record: bool) -> ArrayRun:
    outputs = results[f"results_{number}"].reshape(len(job.activations), job.pixels, -1)[:, :, : job.rows]
    flags = (results[f"flags_{number}_{index}"] for index in range(len(job.activations))) if record else ()
    return ArrayRun(
        outputs=outputs.reshape(len(outputs), -1),
        cycles=results[f"cycles_{number}"],
        items=tuple(_item_cycles(parameters, item) for item in flags),
    )


def _item_cycles(parameters: ArrayParameters, flags: npt.NDArray[np.uint8]) -> ItemCycles:
    """Turn the event flags of every cycle [cycles, bytes] into the cycles of every item."""
    layout = events_layout(parameters)
    bits = np.unpackbits(flags, axis=1, bitorder="little")

    def cycles(name: str) -> IntArray:
        start = layout[name].offset
        return np.stack([np.flatnonzero(bits[:, start + pe]) for pe in range(parameters.pes)])

    return ItemCycles(
        broadcast=np.flatnonzero(bits[:, layout["broadcast"].offset]), pop=cycles("pop"), issue=cycles("issue"), leave=cycles("leave")
    )
