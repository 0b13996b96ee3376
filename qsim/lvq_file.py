"""An LVQ classifier of the digits, from its method's name to a ``.qsz`` file with its error measured."""

import dataclasses
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import MissingExtra, QsimError
from qsim.progress import Progress
from qsim.run import measure
from workloads.lenet_300_100 import WORKLOAD
from workloads.mnist import Split, load_mnist

DEFAULT_RANK = 32
# Their metric or kernel does not become dot products (qsim.lvq.deploy).
NO_FILE = ("lgrlvq", "lgmlvq", "krslvq")


@dataclass(frozen=True, slots=True, kw_only=True)
class LvqFile:
    """The file at ``path``; ``ratio``: 32-bit floats of the same network over ``bytes``; errors in percent of the test digits."""

    path: Path
    method: str
    prototypes: int
    bytes: int
    ratio: float
    test_error: float
    float_test_error: float

    @property
    def facts(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return dataclasses.asdict(self) | {"path": str(self.path)}


def make_lvq(
    method: str,
    *,
    per_class: int,
    epochs: int,
    rank: int | None,
    seed: int,
    recipe: str,
    data: Path | None,
    path: Path,
    progress: Progress,
) -> LvqFile:
    """Train ``method`` on the training digits, quantise its prototypes by ``recipe`` and write the file.

    Raises :class:`MissingExtra` without scikit-learn or torch, :class:`QsimError` for an unknown method or one that becomes no file.
    """
    if importlib.util.find_spec("sklearn") is None or importlib.util.find_spec("torch") is None:
        raise MissingExtra("lvq", "training prototypes")
    from qsim.compress.recipe import load_recipe
    from qsim.lvq import CLASSIFIERS
    from qsim.lvq.deploy import to_model

    legal = tuple(name for name in CLASSIFIERS if name not in NO_FILE)
    if method not in legal:
        raise QsimError(path="--method", rule="a method that becomes dot products", value=method, legal=legal)
    if rank is not None and method != "gmlvq":
        raise QsimError(path="--rank", rule="left out but for gmlvq, which alone has a matrix", value=rank)
    how, mnist = load_recipe(recipe), load_mnist(data)
    extra = {"rank": rank or DEFAULT_RANK} if method == "gmlvq" else {}
    classifier = CLASSIFIERS[method](prototypes_per_class=per_class, epochs=epochs, random_state=seed, **extra)
    classifier.tell(progress)
    classifier.fit(_normalised(mnist.train), mnist.train.labels)
    model = to_model(classifier, how, WORKLOAD.normalisation, mnist.train, f"{method}-mnist", progress)
    wrong = float(100.0 * (classifier.predict(_normalised(mnist.test)) != mnist.test.labels).mean())
    model = dataclasses.replace(model, notes={**model.notes, "float_test_error": round(wrong, 4)})
    model.save(path)
    measured = measure(model, mnist.test).test_error
    assert measured is not None
    return LvqFile(
        path=path,
        method=method,
        prototypes=len(classifier.prototype_labels_),
        bytes=model.file_bytes,
        ratio=4 * model.graph.parameters / model.file_bytes,
        test_error=measured,
        float_test_error=wrong,
    )


def _normalised(split: Split) -> Any:
    """Return the pixels as training sees them."""
    normalisation = WORKLOAD.normalisation
    return split.images.astype(np.float64) * (normalisation.gain * normalisation.input_format.lsb) + normalisation.offset
