"""Writing files whole or not at all, and reading TOML that a stranger wrote."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from qsim.errors import QsimError


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder, so that a reader sees the old or the new file.

    Missing parent folders are made. A symbolic link stays one: the file that it leads to is written. A device or a pipe, such as
    ``/dev/stdout``, is written to and never replaced by a file. Raises :class:`QsimError` when the disk is full or the folder is not
    writable; the old file then stays as it was.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data)
    except RuntimeError as error:  # what Path.resolve says of links in a circle before Python 3.13
        raise QsimError(f"cannot write {path}: {error}") from error
    except OSError as error:
        raise QsimError(f"cannot write {path}: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_folder_atomically(path: Path, files: Mapping[str, bytes], may_replace: Collection[str] = ()) -> None:
    """Write a folder with ``files`` by name, whole or not at all; those that begin with ``#!`` may be executed.

    A folder that is there is replaced if it is empty or holds nothing but entries named in ``may_replace``. Missing parent folders are
    made. Raises :class:`QsimError` for a folder with anything else and where it cannot be written; what was there then stays.
    """
    if path.exists() and not path.is_dir():
        raise QsimError(path=str(path), rule="a folder", value="a file")
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in may_replace) if path.exists() else []
    if others:
        raise QsimError(path=str(path), rule="a new or empty folder, or one that was written like this", value=f"one with {others[0]}")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        _fill(temporary / "new", files)
        if path.exists():
            path.rename(temporary / "old")
        (temporary / "new").rename(path)
    except OSError as error:
        raise QsimError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if temporary is not None:
            if (temporary / "old").exists() and not path.exists():
                (temporary / "old").rename(path)
            shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        if content.startswith(b"#!"):
            (folder / name).chmod(0o777 & ~_umask())


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises :class:`ValueError` for anything else, also for what ``tomllib`` lets through as other errors: tables nested without end and
    numbers of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
