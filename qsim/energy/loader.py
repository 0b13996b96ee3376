"""Reading a technology from TOML, strictly: unknown fields, missing actions and values without a source are errors."""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from energy_models import TECHNOLOGIES
from qsim.actions import SRAM_ACTIONS, Action
from qsim.energy.scaling import Scaling
from qsim.energy.sram import Outside, SramTable, read_sram_csv
from qsim.energy.technology import Cost, Technology
from qsim.errors import TechnologyError
from qsim.files import parse_toml

SCHEMA_VERSION = 1
_HEAD: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    "name": str,
    "description": str,
    "node_nm": int,
    "voltage_v": (int, float),
    "outside": str,
    "sram_table": dict,
}
_COST: dict[str, type | tuple[type, ...]] = {
    "pj": (int, float),
    "width_bits": int,
    "capacity_bytes": int,
    "scaling": str,
    "source": str,
    "derived": bool,
}
_TABLE: dict[str, type | tuple[type, ...]] = {"file": str, "node_nm": int, "cell": str, "source": str}


def load_technology(name_or_path: str | Path) -> Technology:
    """Return a technology by its name in :data:`energy_models.TECHNOLOGIES` or by the path of a TOML file.

    Raises :class:`TechnologyError` for an unknown name, a file that is not TOML, an unknown or missing field, a missing action.
    """
    if str(name_or_path) in TECHNOLOGIES:
        path = Path(str(files("energy_models"))) / TECHNOLOGIES[str(name_or_path)]
    else:
        path = Path(name_or_path)
        if path.suffix != ".toml" or not path.is_file():
            raise TechnologyError(
                path="technology", rule="a known technology or the path of a TOML file", value=str(name_or_path), legal=TECHNOLOGIES
            )
    try:
        data = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TechnologyError(f"{path}: not a technology file ({error})") from error
    return parse_technology(data, path.parent)


def parse_technology(data: Mapping[str, Any], folder: Path) -> Technology:
    """Return the technology in parsed TOML; a ``[sram_table]`` names its file relative to ``folder``.

    Raises :class:`TechnologyError`.
    """
    head = {key: value for key, value in data.items() if key not in list(Action)}
    _check(head, _HEAD, "technology", required=("schema", "name", "description", "node_nm"), more=list(Action))
    if head["schema"] != SCHEMA_VERSION:
        raise TechnologyError(path="schema", rule=f"{SCHEMA_VERSION}", value=head["schema"])
    outside = _choice(head.get("outside", "error"), list(Outside), "outside")
    costs = {action: _costs(data[action], action) for action in Action if action in data}
    sram = None
    texts = []
    if "sram_table" in head:
        if SRAM_ACTIONS & costs.keys():
            raise TechnologyError(path="sram_table", rule="absent where sram_read or sram_write have costs", value="both")
        sram, text = _sram(head["sram_table"], folder)
        texts.append(text)
    priced = {key: value for key, value in data.items() if key != "description"}
    return Technology(
        name=head["name"],
        description=head["description"],
        node_nm=head["node_nm"],
        voltage_v=head.get("voltage_v"),
        outside=Outside(outside),
        costs=costs,
        sram=sram,
        hash=hashlib.sha256("\n".join([json.dumps(priced, sort_keys=True), *texts]).encode()).hexdigest(),
    )


def _costs(entries: object, action: Action) -> tuple[Cost, ...]:
    if not isinstance(entries, list) or not entries:
        raise TechnologyError(path=str(action), rule=f"a list of costs ([[{action}]])", value=entries)
    return tuple(_cost(entry, action, f"{action}[{number}]") for number, entry in enumerate(entries))


def _cost(entry: object, action: Action, path: str) -> Cost:
    fields = _check(entry, _COST, path, required=("pj", "width_bits", "scaling", "source"))
    if "capacity_bytes" in fields and action not in SRAM_ACTIONS:
        raise TechnologyError(path=f"{path}.capacity_bytes", rule="absent, since only SRAM has a capacity", value=fields["capacity_bytes"])
    scaling = Scaling(_choice(fields["scaling"], list(Scaling), f"{path}.scaling"))
    try:
        return Cost(**{**fields, "pj": float(fields["pj"]), "scaling": scaling})
    except OverflowError as error:
        raise TechnologyError(path=f"{path}.pj", rule="finite and positive", value="a number beyond all floats") from error
    except TechnologyError as error:
        raise TechnologyError(path=f"{path}.{error.path}", rule=error.rule, value=error.value) from error


def _sram(entry: object, folder: Path) -> tuple[SramTable, str]:
    fields = _check(entry, _TABLE, "sram_table", required=tuple(_TABLE))
    try:
        text = (folder / fields["file"]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TechnologyError(f"sram_table.file: cannot read {fields['file']!r} ({error})") from error
    return read_sram_csv(text, node_nm=fields["node_nm"], cell=fields["cell"], source=fields["source"]), text


def _choice(value: str, legal: list[Any], path: str) -> str:
    if value not in legal:
        raise TechnologyError(path=path, rule="one of the legal values", value=value, legal=[str(item) for item in legal])
    return value


def _check(
    entry: object, kinds: Mapping[str, type | tuple[type, ...]], path: str, required: tuple[str, ...], more: list[Action] | None = None
) -> dict[str, Any]:
    """Return ``entry`` if it is a table whose fields are known, complete and of their kind."""
    if not isinstance(entry, dict):
        raise TechnologyError(path=path, rule="a table", value=entry)
    for key, value in entry.items():
        if key not in kinds:
            raise TechnologyError(path=f"{path}", rule="without unknown fields", value=key, legal=[*kinds, *(more or [])])
        # bool is a kind of int in Python, but not in a price list
        if not isinstance(value, kinds[key]) or (isinstance(value, bool) and kinds[key] is not bool):
            raise TechnologyError(path=f"{path}.{key}", rule="of the right type", value=value)
    for key in required:
        if key not in entry:
            raise TechnologyError(path=f"{path}.{key}", rule="given", value="missing")
    return entry
