"""Options that several verbs share, and how their texts are read."""

import os
from pathlib import Path
from typing import Any

import click

from qsim.errors import QsimError
from qsim.files import parse_toml

DEFAULT_TECHNOLOGY = "han2015-45nm"
MOST_IMAGES = 100_000

data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Folder with the data set's own files (the shipped MNIST by default)."
)
technology_option = click.option(
    "--technology",
    "-t",
    default=DEFAULT_TECHNOLOGY,
    show_default=True,
    metavar="NAME|FILE",
    help="Prices of accesses: see qsim list technologies.",
)
images_option = click.option(
    "--images", default="0:10", show_default=True, metavar="RANGE", help="Test images to run: 7, 3,14,15 or 0:100 (end excluded)."
)
engine_option = click.option(
    "--engine",
    type=click.Choice(["fast", "event"]),
    default="fast",
    show_default=True,
    help="fast (numba) or event (SimPy, the definition).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


class OutFile(click.Path):
    """The path of a file that will be written, refused before the work rather than after it where it cannot be."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path. The nearest folder above it that is there must be one in which files can be made."""
        path = Path(str(super().convert(value, param, ctx)))
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not path.exists() and not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise QsimError(f"cannot write {path}: {above} is {'read-only' if above.is_dir() else 'not a folder'}")
        return path


def image_indices(text: str) -> tuple[int, ...]:
    """Read ``7``, ``3,14,15`` or ``0:100`` (end excluded, optional step).

    Raises :class:`QsimError` for anything else.
    """
    found: list[int] = []
    try:
        for part in text.split(","):
            bounds = [int(word) for word in part.split(":")]
            if len(bounds) > 3:
                raise ValueError(part)
            if max(map(abs, bounds)) > MOST_IMAGES:
                raise QsimError(path="--images", rule=f"indices up to {MOST_IMAGES:,}", value=text)
            found += bounds if len(bounds) == 1 else range(*bounds)
    except ValueError as error:
        raise QsimError(path="--images", rule="an index, a list 3,14,15 or a range 0:100", value=text) from error
    if not found:
        raise QsimError(path="--images", rule="at least one image", value=text)
    return tuple(found)


def assignment(text: str) -> tuple[str, list[Any]]:
    """Read ``array.queue.depth=1,2,4``: a dotted path and values written as in TOML (a bare word is text).

    Raises :class:`QsimError` for anything else.
    """
    path, sign, values = text.partition("=")
    if not sign or not path or not values:
        raise QsimError(path="--set", rule="like array.queue.depth=1,2,4", value=text)
    return path, [_value(word) for word in values.split(",")]


def _value(word: str) -> Any:
    try:
        return parse_toml(f"x = {word}")["x"]
    except ValueError:
        return word.strip()
