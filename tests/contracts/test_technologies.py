"""Whether every shipped technology is complete, sourced and positive for every action at the widths that machines use."""

import math

import pytest

from energy_models import TECHNOLOGIES
from qsim.actions import SRAM_ACTIONS, Access, Action
from qsim.energy.loader import load_technology

WIDTHS = {True: (16, 32, 64, 128), False: (4, 8, 16, 24, 32, 64)}


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_name_and_hash(name: str) -> None:
    technology = load_technology(name)
    assert technology.name == name
    assert len(technology.hash) == 64
    assert technology.hash == load_technology(name).hash
    assert technology.description and technology.node_nm > 0


@pytest.mark.parametrize("name", TECHNOLOGIES)
@pytest.mark.parametrize("action", list(Action))
def test_prices_every_action(name: str, action: Action) -> None:
    technology = load_technology(name)
    memory = action in SRAM_ACTIONS
    for width in WIDTHS[memory]:
        for capacity in (1024, 2048, 32768, 131072, 162 * 1024, 1048576) if memory else (0,):
            price = technology.price(Access(unit="x", action=action, width_bits=width, capacity_bytes=capacity))
            assert math.isfinite(price.pj) and price.pj > 0
            assert price.source


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_distance_costs(name: str) -> None:
    """What every table in this field agrees on: DRAM >> SRAM > register > addition, and a product costs more than a sum."""
    technology = load_technology(name)

    def pj(action: Action, capacity: int = 0) -> float:
        return technology.price(Access(unit="x", action=action, width_bits=32, capacity_bytes=capacity)).pj

    assert pj(Action.DRAM_READ) > 10 * pj(Action.SRAM_READ, 131072)
    assert pj(Action.SRAM_READ, 8192) > pj(Action.REGISTER_READ) > pj(Action.INT_ADD)
    assert pj(Action.INT_MULTIPLY) > pj(Action.INT_ADD)
    assert pj(Action.FLOAT_MULTIPLY) > pj(Action.FLOAT_ADD)
