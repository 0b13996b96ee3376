"""How a long job tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called after each finished unit of work of a stage."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """``done`` of ``total`` units of ``stage`` are finished."""


def silent(stage: str, done: int, total: int, /) -> None:
    """Report nothing: the default."""
