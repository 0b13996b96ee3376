"""What compression needs to know of a network and its data, as protocols.

``workloads`` implements them; stating them here keeps this package below any particular workload. The optional progress
callback has the shape of :class:`Progress`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from qsim.formats.fixed import FixedFormat
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation

FloatState = dict[str, npt.NDArray[np.float32]]


class LayerLike(Protocol):
    """The shape of a layer with weights, fully connected or a convolution, and of the pool behind it."""

    @property
    def name(self) -> str:
        """Name, the prefix of its tensors in a float state."""

    @property
    def inputs(self) -> int:
        """Number of activations it reads."""

    @property
    def rows(self) -> int:
        """Rows of its weight matrix: outputs, or output channels."""

    @property
    def columns(self) -> int:
        """Columns of its weight matrix: inputs, or elements of a window."""

    @property
    def activation(self) -> Activation:
        """What is applied to the results."""

    @property
    def geometry(self) -> ImageGeometry | None:
        """The window of a convolution; None for a fully connected layer."""

    @property
    def pool(self) -> ImageGeometry | None:
        """The window of the max pool that follows the activation, or None."""


class NormalisationLike(Protocol):
    """The map from the value the hardware reads to the one training saw: ``gain * value + offset``."""

    @property
    def gain(self) -> float:
        """Slope, positive."""

    @property
    def offset(self) -> float:
        """What zero maps to."""

    @property
    def input_format(self) -> FixedFormat:
        """How the hardware reads a raw input integer."""


class TaskLike(Protocol):
    """A network to compress."""

    @property
    def name(self) -> str:
        """Name of the workload."""

    @property
    def layers(self) -> Sequence[LayerLike]:
        """Its layers, first to last."""

    @property
    def normalisation(self) -> NormalisationLike:
        """How raw inputs are scaled."""


class SplitLike(Protocol):
    """Labelled raw inputs: ``images`` [n, inputs] unsigned bytes, ``labels`` [n]."""

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """Raw inputs."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class of each."""


class DataLike(Protocol):
    """What a compression may look at. There is deliberately no test set here."""

    @property
    def train(self) -> SplitLike:
        """Weights are trained, and number ranges calibrated, on this."""

    @property
    def validation(self) -> SplitLike:
        """Choices are made on this."""
