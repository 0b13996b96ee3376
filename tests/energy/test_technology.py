"""Whether a technology gives the published prices, and a faulty file fails when it is loaded, naming what is wrong."""

import tomllib
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from energy_models import TECHNOLOGIES
from qsim.actions import Access, Action
from qsim.energy.loader import load_technology, parse_technology
from qsim.errors import TechnologyError


def data(name: str = "han2015-45nm") -> dict[str, Any]:
    return tomllib.loads((files("energy_models") / TECHNOLOGIES[name]).read_text(encoding="utf-8"))


def price(name: str, action: Action, width: int, capacity: int = 0) -> float:
    return load_technology(name).price(Access(unit="x", action=action, width_bits=width, capacity_bytes=capacity)).pj


@pytest.mark.parametrize(
    ("action", "width", "capacity", "pj"),
    [  # Han et al., NIPS 2015, Fig. 1
        (Action.INT_ADD, 32, 0, 0.1),
        (Action.FLOAT_ADD, 32, 0, 0.9),
        (Action.REGISTER_READ, 32, 0, 1.0),
        (Action.INT_MULTIPLY, 32, 0, 3.1),
        (Action.FLOAT_MULTIPLY, 32, 0, 3.7),
        (Action.SRAM_READ, 32, 8192, 5.0),
        (Action.SRAM_READ, 32, 32768, 5.0),
        (Action.DRAM_READ, 32, 0, 640.0),
        # by the stated rules
        (Action.SRAM_READ, 64, 131072, 10.0),
        (Action.INT_MULTIPLY, 16, 0, 3.1 / 4),
        (Action.DRAM_WRITE, 64, 0, 1280.0),
    ],
)
def test_han(action: Action, width: int, capacity: int, pj: float) -> None:
    assert price("han2015-45nm", action, width, capacity) == pytest.approx(pj)


@pytest.mark.parametrize(
    ("action", "width", "capacity", "pj"),
    [  # Horowitz, ISSCC 2014
        (Action.INT_ADD, 8, 0, 0.03),
        (Action.INT_ADD, 16, 0, 0.05),
        (Action.INT_ADD, 32, 0, 0.1),
        (Action.FLOAT_ADD, 16, 0, 0.4),
        (Action.INT_MULTIPLY, 8, 0, 0.2),
        (Action.INT_MULTIPLY, 32, 0, 3.1),
        (Action.FLOAT_MULTIPLY, 16, 0, 1.1),
        (Action.SRAM_READ, 64, 8192, 10.0),
        (Action.SRAM_READ, 64, 32768, 20.0),
        (Action.SRAM_READ, 64, 1048576, 100.0),
        (Action.DRAM_READ, 64, 0, 1280.0),
        # by the stated rules: from the next greater width; clamped below 8 KB; geometric mean halfway in the logarithm
        (Action.INT_MULTIPLY, 16, 0, 3.1 / 4),
        (Action.INT_ADD, 12, 0, 0.05 * 12 / 16),
        (Action.INT_ADD, 64, 0, 0.2),
        (Action.SRAM_WRITE, 32, 2048, 5.0),
        (Action.SRAM_READ, 64, 16384, 200.0**0.5),
    ],
)
def test_horowitz(action: Action, width: int, capacity: int, pj: float) -> None:
    assert price("horowitz-45nm", action, width, capacity) == pytest.approx(pj)


def test_a_clamped_price_says_so() -> None:
    technology = load_technology("horowitz-45nm")
    small = technology.price(Access(unit="activations", action=Action.SRAM_READ, width_bits=64, capacity_bytes=2048))
    fits = technology.price(Access(unit="activations", action=Action.SRAM_READ, width_bits=64, capacity_bytes=8192))
    assert "activations: 2048 bytes" in small.note and "overestimate" in small.note
    assert fits.note == ""
    with pytest.raises(TechnologyError, match="1048576"):
        technology.price(Access(unit="weights", action=Action.SRAM_READ, width_bits=64, capacity_bytes=2**21))


def test_a_derived_price_says_where_it_comes_from() -> None:
    costs = [cost for cost in load_technology("horowitz-45nm").costs[Action.INT_MULTIPLY] if cost.derived]
    assert [cost.width_bits for cost in costs] == [16]
    assert "no 16-bit integer multiply in the table" in costs[0].source


