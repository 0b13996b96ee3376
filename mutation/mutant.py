"""A bug as data, and how it gets into a copy of the RTL."""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("rtl", "tests")
_LEAVE = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A change of ``file`` from ``old`` to ``new``, after which one of ``tests`` (pytest node ids) must fail.

    ``bug`` says what is wrong then. Raises ``ValueError`` unless something is changed, in the RTL, and a test is named.
    """

    name: str
    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.file.startswith("rtl/"):
            raise ValueError(f"{self.name}: file must be in rtl/, not {self.file!r}")
        if self.old == self.new:
            raise ValueError(f"{self.name}: new must differ from old, {self.old!r}")
        if not self.tests:
            raise ValueError(f"{self.name}: tests must name at least one")

    def planted(self, text: str) -> str:
        """Return ``text``, the content of ``file``, with the bug in it.

        Raises ``ValueError`` unless ``old`` stands there exactly once.
        """
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name}: {self.file} must hold {self.old!r} once, not {found} times")
        return text.replace(self.old, self.new)


def plant(mutation: Mutation, folder: Path) -> None:
    """Copy the RTL and its tests to ``folder`` and plant the bug there.

    What was built for all models alike, Verilator's own run-time library, comes along; every model is built anew.
    """
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEAVE)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for runtime in (ROOT / ".pytest_cache" / "d" / "rtl").glob("runtime-*"):
        shutil.copytree(runtime, folder / ".pytest_cache" / "d" / "rtl" / runtime.name)
    target = folder / mutation.file
    target.write_text(mutation.planted(target.read_text()))
