"""Real, labelled pictures as the input of an estimate: activations of each, and the error of the networks that see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from qsim.errors import DataError
from qsim.estimate import Prepared, Tensors, infer
from qsim.model.network import Array, Network
from qsim.model.reference import run
from qsim.progress import Progress, silent
from qsim.results import Quality
from workloads.images import LabelledPictures, Scale


def picture_side(network: Network) -> tuple[int, int]:
    """Return height and width of the picture that a network takes. Raises :class:`DataError` for one that takes something else."""
    shapes = [network.tensors[name].shape for name in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][:2] != (1, 3):
        raise DataError(
            path="--data", rule="used with a network of one input [1, 3, height, width]", value=[list(shape) for shape in shapes]
        )
    return shapes[0][2], shapes[0][3]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Pictures for one prepared network, ``scale`` as given or that of the data; ``hits`` fills while :attr:`images` are run."""

    prepared: Prepared
    data: LabelledPictures
    scale: Scale
    hits: list[bool]

    @property
    def images(self) -> list[Callable[[], list[npt.NDArray[np.bool_]]]]:
        """What makes the activations of each picture."""
        return [partial(self._run, place) for place in range(len(self.data.labels))]

    @property
    def words(self) -> str:
        """Where the activations come from."""
        return f"inference on {len(self.data.labels)} of {self.data.source}, {self.scale}"

    def quality(self, float_errors: float | None) -> Quality | None:
        """Return the top-1 error of the pictures that were run, None where nothing trained could be right."""
        if not self.hits or not measurable(self.prepared.network, self.data):
            return None
        return Quality(test_error=_error(self.hits), float_test_error=float_errors, test_images=len(self.hits))

    def _run(self, place: int, progress: Progress = silent) -> list[npt.NDArray[np.bool_]]:
        zeros, outputs = infer(self.prepared, _inputs(self.prepared.network, self.data, self.scale, place), progress)
        self.hits.append(_hit(outputs[0], self.data, place))
        return zeros


def float_error(network: Network, data: LabelledPictures, scale: Scale, progress: Progress = silent) -> float | None:
    """Return the top-1 error, in percent, of the float network; None where nothing trained could be right."""
    if not measurable(network, data):
        return None
    hits = []
    for place in range(len(data.labels)):
        values = run(network, _inputs(network, data, scale, place))
        hits.append(_hit(values[network.outputs[0]], data, place))
        progress("float network", place + 1, len(data.labels))
    return _error(hits)


def measurable(network: Network, data: LabelledPictures) -> bool:
    """Whether labels and outputs speak of the same classes, and the weights were trained."""
    shape = network.type_of(network.outputs[0]).shape
    return "SYNTHETIC" not in network.source and shape == (1, data.classes)


def _inputs(network: Network, data: LabelledPictures, scale: Scale, place: int) -> Tensors:
    return {network.inputs[0]: scale.apply(data.pictures[place])}


def _hit(output: Array, data: LabelledPictures, place: int) -> bool:
    return bool(np.argmax(output) == data.labels[place])


def _error(hits: Sequence[bool]) -> float:
    return 100 * (1 - sum(hits) / len(hits))
