"""A file and a machine to a result: simulate, count, price.

Activations come from real inference of the file's own integers on the given images; nothing here reads more than the `.qsz` file,
the images, the machine and the technology. No PyTorch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim import __version__
from qsim.arch.architecture import Architecture
from qsim.energy.account import account, memories_of
from qsim.energy.loader import load_technology
from qsim.energy.technology import Technology
from qsim.errors import DataError
from qsim.files import parse_toml
from qsim.model.compressed import CompressedModel
from qsim.progress import Progress, silent
from qsim.results import Quality, RunResult, Source
from qsim.sim.model import simulate_model
from qsim.sim.semantics import infer
from workloads.mnist import Split, load_test

CHUNK = 1_000  # images inferred at once: bounds the memory of the activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A `.qsz` file in memory: the model, its size on disk, its content hash and its measured error on the test set."""

    model: CompressedModel
    file_bytes: int
    hash: str
    quality: Quality | None

    @property
    def name(self) -> str:
        """The name of the recipe that made it."""
        return recipe_name(self.model)


def load_file(path: Path, test: Split | None) -> Loaded:
    """Read a model and, where a test set is given, measure its error on it in integer arithmetic."""
    model = CompressedModel.load(path)
    quality = measure(model, test) if test is not None else None
    return Loaded(model=model, file_bytes=model.file_bytes, hash=model.content_hash, quality=quality)


def measure(model: CompressedModel, test: Split) -> Quality:
    """Return the error of the integer network on the test set, beside that of the float network it was made from."""
    _check_features(model, test)
    parts = [test.part(start, start + CHUNK) for start in range(0, len(test), CHUNK)]
    classes = model.output_classes
    wrong = sum(int((classes[infer(model, part.images.astype(np.int64)).classes] != part.labels).sum()) for part in parts)
    reference = model.notes.get("float_test_error")
    return Quality(
        test_error=100.0 * wrong / len(test),
        float_test_error=float(reference) if isinstance(reference, int | float) else None,
        test_images=len(test),
    )


def _check_features(model: CompressedModel, test: Split) -> None:
    expected = model.graph.nodes[0].inputs
    if test.images.shape[1] != expected:
        raise DataError(path="data", rule=f"images of {expected} pixels, as the network takes", value=test.images.shape[1])


def check_images(images: Sequence[int], test: Split) -> None:
    """Raise :class:`DataError` unless ``images`` are one or more indices into the test set."""
    outside = [index for index in images if not 0 <= index < len(test)]
    if outside or not images:
        raise DataError(path="images", rule=f"one or more of 0 to {len(test) - 1}", value=outside[:3] or "none")


def run_file(
    path: Path, machine: Architecture, *, technology: str, images: Sequence[int], data: Path | None = None, engine: str = "fast"
) -> RunResult:
    """Load a file and the test set and run it: the whole of :func:`run_model` for one file, machine and technology."""
    test = load_test(data)
    return run_model(load_file(path, test), machine, load_technology(technology), images=images, test=test, engine=engine)


def run_model(
    loaded: Loaded,
    machine: Architecture,
    technology: Technology,
    *,
    images: Sequence[int],
    test: Split,
    engine: str = "fast",
    trace: bool = False,
    progress: Progress = silent,
) -> RunResult:
    """Simulate the ``images`` (indices into the test set) on ``machine`` and price the counts in ``technology``.

    With ``trace`` the layer that takes most cycles is traced for the first image. Raises :class:`DataError` for an index outside the
    test set, :class:`UnsupportedProgram` if the model does not fit the machine.
    """
    model = loaded.model
    _check_features(model, test)
    check_images(images, test)
    values = test.images[list(images)].astype(np.int64)

    def tell(stage: str, done: int, total: int) -> None:
        progress(f"{machine.name}, {loaded.name}: {stage}", done, total)

    simulated = simulate_model(model, machine, values, engine=engine, trace=trace, progress=tell)
    recipe, seed = loaded.name, model.notes.get("seed")
    return RunResult(
        workload=Source(name=model.graph.name, hash=_text_hash(repr(model.graph))),
        model=Source(name=f"{model.graph.name} {recipe}", hash=loaded.hash),
        recipe=Source(name=recipe, hash=_text_hash(model.recipe_text)),
        architecture=Source(name=machine.name, hash=machine.hash),
        technology=Source(name=technology.name, hash=technology.hash),
        engine=engine,
        version=__version__,
        seed=seed if isinstance(seed, int) else 0,
        clock_hz=machine.clock_hz,
        inputs=tuple(images),
        file_bytes=loaded.file_bytes,
        float_bytes=model.float_bytes,
        layers=simulated.layers,
        energy=account(simulated.layers, technology, clock_hz=machine.clock_hz, memories=memories_of(machine)),
        quality=loaded.quality,
        peak=peak_of(machine),
        weight_source=model.weight_source,
        trace=simulated.trace,
    )


def recipe_name(model: CompressedModel) -> str:
    """Return the name in the recipe that a file carries, "unnamed" where it carries none."""
    try:
        return str(parse_toml(model.recipe_text).get("name", "unnamed"))
    except ValueError:
        return "unnamed"


def peak_of(machine: Architecture) -> dict[str, float]:
    """Return what bounds a machine: multiply-accumulates a cycle, and bits a cycle of each memory, for the roofline."""
    peak = {
        "macs_per_cycle": float(machine.array.pes),
        "sram_bits_per_cycle": float(machine.array.pes * machine.weights.width_bits),
    }
    if machine.dram is not None and machine.streams_weights:
        peak["dram_bits_per_cycle"] = 8.0 * machine.dram.burst_bytes / machine.dram.burst_cycles
    return peak


# What `qsim simulate` tries when no machine is named: one boundary, one array, other PEs and another place for the weights.
COMPARABLE = ("dense-16b-dram", "dense-16b-sram", "codebook-dram", "sparse-huffman-dram", "sparse-sram", "pvq-sram")


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
