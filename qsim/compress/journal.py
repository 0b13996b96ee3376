r"""What a compression has finished so far, in a file: so that one that was killed goes on where it was.

A journal holds the tensors of each finished stage, the states of the random generators among them, so the result is bit for bit that of an
uninterrupted run. The file is written whole or not at all, and belongs to one key, a hash of all that decides the result; one that is
damaged or of another key is ignored with a word.

::

    "qsim journal 1\n"   the key, 64 hexadecimal digits   SHA-256 of the rest, 64 digits   safetensors
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from qsim.files import write_bytes_atomically

MAGIC = b"qsim journal 1\n"
DIGITS = 64
Tensors = Mapping[str, Tensor]
logger = logging.getLogger(__name__)


class Journal(Protocol):
    """Tensors of stages by name."""

    def read(self, stage: str) -> Tensors | None:
        """Return what was written for ``stage``, None if it is not finished."""

    def write(self, stage: str, tensors: Tensors, instead_of: str = "") -> None:
        """Keep ``tensors`` for ``stage``; forget all stages whose names begin with ``instead_of``, if that is not empty."""


class NoJournal:
    """Nothing is kept."""

    def read(self, stage: str) -> None:
        """Return None."""

    def write(self, stage: str, tensors: Tensors, instead_of: str = "") -> None:
        """Do nothing."""


NO_JOURNAL = NoJournal()


class FileJournal:
    """A journal in the file ``path`` for the job ``key``, 64 hexadecimal digits; begun anew if there is none that fits."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._stages = _load(path, key)

    def read(self, stage: str) -> Tensors | None:
        """Return the tensors of ``stage``."""
        return self._stages.get(stage)

    def write(self, stage: str, tensors: Tensors, instead_of: str = "") -> None:
        """Keep ``tensors`` and write the file."""
        others = {name: kept for name, kept in self._stages.items() if not (instead_of and name.startswith(instead_of))}
        self._stages = {**others, stage: {name: tensor.detach().clone() for name, tensor in tensors.items()}}
        flat = {f"{name}/{part}": tensor.contiguous() for name, kept in self._stages.items() for part, tensor in kept.items()}
        body = safetensors.torch.save(flat)
        write_bytes_atomically(self._path, MAGIC + self._key.encode() + hashlib.sha256(body).hexdigest().encode() + body)

    def remove(self) -> None:
        """Remove the file: the job is done."""
        self._stages = {}
        self._path.unlink(missing_ok=True)


def _load(path: Path, key: str) -> dict[str, dict[str, Tensor]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.warning("%s cannot be read (%s): compression begins anew", path, error.strerror)
        return {}
    head, body = content[: len(MAGIC) + 2 * DIGITS], content[len(MAGIC) + 2 * DIGITS :]
    if not head.startswith(MAGIC) or head[-DIGITS:] != hashlib.sha256(body).hexdigest().encode():
        logger.warning("%s is damaged: compression begins anew", path)
        return {}
    if head[len(MAGIC) : -DIGITS] != key.encode():
        logger.warning("%s belongs to another recipe, other weights or other data: compression begins anew", path)
        return {}
    return _stages(path, body)


def _stages(path: Path, body: bytes) -> dict[str, dict[str, Tensor]]:
    stages: dict[str, dict[str, Tensor]] = {}
    try:
        for name, tensor in safetensors.torch.load(body).items():
            stage, part = name.rsplit("/", 1)
            stages.setdefault(stage, {})[part] = tensor
    except (SafetensorError, ValueError):
        logger.warning("%s is damaged: compression begins anew", path)
        return {}
    return stages


def random_states(generator: torch.Generator, random: np.random.Generator) -> dict[str, Tensor]:
    """Return the states of both generators as tensors of bytes."""
    text = json.dumps(random.bit_generator.state).encode()
    return {"torch random": generator.get_state(), "numpy random": torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def restore_random(kept: Tensors, generator: torch.Generator, random: np.random.Generator) -> None:
    """Put both generators back into the states that :func:`random_states` gave."""
    generator.set_state(kept["torch random"])
    random.bit_generator.state = json.loads(kept["numpy random"].numpy().tobytes())


class Stateful(Protocol):
    """Something that changes while a network is trained."""

    def state(self) -> dict[str, Tensor]:
        """Return all that decides what it does next."""

    def restore(self, kept: Tensors) -> None:
        """Go back to a state."""


class Epochs:
    """The epochs of one training, the ``stage`` of a journal; ``other`` is kept with the weights."""

    def __init__(self, journal: Journal, stage: str, other: Stateful) -> None:
        self._journal, self._stage, self._other = journal, stage, other

    def resume(self, parameters: Tensor, velocity: Tensor, generator: torch.Generator) -> int:
        """Put everything back to the last finished epoch and return how many are finished."""
        kept = self._journal.read(self._stage)
        if kept is None:
            return 0
        parameters.copy_(kept["parameters"])
        velocity.copy_(kept["velocity"])
        generator.set_state(kept["torch random"])
        self._other.restore(kept)
        return int(kept["epochs"])

    def keep(self, done: int, parameters: Tensor, velocity: Tensor, generator: torch.Generator) -> None:
        """Write down that ``done`` epochs are finished."""
        kept = {"parameters": parameters, "velocity": velocity, "torch random": generator.get_state(), "epochs": torch.tensor(done)}
        self._journal.write(self._stage, {**kept, **self._other.state()})
