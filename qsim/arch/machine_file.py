"""Machines as TOML files: the fields of :class:`Architecture` by their names, tables for its parts, nothing else.

A file may start from a preset (``base = "sparse-sram"``) and state only what differs. Every unknown field is an error that
names the nearest known one.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from qsim.arch.architecture import Architecture, field_value, in_machine
from qsim.arch.presets import MACHINES
from qsim.errors import MachineError
from qsim.files import parse_toml


def load_machine(name_or_path: str) -> Architecture:
    """Return the preset of this name, or the machine in this TOML file.

    Raises :class:`MachineError` for an unknown name, an unreadable file, an unknown or missing field or a field that breaks its rule.
    """
    if name_or_path in MACHINES:
        return MACHINES[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise MachineError(path="machine", rule="a machine's name or a .toml file", value=name_or_path, legal=MACHINES)
    try:
        data = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MachineError(f"{path}: not a readable machine file ({error})") from error
    try:
        return from_mapping(data)
    except MachineError as error:
        raise MachineError(f"{path}: {error}") from error


def from_mapping(data: Mapping[str, Any]) -> Architecture:
    """Build a machine from parsed TOML; with ``base``, from a preset and the fields that differ."""
    data = dict(data)
    base = data.pop("base", None)
    if base is None:
        machine = _structure(Architecture, data, "")
        assert isinstance(machine, Architecture)
        return machine
    if not isinstance(base, str) or base not in MACHINES:
        raise MachineError(path="base", rule="the name of a preset machine", value=base, legal=MACHINES)
    merged = _merge(to_mapping(MACHINES[base]), data)
    merged.setdefault("source", "")
    return from_mapping(merged)


def to_mapping(machine: Architecture) -> dict[str, Any]:
    """Return the fields of a machine as nested dictionaries; absent parts are left out."""
    return _unstructure(machine)


def to_toml(machine: Architecture) -> str:
    """Return the TOML text that :func:`load_machine` reads back as the same machine."""
    lines: list[str] = []
    _write_table(to_mapping(machine), "", lines)
    return "\n".join(lines) + "\n"


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        inner = merged.get(name)
        merged[name] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def _structure(kind: Any, data: Any, path: str) -> Any:
    if not isinstance(data, Mapping):
        raise MachineError(path=path, rule="a table", value=data)
    hints = get_type_hints(kind)
    prefix = f"{path}." if path else ""
    for name in data:
        if name not in hints:
            raise MachineError(path=f"{prefix}{name}", rule="a known field", value=name, legal=tuple(hints))
    values = {name: _value(hints[name], value, f"{prefix}{name}") for name, value in data.items()}
    for field in fields(kind):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise MachineError(path=f"{prefix}{field.name}", rule="given", value=None)
    with in_machine(path):
        return kind(**values)


def _value(hint: Any, value: Any, path: str) -> Any:
    parts = [item for item in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if item is not NoneType]
    return _structure(parts[0], value, path) if is_dataclass(parts[0]) else field_value(hint, value, path)


def _unstructure(node: Any) -> dict[str, Any]:
    result = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if value is not None:
            result[field.name] = _unstructure(value) if is_dataclass(value) else value
    return result


def _write_table(table: Mapping[str, Any], name: str, lines: list[str]) -> None:
    if name:
        lines.extend(("", f"[{name}]"))
    for key, value in table.items():
        if not isinstance(value, Mapping):
            lines.append(f"{key} = {_literal(value)}")
    for key, value in table.items():
        if isinstance(value, Mapping):
            _write_table(value, f"{name}.{key}" if name else key, lines)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        escaped = "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped)
        return f'"{escaped}"'
    return repr(value)
