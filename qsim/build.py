"""A workload and a recipe to a `.qsz` file, made once and reused by content.

The key of a finished file is a hash of everything that stands in it: the recipe's text, the float weights and what they are called, the
data (the test set too: the file notes the float network's error on it), the versions of torch and numpy, and the source of the rooms that
make it. Names and times of cached files play no part, so a file is never reused for something else and never made twice.
"""

import dataclasses
import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache as kept_once
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from qsim.errors import MissingExtra, QsimError, RecipeError
from qsim.files import write_bytes_atomically, write_text_atomically
from qsim.progress import Progress
from workloads import WORKLOADS
from workloads.mnist import Mnist, load_mnist
from workloads.weights import FloatState, load_weights, save_weights
from workloads.workload import Workload

if TYPE_CHECKING:
    from qsim.compress.recipe import Recipe

# The rooms whose source decides what a compressed file contains.
ROOMS = ("qsim.formats", "qsim.model", "qsim.encode", "qsim.compress", "workloads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A compressed file: where it is, the recipe's name, its key, and whether it was there already."""

    path: Path
    recipe: str
    key: str
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained float checkpoint: file, digest and errors in percent."""

    path: Path
    sha256: str
    validation_error: float
    test_error: float


def find_workload(name: str) -> Workload:
    """Return the workload of this name.

    Raises :class:`QsimError` naming the known ones.
    """
    if name not in WORKLOADS:
        raise QsimError(path="workload", rule="a known workload", value=name, legal=WORKLOADS)
    return WORKLOADS[name]


def need_torch(purpose: str) -> None:
    """Raise :class:`MissingExtra` unless torch is installed."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("torch", purpose)


def train(name: str, *, seed: int | None, data: Path | None, out: Path | None, progress: Progress) -> Trained:
    """Train the float network of a workload and write its checkpoint, in the current folder unless ``out`` says where.

    The test set is read once, after training, to report.
    """
    need_torch("training")
    from qsim.compress.train import Descent, train_reference

    workload, mnist = find_workload(name), load_mnist(data)
    how = workload.training
    descent = Descent(epochs=how.epochs, learning_rate=how.learning_rate, shift=how.shift)
    trained = train_reference(workload, mnist, descent, seed=how.seed if seed is None else seed, progress=progress)
    path = out or Path(workload.checkpoint)
    return Trained(
        path=path,
        sha256=save_weights(workload, trained.state, path),
        validation_error=100.0 * trained.validation_errors / trained.validation_count,
        test_error=float_test_error(workload, trained.state, mnist),
    )


def float_test_error(workload: Workload, state: FloatState, mnist: Mnist) -> float:
    """Return the error of a float network on the test set, in percent."""
    from qsim.compress.network import Layout, Samples, error_count

    layout = Layout.of(workload.layers)
    wrong = error_count(layout, layout.pack(state), Samples.of(mnist.test, workload.normalisation))
    return 100.0 * wrong / len(mnist.test)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """All that decides a compressed file, and where in the cache it belongs."""

    workload: Workload
    recipe: "Recipe"
    mnist: Mnist
    state: FloatState
    source: str
    path: Path
    key: str

    @property
    def record(self) -> Path:
        """Where it is written what the file was made from."""
        return self.path.parent / "made.json"

    def built(self) -> Built | None:
        """Return the file if it is in the cache, whole."""
        if not _intact(self.path, self.record, self.key):
            return None
        return Built(path=self.path, recipe=self.recipe.name, key=self.key, reused=True)


def _order(name: str, recipe_name: str, cache: Path, mnist: Mnist, weights: Path | None) -> _Order:
    from qsim.compress.recipe import load_recipe

    workload, recipe = find_workload(name), load_recipe(recipe_name)
    if not re.fullmatch(r"\w[\w.+ -]{0,99}", recipe.name):
        raise RecipeError(path="name", rule="a file's name: letters, digits, spaces and . + - _, at most 100", value=recipe.name)
    state = load_weights(workload, weights)
    source = "shipped checkpoint, trained on MNIST" if weights is None else weights.name
    key = job_key((recipe.text, source), state, mnist)
    path = cache / key[:16] / f"{recipe.name}.qsz"
    return _Order(workload=workload, recipe=recipe, mnist=mnist, state=state, source=source, path=path, key=key)


def build(name: str, recipe_name: str, *, cache: Path, data: Path | None = None, weights: Path | None = None, progress: Progress) -> Built:
    """Return the compressed file of ``recipe_name`` (a name or a TOML file) from ``cache``, making it if it is not there.

    A compression that was killed goes on from its last finished stage, or epoch of gradual pruning. A file in the cache whose content hash
    is wrong is made again. Raises :class:`QsimError` for unknown names and bad input.
    """
    need_torch("compression")
    from qsim.compress.journal import FileJournal
    from qsim.compress.pipeline import compress

    order = _order(name, recipe_name, cache, load_mnist(data), weights)
    found = order.built()
    if found is not None:
        return found
    journal = FileJournal(order.path.parent / "unfinished", order.key)
    model = compress(order.recipe, order.workload, order.state, order.mnist, progress=progress, weight_source=order.source, journal=journal)
    notes = {**model.notes, "float_test_error": round(float_test_error(order.workload, order.state, order.mnist), 4)}
    dataclasses.replace(model, notes=notes).save(order.path)
    digest = hashlib.sha256(order.path.read_bytes()).hexdigest()
    record = {"key": order.key, "recipe": order.recipe.name, "sha256": digest}
    write_text_atomically(order.record, json.dumps(record) + "\n")
    journal.remove()
    return Built(path=order.path, recipe=order.recipe.name, key=order.key, reused=False)


def build_all(
    name: str,
    recipes: Sequence[str],
    *,
    cache: Path,
    data: Path | None = None,
    weights: Path | None = None,
    progress: Progress,
    workers: int = 2,
) -> list[Built]:
    """Build several recipes in parallel processes (one torch thread each) and return them in the given order.

    Those in the cache are found without starting a process.
    """
    need_torch("compression")
    mnist = load_mnist(data)
    found = {recipe: _order(name, recipe, cache, mnist, weights).built() for recipe in recipes}
    missing = [recipe for recipe, built in found.items() if built is None]
    made = dict(zip(missing, _build_missing(name, missing, cache, data, weights, progress, workers), strict=True))
    return [found[recipe] or made[recipe] for recipe in recipes]


def _build_missing(
    name: str, recipes: Sequence[str], cache: Path, data: Path | None, weights: Path | None, progress: Progress, workers: int
) -> list[Built]:
    if not recipes:
        return []
    context = get_context("spawn")
    with context.Manager() as manager:
        reports = manager.Queue()
        with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
            futures = [pool.submit(_build_in_process, name, recipe, cache, data, weights, reports) for recipe in recipes]
            while not all(future.done() for future in futures) or not reports.empty():
                try:
                    progress(*reports.get(timeout=0.2))
                except Empty:
                    continue
            return [future.result() for future in futures]


class _Reports:
    """Sends progress of one recipe to the parent process, its stages added up to one bar."""

    def __init__(self, recipe: str, queue: object) -> None:
        self.recipe = recipe
        self.queue = queue

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.queue.put((f"{self.recipe}: {stage}", done, total))  # type: ignore[attr-defined]  # a manager's proxy has no static type


def _build_in_process(name: str, recipe: str, cache: Path, data: Path | None, weights: Path | None, reports: object) -> Built:
    return build(name, recipe, cache=cache, data=data, weights=weights, progress=_Reports(Path(recipe).stem, reports))


def job_key(texts: tuple[str, ...], state: FloatState, mnist: Mnist) -> str:
    """Return a hash, 64 hexadecimal digits, of all that decides a compression: ``texts``, weights, data, this source, torch and numpy."""
    from importlib.metadata import version

    digest = hashlib.sha256()
    for part in (*texts, version("torch"), version("numpy"), source_hash(ROOMS)):
        digest.update(hashlib.sha256(part.encode()).digest())
    for tensor in sorted(state):
        digest.update(tensor.encode())
        digest.update(state[tensor].tobytes())
    for split in (mnist.train, mnist.validation, mnist.test):
        digest.update(hashlib.sha256(split.images.tobytes()).digest())
        digest.update(hashlib.sha256(split.labels.tobytes()).digest())
    return digest.hexdigest()


@kept_once
def source_hash(packages: tuple[str, ...]) -> str:
    """Return a hash over the Python and TOML source of ``packages``."""
    digest = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            if path.suffix in (".py", ".toml") and path.is_file():
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _intact(path: Path, made: Path, key: str) -> bool:
    try:
        record = json.loads(made.read_text(encoding="utf-8"))
        return bool(record["key"] == key and record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def copy_to(built: Built, out: Path, *, by_column: bool = False) -> None:
    """Copy a built file to where the user wants it, whole or not at all; ``by_column``: the same network encoded anew, as a loader in
    hardware reads it.
    """
    if not by_column:
        write_bytes_atomically(out, built.path.read_bytes())
        return
    from qsim.model.compressed import CompressedModel

    model = CompressedModel.load(built.path)
    dataclasses.replace(model, options=dataclasses.replace(model.options, by_column=True)).save(out)