@pytest.mark.parametrize("action", list(Action))
def test_a_missing_action_is_named_at_load(action: Action) -> None:
    table = data()
    del table[str(action)]
    with pytest.raises(TechnologyError, match=rf"han2015-45nm\.{action} must be given at least one cost"):
        parse_technology(table, Path())


Change = Callable[[dict[str, Any], dict[str, Any]], object]


def without_sram(table: dict[str, Any], _: dict[str, Any]) -> None:
    del table["sram_read"], table["sram_write"]
    table["sram_table"] = {"file": "nowhere.csv", "node_nm": 45, "cell": "itrs-lstp", "source": "x"}


def dated_file(table: dict[str, Any], cost: dict[str, Any]) -> None:
    without_sram(table, cost)
    table["sram_table"]["file"] = date(1979, 5, 27)


FAULTS: list[tuple[Change, str]] = [  # a change to the file and to its first cost of int_add
    (lambda table, cost: table.update(nodes=45), r"'nodes'.*did you mean 'node_nm'"),
    (lambda table, cost: table.update(int_sub=[cost]), r"'int_sub'"),
    (lambda table, cost: cost.update(picojoule=1.0), r"int_add\[0\] must be without unknown fields, not 'picojoule'"),
    (lambda table, cost: cost.update(source=" "), r"int_add\[0\]\.source must be a text"),
    (lambda table, cost: cost.pop("source"), r"int_add\[0\]\.source must be given"),
    (lambda table, cost: cost.update(pj=0.0), r"int_add\[0\]\.pj must be finite and positive, not 0.0"),
    (lambda table, cost: cost.update(pj=float("inf")), r"int_add\[0\]\.pj must be finite and positive, not inf"),
    (lambda table, cost: cost.update(pj=10**400), r"int_add\[0\]\.pj must be finite and positive"),
    (lambda table, cost: cost.update(pj="0.1"), r"int_add\[0\]\.pj must be of the right type"),
    (lambda table, cost: cost.update(width_bits=True), r"int_add\[0\]\.width_bits must be of the right type"),
    (lambda table, cost: cost.update(scaling="linearr"), r"none, linear, quadratic.*did you mean 'linear'"),
    (lambda table, cost: cost.update(capacity_bytes=8192), r"only SRAM has a capacity"),
    (
        lambda table, cost: table["sram_read"].append({**table["sram_read"][0], "capacity_bytes": 8192}),
        r"sram_read must be with a capacity in every cost or in none",
    ),
    (lambda table, cost: table["int_add"].append(cost), r"duplicate costs"),
    (lambda table, cost: table.update(int_add=[]), r"a list of costs"),
    (lambda table, cost: table.update(int_add=0.1), r"a list of costs"),
    (lambda table, cost: table.update(schema=2), r"schema must be 1, not 2"),
    (lambda table, cost: table.update(outside="extrapolate"), r"error, clamp"),
    (lambda table, cost: table.update(sram_table={}), r"sram_table must be absent"),
    (without_sram, r"cannot read 'nowhere.csv'"),
    (dated_file, r"sram_table\.file must be of the right type"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_faulty_files_are_refused(change: Change, message: str) -> None:
    table = data()
    change(table, table["int_add"][0])
    with pytest.raises(TechnologyError, match=message):
        parse_technology(table, Path())


def test_unscalable_cost_is_refused_for_another_width() -> None:
    table = data()
    table["int_add"][0]["scaling"] = "none"
    technology = parse_technology(table, Path())
    assert technology.price(Access(unit="mac", action=Action.INT_ADD, width_bits=32)).pj == 0.1
    with pytest.raises(TechnologyError, match="scaling is none"):
        technology.price(Access(unit="mac", action=Action.INT_ADD, width_bits=16))


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(TechnologyError, match="did you mean 'han2015-45nm'"):
        load_technology("han2015")
    with pytest.raises(TechnologyError):
        load_technology(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    for content in (b"\xff\xfe = [", b"x = " + b"[" * 100_000):
        bad.write_bytes(content)
        with pytest.raises(TechnologyError, match="not a technology file"):
            load_technology(bad)


def test_the_hash_follows_prices_and_not_prose() -> None:
    first = parse_technology(data(), Path()).hash
    prose, prices = data(), data()
    prose["description"] = "other words"
    prices["int_add"][0]["pj"] = 0.11
    assert parse_technology(prose, Path()).hash == first
    assert parse_technology(prices, Path()).hash != first
