"""A technology: what every hardware action costs, and who says so.

A price is the cost stated for the access's width, else that of the next greater width (else the greatest), carried over by its scaling
rule; for SRAM with stated capacities, interpolated over the capacity; or, where the technology has a table of memories, read from that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from qsim.actions import SRAM_ACTIONS, Access, Action
from qsim.energy.scaling import Scaling, width_factor
from qsim.energy.sram import Outside, SramTable, interpolate, within
from qsim.errors import TechnologyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Energy of one action at one width, with its source.

    ``capacity_bytes``: the memory size it holds for, 0 where any; ``derived``: the value is arithmetic on a published one.
    """

    pj: float
    width_bits: int
    source: str
    scaling: Scaling
    capacity_bytes: int = 0
    derived: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pj) and self.pj > 0):
            raise TechnologyError(path="pj", rule="finite and positive", value=self.pj)
        if self.width_bits < 1:
            raise TechnologyError(path="width_bits", rule="at least 1", value=self.width_bits)
        if self.capacity_bytes < 0:
            raise TechnologyError(path="capacity_bytes", rule="at least 0", value=self.capacity_bytes)
        if not self.source.strip():
            raise TechnologyError(path="source", rule="a text that says where the number was read", value=self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one access costs: ``note`` is not empty where the price is a stand-in (a clamped memory size)."""

    pj: float
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Technology:
    """A complete price list. ``hash`` covers every price and rule, not the description.

    Raises :class:`TechnologyError` if an action has no cost: nothing is free by omission.
    """

    name: str
    description: str
    node_nm: int
    costs: Mapping[Action, tuple[Cost, ...]]
    hash: str
    voltage_v: float | None = None
    sram: SramTable | None = None
    outside: Outside = Outside.ERROR

    def __post_init__(self) -> None:
        for action in Action:
            if self.sram is not None and action in SRAM_ACTIONS:
                continue
            costs = self.costs.get(action, ())
            if not costs:
                raise TechnologyError(path=f"{self.name}.{action}", rule="given at least one cost", value="missing")
            if len({cost.capacity_bytes > 0 for cost in costs}) > 1:
                raise TechnologyError(path=f"{self.name}.{action}", rule="with a capacity in every cost or in none", value="mixed")
            if len({(cost.width_bits, cost.capacity_bytes) for cost in costs}) < len(costs):
                raise TechnologyError(path=f"{self.name}.{action}", rule="given one cost a width and capacity", value="duplicate costs")

    def price(self, access: Access) -> Price:
        """Return the price of one access.

        Raises :class:`TechnologyError` for a width or memory size that the table does not cover.
        """
        if self.sram is not None and access.action in SRAM_ACTIONS:
            return self._from_table(self.sram, access)
        costs = self.costs[access.action]
        if costs[0].capacity_bytes:
            return self._by_capacity(costs, access)
        cost = _nearest_width(costs, access.width_bits)
        return Price(pj=self._scaled(cost, access), source=_cite(cost, access.width_bits))

    def leakage_mw(self, capacity_bytes: int, width_bits: int) -> float | None:
        """Return the leakage power of one memory in mW, None where the technology does not give it."""
        if self.sram is None:
            return None
        return self.sram.value("leakage_mw", capacity_bytes, width_bits, self.outside)

    def _scaled(self, cost: Cost, access: Access) -> float:
        factor = width_factor(cost.scaling, cost.width_bits, access.width_bits)
        if factor is None:
            raise TechnologyError(
                path=f"{self.name}.{access.action}", rule=f"asked for {cost.width_bits} bits (scaling is none)", value=access.width_bits
            )
        return cost.pj * factor

    def _by_capacity(self, costs: tuple[Cost, ...], access: Access) -> Price:
        """Interpolate over the capacities, each at its own nearest width."""
        capacities = sorted({cost.capacity_bytes for cost in costs})
        capacity = within(access.capacity_bytes, capacities, self.outside, f"{self.name}.{access.action}.capacity_bytes")
        chosen = [_nearest_width([c for c in costs if c.capacity_bytes == size], access.width_bits) for size in capacities]
        pj = interpolate([(cost.capacity_bytes, self._scaled(cost, access)) for cost in chosen], capacity)
        closest = min(chosen, key=lambda cost: abs(cost.capacity_bytes - capacity))
        stated = ", ".join(f"{cost.pj:g} pJ at {cost.capacity_bytes // 1024} KB" for cost in chosen)
        source = f"{closest.source} ({stated}; per {closest.width_bits} bits; log-log interpolation, {closest.scaling} in width)"
        return Price(pj=pj, source=source, note=_clamp_note(access, capacities, [access.width_bits]))

    def _from_table(self, table: SramTable, access: Access) -> Price:
        quantity = "read_pj" if access.action is Action.SRAM_READ else "write_pj"
        pj = table.value(quantity, access.capacity_bytes, access.width_bits, self.outside)
        return Price(pj=pj, source=table.source, note=_clamp_note(access, table.capacities, table.widths))


def _nearest_width(costs: tuple[Cost, ...] | list[Cost], width_bits: int) -> Cost:
    """Return the cost of the smallest stated width that is not below ``width_bits``, else of the greatest."""
    ordered = sorted(costs, key=lambda cost: cost.width_bits)
    return next((cost for cost in ordered if cost.width_bits >= width_bits), ordered[-1])


def _cite(cost: Cost, width_bits: int) -> str:
    if cost.width_bits == width_bits:
        return cost.source
    return f"{cost.source} ({cost.pj:g} pJ at {cost.width_bits} bits, {cost.scaling} in width)"


def _clamp_note(access: Access, capacities: list[int], widths: list[int]) -> str:
    if access.capacity_bytes >= capacities[0] and access.width_bits >= widths[0]:
        return ""
    return (
        f"{access.unit}: {access.capacity_bytes} bytes x {access.width_bits} bits is below the technology's table and priced as "
        f"{max(access.capacity_bytes, capacities[0])} bytes x {max(access.width_bits, widths[0])} bits (an overestimate)"
    )
