"""Strict reading of TOML tables into frozen dataclasses: every field known, of its type, and named in the error if not."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, TypeVar

from qsim.errors import FieldError, RecipeError, nearest

T = TypeVar("T")
Variant = Mapping[str, type]


def read_table(kind: type[T], table: Mapping[str, Any], path: str) -> T:
    """Return ``kind(**table)`` after checking names and types; ``path`` is the table's dotted name for errors."""
    known = {item.name: item for item in fields(typing.cast(Any, kind))}
    for name in table:
        if name not in known:
            raise RecipeError(f"{_join(path, name)} is not a field{nearest(name, known)}; the fields are: {', '.join(known) or 'none'}")
    hints = typing.get_type_hints(kind)
    values = {name: convert(hints[name], value, _join(path, name)) for name, value in table.items()}
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise RecipeError(f"{_join(path, name)} is missing")
    try:
        return kind(**values)
    except FieldError as error:  # types from below know nothing of recipes
        raise RecipeError(str(error)) from error


def read_variant(variants: Variant, table: Mapping[str, Any], path: str) -> Any:
    """Return the dataclass that ``table["method"]`` names in ``variants``, read from the other fields."""
    method = table.get("method")
    if not isinstance(method, str) or method not in variants:
        raise RecipeError(path=f"{path}.method", rule="a known method", value=method, legal=variants)
    rest = {name: value for name, value in table.items() if name != "method"}
    return read_table(variants[method], rest, path)


def convert(hint: Any, value: Any, path: str) -> Any:
    """Return ``value`` as the type ``hint``: bool, int, float (integers allowed), str, an enumeration or a tuple of one type."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # "int | None": absent means None, TOML has no null
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise RecipeError(path=path, rule="a list", value=value)
        inner = typing.get_args(hint)[0]
        return tuple(convert(inner, item, f"{path}[{place}]") for place, item in enumerate(value))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if value not in tuple(hint):
            raise RecipeError(path=path, rule="a known name", value=value, legal=tuple(str(item) for item in hint))
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        raise RecipeError(path=path, rule=names.get(hint, "of another type"), value=value)
    return value


def subtable(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the table ``name`` inside ``table``, empty where it is absent."""
    found = table.get(name, types.MappingProxyType({}))
    if not isinstance(found, Mapping):
        raise RecipeError(path=name, rule="a table", value=found)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
