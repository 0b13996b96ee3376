"""Every compression method at several rates on one network and one data set: error against bytes, bits, time, cycles and energy.

Methods are compared from the same float weights, or from the same pruned network, with the same fine-tuning, each on the machine that runs
its form. Rates are chosen beforehand (:data:`STEPS`); the test set is read once a point, to report.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from qsim.arch.presets import MACHINES
from qsim.build import find_workload, job_key, need_torch, source_hash
from qsim.energy.loader import load_technology
from qsim.model.compressed import CompressedModel
from qsim.progress import Progress
from qsim.run import Loaded, measure, run_model
from workloads.mnist import Mnist
from workloads.weights import FloatState, load_weights
from workloads.workload import Workload

if TYPE_CHECKING:
    from qsim.compress.activations import ActivationPoint
    from qsim.compress.journal import Journal
    from qsim.compress.recipe import Recipe
    from qsim.peers import PeerRow


class Base(StrEnum):
    """What a method starts from: the float network, or the same after pruning to :data:`DENSITY`."""

    DENSE = "dense"
    PRUNED = "pruned"


DENSITY = 0.08  # of Deep Compression for this network
DENSE_PE, CODEBOOK, SPARSE, PVQ = "dense-16b-dram", "codebook-dram", "sparse-sram", "pvq-sram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One point: ``settings`` is the recipe's ``[quantise]`` table in one line. What needs no ``labels`` is fine-tuned without them."""

    method: str
    settings: str
    base: Base
    machine: str
    labels: bool = True

    @property
    def name(self) -> str:
        """Method and settings in words."""
        return f"{self.method} {self.settings}".strip()


def _steps(method: str, base: Base, machine: str, *settings: str, labels: bool = True) -> tuple[Step, ...]:
    return tuple(Step(method=method, settings=text, base=base, machine=machine, labels=labels) for text in settings)


def _entries(*counts: int, more: str = "") -> list[str]:
    return [f"entries = {count}{more}" for count in counts]


