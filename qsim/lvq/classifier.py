"""What all LVQ classifiers share: prototypes with classes, trained by gradient descent on a cost of their distances to the inputs.

The estimators follow scikit-learn's interface. Inputs are centred and divided by one number for training, which changes no distance but for
that factor; attributes that end in ``_`` are in the units of the inputs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from qsim.errors import RecipeError
from qsim.lvq.start import start_prototypes
from qsim.progress import Progress, silent

FloatArray = npt.NDArray[np.float64]
CHUNK_ELEMENTS = 1 << 22  # distances held at a time while predicting
POSITIVE = ("epochs", "batch_size", "prototypes_per_class", "learning_rate")


@dataclass(frozen=True, slots=True)
class Batch:
    """Squared ``distances`` [n, prototypes], which prototypes are of the ``same`` class as the sample, and the ``part`` (0 to 1) of the
    training that is done.
    """

    distances: Tensor
    same: Tensor
    part: float

    def nearest(self) -> tuple[Tensor, Tensor]:
        """Return the distance of the nearest prototype of the sample's class and of the nearest of any other, both [n]."""
        right = self.distances.masked_fill(~self.same, torch.inf).min(dim=1).values
        wrong = self.distances.masked_fill(self.same, torch.inf).min(dim=1).values
        return right, wrong


@dataclass(kw_only=True, eq=False, repr=False)
class PrototypeClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A classifier that answers with the class of the nearest prototype.

    Parameters
    ----------
    prototypes_per_class : int
    epochs : int
        Passes over the training set.
    batch_size : int
    learning_rate : float
        Of Adam, at first; falls to zero along half a cosine. In units of the inputs' standard deviation.
    random_state : int, RandomState instance or None

    Attributes
    ----------
    classes_ : array [classes]
    prototype_labels_ : array [prototypes]
        Class of each prototype; those of a class stand together.
    prototypes_ : array [prototypes, features]
        In the units of the inputs (not of :class:`~qsim.lvq.krslvq.KRSLVQ`, whose prototypes lie in the kernel's space).
    """

    prototypes_per_class: int = 1
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.05
    random_state: Any = None

    def fit(self, X: Any, y: Any) -> "PrototypeClassifier":
        """Train on ``X`` [n, features] with classes ``y`` [n]; return self.

        Raises :class:`ValueError` for inputs that scikit-learn refuses and for fewer than two classes, :class:`RecipeError` for parameters
        outside their range.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs samples of at least 2 classes, and there is 1 class")
        random = check_random_state(self.random_state)
        self._center = X.mean(axis=0)
        self._scale = float(X.std()) or 1.0
        inputs, targets = torch.from_numpy((X - self._center) / self._scale), torch.from_numpy(codes.astype(np.int64))
        self._begin(inputs, targets, random)
        self._train(inputs, targets, torch.Generator().manual_seed(int(random.randint(2**31 - 1))))
        self._finish()
        self.prototype_labels_ = self.classes_[self._labels.numpy()]
        return self

    def tell(self, progress: Progress) -> None:
        """Let ``fit`` tell ``progress`` of every epoch."""
        self._progress = progress

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the class of the nearest prototype of each of ``X`` [n, features]."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        step = max(1, CHUNK_ELEMENTS // self._width())
        with torch.no_grad():
            inputs = torch.from_numpy((X - self._center) / self._scale)
            nearest = [self._distances(part).argmin(dim=1) for part in inputs.split(step)]
        found: npt.NDArray[Any] = self.prototype_labels_[torch.cat(nearest).numpy()]
        return found

    def _check_parameters(self) -> None:
        legal = {field.name for field in fields(self)}
        for name in POSITIVE:
            if name in legal and not getattr(self, name) > 0:
                raise RecipeError(path=f"{type(self).__name__}.{name}", rule="above 0", value=getattr(self, name))

    def _begin(self, inputs: Tensor, targets: Tensor, random: np.random.RandomState) -> None:
        """Set ``_labels`` [prototypes] and ``_values``, the tensors that are trained."""
        starts, self._labels = start_prototypes(inputs, targets, self.prototypes_per_class, random)
        self._values = {"prototypes": starts.requires_grad_()}

    def _train(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> None:
        batches = -(-len(inputs) // self.batch_size)
        total, done = self.epochs * batches, 0
        optimiser, progress = self._optimiser(), getattr(self, "_progress", silent)
        for epoch in range(self.epochs):
            for chosen in torch.randperm(len(inputs), generator=generator).split(self.batch_size):
                part = done / total
                for group in optimiser.param_groups:
                    group["lr"] = group["initial_lr"] * 0.5 * (1.0 + np.cos(np.pi * part))
                optimiser.zero_grad()
                same = targets[chosen][:, None] == self._labels
                self._cost(Batch(self._distances(inputs[chosen]), same, part)).mean().backward()
                optimiser.step()
                done += 1
            progress("prototypes", epoch + 1, self.epochs)
            if self._epoch_ends(done / total):
                optimiser = self._optimiser()

    def _optimiser(self) -> torch.optim.Optimizer:
        groups = [{"params": [value], "lr": self._rate(name), "initial_lr": self._rate(name)} for name, value in self._values.items()]
        return torch.optim.Adam(groups)

    def _rate(self, name: str) -> float:
        """Return the first learning rate of a trained tensor."""
        return self.learning_rate

    def _epoch_ends(self, part: float) -> bool:
        """Change what is trained after an epoch; return whether anything was."""
        return False

    def _width(self) -> int:
        """Return how many numbers an input takes while distances are computed."""
        return len(self._labels)

    def _finish(self) -> None:
        """Set the fitted attributes."""
        self._values = {name: value.detach() for name, value in self._values.items()}
        self.prototypes_ = self._values["prototypes"].numpy() * self._scale + self._center

    @abstractmethod
    def _distances(self, inputs: Tensor) -> Tensor:
        """Return the squared distances [n, prototypes] of the scaled ``inputs`` [n, features]."""

    @abstractmethod
    def _cost(self, batch: Batch) -> Tensor:
        """Return the cost of each sample [n]."""
