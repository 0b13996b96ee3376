"""What an engine returns: when everything happened. Both engines fill every field; the tests compare every field."""

from dataclasses import dataclass

from qsim.formats.fixed import IntArray
from qsim.results import UnitTime


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """The cycle of every transfer in the array.

    ``broadcast`` [N]: hand-over of each item to all queues. ``pop`` [P, N]: the PE takes it from its queue; ``issue`` [P, N]: it enters the
    issue stage, its entries are issued in the cycles after; ``leave`` [P, N]: the cycle of its last entry.
    """

    broadcast: IntArray
    pop: IntArray
    issue: IntArray
    leave: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transfers:
    """The cycles of every DRAM request; all arrays empty without DRAM.

    ``tile_*`` [T]: request issued, granted by the arbiter, wholly fetched, decoded and usable, slot free again. ``input_*`` and
    ``output_*``: the same for the requests of the layer's input and output.
    """

    tile_issue: IntArray
    tile_grant: IntArray
    tile_fetched: IntArray
    tile_ready: IntArray
    tile_release: IntArray
    input_grant: IntArray
    input_end: IntArray
    output_grant: IntArray
    output_end: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """One layer, simulated.

    ``scan_end``: the scan has passed the last row. ``barrier``: every sum is in its accumulator. ``drained``: the last output
    is written. ``cycles``: the layer's length, DRAM writes included. ``units`` and ``events``: see docs/timing.md. ``timeline``
    is None unless asked for.
    """

    cycles: int
    scan_end: int
    barrier: int
    drained: int
    units: tuple[UnitTime, ...]
    events: dict[str, int]
    transfers: Transfers
    timeline: Timeline | None
