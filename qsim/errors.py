"""Errors that tell the user which field to change.

Every error that a user's input can cause is a :class:`QsimError`; the command line prints its one-line message
and exits with status 2. An error about a field carries the field's dotted path, the rule it breaks, the value
found and, where the set is finite, the legal values.
"""

import difflib
from collections.abc import Iterable
from enum import Enum


def nearest(name: str, legal: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the legal name closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(legal), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


class QsimError(Exception):
    """Base of every error a user can cause and mend.

    Parameters: either a finished ``message``, or ``path`` (dotted field path), ``rule`` ("at least 1"),
    ``value`` (what was found) and ``legal`` (the legal values, named in the message).
    """

    exit_code = 2

    def __init__(
        self,
        message: str | None = None,
        *,
        path: str | None = None,
        rule: str | None = None,
        value: object = None,
        legal: Iterable[str] = (),
    ) -> None:
        self.path = path
        self.rule = rule
        self.value = value
        self.legal = tuple(legal)
        super().__init__(message if message is not None else self._field_message())

    def _field_message(self) -> str:
        value = self.value.value if isinstance(self.value, Enum) else self.value  # as the user writes it
        text = f"{self.path} must be {self.rule}, not {value!r}"
        if self.legal:
            hint = nearest(self.value, self.legal) if isinstance(self.value, str) else ""
            text += f"; legal values: {', '.join(self.legal)}{hint}"
        return text


class FieldError(QsimError):
    """A field of a qsim object breaks its rule."""


class FileFormatError(QsimError):
    """A file is truncated, corrupt, hostile or of another format."""


class MachineError(QsimError):
    """A machine description is impossible or unknown."""


class RecipeError(QsimError):
    """A compression recipe is malformed or cannot be carried out."""


class TechnologyError(QsimError):
    """A technology table is incomplete, or asked outside the range it was measured in."""


class DataError(QsimError):
    """A data set or weight file is missing, has the wrong shape, or fails its digest."""


class UnsupportedProgram(QsimError):
    """A model cannot run on this machine, or an engine cannot simulate this program exactly."""


class MissingExtra(QsimError):
    """An optional part of qsim is not installed.

    Parameters: ``extra``, the name in ``pip install 'qsim-hw[extra]'``; ``purpose``, what it was needed for.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the {extra!r} extra: pip install 'qsim-hw[{extra}]'")
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """Rebuild from both parameters where it comes back from another process."""
        return type(self), (self.extra, self.purpose)
