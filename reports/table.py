"""What a table of the page is: captioned, grouped, every number with its exact value beside its text."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.text import Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head, its unit, and whether it holds numbers."""

    head: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A cell: ``text`` for readers, ``value`` exact in SI units; ``colour`` a token; ``hint`` the whole of a shortened text."""

    text: str
    value: float | None = None
    colour: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows under a common head (empty for none)."""

    rows: tuple[tuple[Field, ...], ...]
    head: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; the first field of every row is its head."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]


MISSING = "–"


def scaled(values: Sequence[float | None], unit: str) -> tuple[str, list[Field]]:
    """Return the prefixed unit and the cells of a column of quantities; None becomes a dash."""
    scale = Scale([value for value in values if value is not None], unit)
    return scale.unit, [Field(text=MISSING) if value is None else Field(text=scale(value), value=value) for value in values]


def counted(value: float) -> Field:
    """Return a cell with a whole number."""
    return Field(text=f"{round(value):,}", value=value)


def decimal(value: float | None, decimals: int) -> Field:
    """Return a cell with a fixed number of decimals; None becomes a dash."""
    return Field(text=MISSING) if value is None else Field(text=f"{value:,.{decimals}f}", value=value)
