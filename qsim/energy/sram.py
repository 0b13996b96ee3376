"""Prices of memories between the sizes that were measured: linear interpolation of logarithms, and no silent extrapolation.

Energy and leakage of an SRAM follow powers of its capacity and width over stretches of the table, so that straight lines in log-log
coordinates are the natural interpolation: exact at the table's points, monotone between two of them.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qsim.errors import TechnologyError


class Outside(StrEnum):
    """What happens to a memory outside the table's range.

    ``ERROR``: it is refused. ``CLAMP``: smaller memories and narrower ports are priced as the smallest in the table, which overestimates
    them, and the result says so; larger ones are refused all the same, because clamping would flatter them.
    """

    ERROR = "error"
    CLAMP = "clamp"


def within(value: int, grid: Sequence[int], outside: Outside, path: str) -> int:
    """Return ``value``, or the smallest grid value for a smaller one under ``CLAMP``.

    Raises :class:`TechnologyError` naming the range.
    """
    if grid[0] <= value <= grid[-1]:
        return value
    if value < grid[0] and outside is Outside.CLAMP:
        return grid[0]
    raise TechnologyError(path=path, rule=f"between {grid[0]} and {grid[-1]}, the range of the technology's table", value=value)


def interpolate(points: Sequence[tuple[int, float]], x: int) -> float:
    """Return the value at ``x`` on straight lines through ``points`` (ascending, positive) in log-log coordinates; exact at the points."""
    xs = [point[0] for point in points]
    upper = bisect_right(xs, x)
    if xs[upper - 1] == x:
        return points[upper - 1][1]
    (x0, y0), (x1, y1) = points[upper - 1], points[upper]
    share = math.log(x / x0) / math.log(x1 / x0)
    return y0 * math.exp(share * math.log(y1 / y0))


@dataclass(frozen=True, slots=True, kw_only=True)
class SramPoint:
    """One memory of the table: energy per access of the whole width, leakage of the whole memory."""

    read_pj: float
    write_pj: float
    leakage_mw: float

    def __post_init__(self) -> None:
        for name in ("read_pj", "write_pj", "leakage_mw"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise TechnologyError(path=f"sram_table.{name}", rule="finite and positive", value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SramTable:
    """A full grid of memories: ``points[capacity_bytes, width_bits]``. ``source`` says who computed it."""

    points: Mapping[tuple[int, int], SramPoint]
    source: str

    def __post_init__(self) -> None:
        if not self.points:
            raise TechnologyError(path="sram_table", rule="a table with at least one row for the node and cell", value="an empty one")
        missing = [(c, w) for c in self.capacities for w in self.widths if (c, w) not in self.points]
        if missing:
            raise TechnologyError(path="sram_table", rule="a full grid of capacities and widths", value=f"one without {missing[0]}")

    @property
    def capacities(self) -> list[int]:
        """Capacities in bytes, ascending."""
        return sorted({capacity for capacity, _ in self.points})

    @property
    def widths(self) -> list[int]:
        """Port widths in bits, ascending."""
        return sorted({width for _, width in self.points})

    def value(self, quantity: str, capacity_bytes: int, width_bits: int, outside: Outside) -> float:
        """Return ``quantity`` (a field of :class:`SramPoint`) of a memory.

        Raises :class:`TechnologyError` outside the range, as ``outside`` says.
        """
        capacity = within(capacity_bytes, self.capacities, outside, "access.capacity_bytes")
        width = within(width_bits, self.widths, outside, "access.width_bits")
        by_width = [
            (w, interpolate([(c, float(getattr(self.points[c, w], quantity))) for c in self.capacities], capacity)) for w in self.widths
        ]
        return interpolate(by_width, width)


def read_sram_csv(text: str, *, node_nm: int, cell: str, source: str) -> SramTable:
    """Return the table of one node and cell type from CSV text with the columns of ``energy_models/cacti_sram.csv``.

    Raises :class:`TechnologyError` for missing columns, values that are no numbers, or a node and cell without rows.
    """
    points: dict[tuple[int, int], SramPoint] = {}
    try:
        for row in csv.DictReader(text.splitlines()):
            if int(row["node_nm"]) == node_nm and row["cell"] == cell:
                point = SramPoint(read_pj=float(row["read_pj"]), write_pj=float(row["write_pj"]), leakage_mw=float(row["leakage_mw"]))
                points[int(row["bytes"]), int(row["width_bits"])] = point
    except (KeyError, TypeError, ValueError) as error:
        raise TechnologyError(f"sram_table.file: not a table of memories ({error})") from error
    return SramTable(points=points, source=f"{source}; {cell}, {node_nm} nm")