STEPS: tuple[Step, ...] = (
    *_steps("fixed", Base.DENSE, DENSE_PE, ""),
    *_steps("kmeans", Base.DENSE, CODEBOOK, *_entries(4, 8, 16, more=', start = "optimal"')),
    *_steps("hessian-kmeans", Base.DENSE, CODEBOOK, *_entries(4, 8, 16, more=', start = "optimal"')),
    *_steps("uniform", Base.DENSE, CODEBOOK, *_entries(8, 16)),
    *_steps("ecsq", Base.DENSE, CODEBOOK, "bits = 0.5, entries = 16", "bits = 1, entries = 16", "bits = 2, entries = 16"),
    *_steps("hierarchical", Base.DENSE, CODEBOOK, *_entries(4, 8, 16)),
    *_steps("binary", Base.DENSE, CODEBOOK, "epochs = 2"),
    *_steps("ternary", Base.DENSE, CODEBOOK, "epochs = 2"),
    *_steps("power-of-two", Base.DENSE, CODEBOOK, "bits = 3", "bits = 4"),
    *_steps("affine", Base.DENSE, CODEBOOK, "bits = 2, epochs = 2", "bits = 3", "bits = 4", "bits = 4, symmetric = false"),
    *_steps("mixed", Base.DENSE, CODEBOOK, "budget_bits = 1.8, choices = [2, 3, 4]", "budget_bits = 2.7, choices = [2, 3, 4]"),
    *_steps("affine", Base.DENSE, PVQ, 'bits = 3, granularity = "row"', 'bits = 4, granularity = "row"'),
    *_steps("vq", Base.DENSE, DENSE_PE, "entries = 16, length = 4", "entries = 256, length = 4", "entries = 256, length = 8"),
    *_steps("pq", Base.DENSE, DENSE_PE, "entries = 4, length = 4", "entries = 16, length = 4"),
    *_steps("rvq", Base.DENSE, DENSE_PE, "entries = 16, length = 4", "entries = 64, length = 8"),
    *_steps(
        "ipq", Base.DENSE, DENSE_PE, "entries = 16, length = 4", "entries = 256, length = 8", "entries = 256, length = 4", labels=False
    ),
    *_steps("pvq", Base.DENSE, PVQ, "budget_bits = 1.8, epochs = 0", "budget_bits = 2.7, epochs = 0"),
    *_steps("kmeans", Base.PRUNED, SPARSE, *_entries(3, 7, 15)),
    *_steps("hessian-kmeans", Base.PRUNED, SPARSE, *_entries(3, 7, 15, more=', start = "optimal"')),
    *_steps("uniform", Base.PRUNED, SPARSE, *_entries(7, 15)),
    *_steps("ecsq", Base.PRUNED, SPARSE, "bits = 1, entries = 15", "bits = 2, entries = 15"),
    *_steps("hierarchical", Base.PRUNED, SPARSE, *_entries(7, 15)),
    *_steps("binary", Base.PRUNED, SPARSE, ""),
    *_steps("power-of-two", Base.PRUNED, SPARSE, "bits = 4"),
    *_steps("affine", Base.PRUNED, SPARSE, "bits = 3", "bits = 4, symmetric = false"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPoint:
    """What one step gave.

    Errors in percent; ``bytes_context`` is the file of the same network coded by context; ``bits_per_weight`` counts all of ``bytes``;
    ``seconds`` are processor time of the compression without the pruning; ``cycles`` and ``energy_pj`` are means over the images.
    """

    method: str
    settings: str
    base: str
    machine: str
    bytes: int
    bytes_context: int
    bits_per_weight: float
    ratio: float
    validation_error: float
    test_error: float
    seconds: float
    cycles: float
    energy_pj: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodBench:
    """The settings of a run and its points; ``float_error`` in percent of the test set."""

    workload: str
    technology: str
    seed: int
    finetune_epochs: int
    prune_epochs: int
    float_error: float
    points: tuple[MethodPoint, ...]
    peers: "tuple[PeerRow, ...]" = ()
    activations: "tuple[ActivationPoint, ...]" = ()

    def pareto(self) -> tuple[MethodPoint, ...]:
        """Return the points that no other beats in both bytes and test error, by bytes."""
        best: list[MethodPoint] = []
        for point in sorted(self.points, key=lambda item: (item.bytes, item.test_error)):
            if not best or point.test_error < best[-1].test_error:
                best.append(point)
        return tuple(best)


def bench_methods(
    name: str,
    mnist: Mnist,
    *,
    technology: str,
    images: Sequence[int],
    steps: Sequence[Step] = STEPS,
    seed: int = 0,
    finetune_epochs: int = 1,
    prune_epochs: int = 12,
    peers: bool = False,
    activations: bool = False,
    unfinished: Path | None = None,
    progress: Progress,
) -> MethodBench:
    """Run every step from the shipped weights of the workload ``name``; the test set is used only to report.

    ``peers``: also what other libraries do with the same weights (:mod:`qsim.peers`). ``activations``: also the float network with
    activations in few bits (:mod:`qsim.compress.activations`). The pruned network and the points are kept in the file ``unfinished`` as
    they come, and a run that was killed goes on from there; who has written the result down removes it.
    """
    need_torch("comparing methods")
    from qsim.build import float_test_error
    from qsim.compress.journal import NO_JOURNAL, FileJournal

    workload = find_workload(name)
    state = load_weights(workload)
    prices, simulators = repr(load_technology(technology)), source_hash(("qsim",))
    settings = (prices, simulators, str(tuple(images)), str(seed), str(finetune_epochs), str(prune_epochs))
    journal = NO_JOURNAL if unfinished is None else FileJournal(unfinished, job_key(settings, state, mnist))
    bases = {Base.DENSE: state}
    if peers or any(step.base is Base.PRUNED for step in steps):
        bases[Base.PRUNED] = _pruned(workload, state, mnist, prune_epochs, seed, progress, journal)
    points = []
    for place, step in enumerate(steps):
        point = _read_point(journal, step)
        if point is None:
            point = _point(step, recipe_of(step, finetune_epochs, seed), workload, bases[step.base], mnist, technology, images)
            _keep_point(journal, step, point)
        points.append(point)
        progress("methods", place + 1, len(steps))
    compared: tuple[PeerRow, ...] = ()
    if peers:
        compared = _compared(workload, bases, mnist, seed, progress)
    few: tuple[ActivationPoint, ...] = ()
    if activations:
        from qsim.compress.activations import compare_activations

        few = compare_activations(workload, state, mnist, mnist.test, progress)
    return MethodBench(
        workload=name,
        technology=technology,
        seed=seed,
        finetune_epochs=finetune_epochs,
        prune_epochs=prune_epochs,
        float_error=float_test_error(workload, state, mnist),
        points=tuple(points),
        peers=compared,
        activations=few,
    )


def _compared(workload: Workload, bases: dict[Base, FloatState], mnist: Mnist, seed: int, progress: Progress) -> "tuple[PeerRow, ...]":
    """Return what peers make of the float weights, and of the pruned network with seven shared weights a layer."""
    from qsim.compress.pipeline import compress
    from qsim.peers import Given, compare_peers

    step = Step(method="kmeans", settings="entries = 7", base=Base.PRUNED, machine=SPARSE)
    pruned = compress(recipe_of(step, 0, seed), workload, bases[Base.PRUNED], mnist)
    return compare_peers(
        Given(workload=workload, state=bases[Base.DENSE], pruned_state=bases[Base.PRUNED], pruned=pruned, mnist=mnist, seed=seed), progress
    )


def recipe_of(step: Step, finetune_epochs: int, seed: int) -> "Recipe":
    """Return the recipe of a step: its quantiser, the zeros of a pruned network kept, fine-tuning."""
    from qsim.compress.recipe import parse_recipe

    settings = f", {step.settings}" if step.settings else ""
    prune = 'prune = {method = "zeros"}\n' if step.base is Base.PRUNED else ""
    text = f'name = "{step.method}"\nseed = {seed}\n{prune}quantise = {{method = "{step.method}"{settings}}}\n'
    teacher = "" if step.labels else ", teacher_weight = 1.0"
    return parse_recipe(f"{text}finetune = {{epochs = {finetune_epochs}{teacher}}}\n", where=step.name)


def _pruned(
    workload: Workload, state: FloatState, mnist: Mnist, epochs: int, seed: int, progress: Progress, journal: "Journal"
) -> FloatState:
    import torch

    from qsim.compress.network import Layout, Samples
    from qsim.compress.prune import prune
    from qsim.compress.pruners.gradual import GradualPruning

    layout, generator = Layout.of(workload.layers), torch.Generator().manual_seed(seed)
    kept = journal.read("pruned")
    if kept is None:
        samples = Samples.of(mnist.train, workload.normalisation)
        how = GradualPruning(density=DENSITY, epochs=epochs, shift=1)
        kept = {"parameters": prune(how, layout, layout.pack(state), samples, generator, progress).parameters}
        journal.write("pruned", kept)
    return layout.unpack(kept["parameters"])


def _read_point(journal: "Journal", step: Step) -> MethodPoint | None:
    kept = journal.read(_stage(step))
    return None if kept is None else MethodPoint(**json.loads(kept["point"].numpy().tobytes()))


def _keep_point(journal: "Journal", step: Step, point: MethodPoint) -> None:
    import torch

    text = json.dumps(dataclasses.asdict(point)).encode()
    journal.write(_stage(step), {"point": torch.frombuffer(bytearray(text), dtype=torch.uint8)})


def _stage(step: Step) -> str:
    return f"{step.name}, {step.base}, {step.machine}"


def _point(
    step: Step, recipe: "Recipe", workload: Workload, state: FloatState, mnist: Mnist, technology: str, images: Sequence[int]
) -> MethodPoint:
    from qsim.compress.pipeline import compress_in_stages

    began = time.process_time()
    found = compress_in_stages(recipe, workload, state, mnist)
    seconds = time.process_time() - began
    model = found.model
    quality = measure(model, mnist.test)
    assert quality.test_error is not None
    loaded = Loaded(model=model, file_bytes=model.file_bytes, hash=model.content_hash, quality=quality)
    run = run_model(loaded, MACHINES[step.machine], load_technology(technology), images=images, test=mnist.test)
    weights = sum(node.weights for node in model.graph.weighted)
    return MethodPoint(
        method=step.method,
        settings=step.settings,
        base=str(step.base),
        machine=step.machine,
        bytes=model.file_bytes,
        bytes_context=_by_context(model),
        bits_per_weight=8 * model.file_bytes / weights,
        ratio=workload.float_bytes / model.file_bytes,
        validation_error=found.validation["fixed point"].percent,
        test_error=quality.test_error,
        seconds=seconds,
        cycles=run.cycles,
        energy_pj=run.energy.total_pj,
    )


def _by_context(model: CompressedModel) -> int:
    return dataclasses.replace(model, options=dataclasses.replace(model.options, context=True)).file_bytes
