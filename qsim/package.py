"""What the test bench of a package of Verilog expects: real inputs of a compressed network, by the simulators."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES
from qsim.array_job import array_job
from qsim.errors import QsimError, UnsupportedProgram
from qsim.files import write_folder_atomically
from qsim.formats.fixed import IntArray
from qsim.model.compressed import QuantisedLayer
from qsim.progress import Progress, silent
from qsim.sim import fast
from qsim.sim.lower import ADDITIONS, LoweredLayer, lower
from qsim.sim.semantics import run_layer
from qsim.verify_network import COUNTS, counters_of_simulator
from rtl.bus import Bus
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.package import BUILD, MANIFEST, TEXTS, package_files
from rtl.parameters import ArrayParameters
from rtl.vectors import Vectors


def network_vectors(layers: Sequence[QuantisedLayer], machine: Architecture, inputs: IntArray, progress: Progress = silent) -> Vectors:
    """Return the network ``layers`` for ``machine`` with ``inputs`` [n, features], its logits and every counter that the simulators know.

    Raises :class:`UnsupportedProgram` for a network that does not fit the machine, naming presets that it fits.
    """
    values = [inputs]
    for layer in layers:
        values.append(run_layer(layer, values[-1]))
    try:
        jobs = _jobs(layers, machine, values)
    except UnsupportedProgram as error:
        fitting = [name for name, preset in MACHINES.items() if _fits(layers, preset, values)]
        raise UnsupportedProgram(f"{error}; presets with RTL that this network fits: {', '.join(fitting) or 'none'}") from error
    lowered = [lower(layer, machine) for layer in layers]
    found: list[list[dict[str, object]]] = []
    for number in range(len(inputs)):
        progress("simulating", number, len(inputs))
        found.append([_counters(layer, given[number]) for layer, given in zip(lowered, values, strict=False)])
    progress("simulating", len(inputs), len(inputs))
    return Vectors(
        jobs=jobs,
        every_column=not machine.scan.skip_zeros,
        inputs=inputs,
        logits=values[-1],
        classes=np.argmax(values[-1], axis=1),
        counters={name: np.array([[layer[name] for layer in each] for each in found]) for name in found[0][0]},
    )


def _jobs(layers: Sequence[QuantisedLayer], machine: Architecture, values: Sequence[IntArray]) -> list[ArrayJob]:
    """Return the layers for the machine's array, in whose memories they fit."""
    jobs = [array_job(layer, machine, given[:1]) for layer, given in zip(layers, values, strict=False)]
    ImagePacker(ArrayParameters.of(machine, layers=len(jobs)), every_column=not machine.scan.skip_zeros).places(jobs)
    return jobs


def _fits(layers: Sequence[QuantisedLayer], machine: Architecture, values: Sequence[IntArray]) -> bool:
    try:
        _jobs(layers, machine, values)
    except QsimError:
        return False
    return True


def _counters(layer: LoweredLayer, given: IntArray) -> dict[str, object]:
    counters = counters_of_simulator(layer, given, fast.simulate(layer.program(given)))
    del counters[COUNTS]
    return counters | {"additions": int(layer.column_totals[ADDITIONS, layer.columns(given)].sum())}


def write_package(
    out: Path,
    machine: Architecture,
    *,
    build_dir: Path,
    bus: Bus,
    layers: int = 0,
    vectors: Vectors | None = None,
    source: str = "",
    progress: Progress = silent,
) -> list[str]:
    """Write the files of :func:`rtl.package.package_files` into folder ``out``, all or none; return their names.

    Raises what that raises, and :class:`QsimError` where ``out`` holds anything but an earlier package.
    """
    progress("Verilog", 0, 1)
    files = package_files(machine, build_dir=build_dir, bus=bus, layers=layers, vectors=vectors, source=source)
    earlier = {*TEXTS, BUILD, "README.md"} if (out / MANIFEST).exists() else set()
    write_folder_atomically(out, {name: text.encode() for name, text in files.items()}, earlier)
    progress("Verilog", 1, 1)
    return list(files)
