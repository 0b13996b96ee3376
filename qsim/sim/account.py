"""How every unit spent its time, in closed form, for the fast engine (the event engine counts as it runs).

Each account adds up to the layer's cycles: see docs/timing.md for what each reason means.
"""

import numpy as np

from qsim.formats.fixed import IntArray
from qsim.results import Stall, UnitTime
from qsim.sim.program import Fetch, Program
from qsim.sim.simulated import Transfers


def unit(name: str, busy: int, stalled: dict[Stall, int], cycles: int) -> UnitTime:
    """Return the account of a unit that was idle in all cycles not given."""
    return UnitTime(unit=name, busy=busy, stalled=stalled, idle=cycles - busy - sum(stalled.values()))


def scan_unit(program: Program, stalls: IntArray, cycles: int) -> UnitTime:
    """The scan: one cycle an item and an all-zero row; waiting for weights, else the input, else a queue."""
    busy = program.items + int(program.scan_empty.sum()) + program.scan_tail
    weights, activations, queues = stalls.tolist()
    stalled = {Stall.WEIGHTS_PENDING: weights, Stall.ACTIVATIONS_PENDING: activations, Stall.QUEUE_FULL: queues}
    return unit("scan", busy, stalled, cycles)


def units_of_pes(busy: IntArray, leave: IntArray, cycles: int) -> list[UnitTime]:
    """The PEs: busy while an item is in the issue stage, starved in all other cycles up to the last one issued, then idle.

    ``busy`` [P]: cycles of work; ``leave`` [P]: the last cycle issued, if there was work.
    """
    starved = np.where(busy > 0, leave + 1 - busy, 0)
    pairs = zip(busy.tolist(), starved.tolist(), strict=True)
    return [unit(f"pe.{number}", work, {Stall.STARVED: wait}, cycles) for number, (work, wait) in enumerate(pairs)]


def units_of_transfers(fetch: Fetch, transfers: Transfers, drained: int, cycles: int) -> list[UnitTime]:
    """The DRAM channel, its two requesters and the decoder.

    Channel: BUFFER_FULL while it serves nobody and the oldest tile not yet granted has no slot. Requester of weights:
    BUFFER_FULL likewise while none of its own requests is served, CHANNEL_BUSY from arrival to grant. Requester of activations:
    CHANNEL_BUSY. Decoder: starved up to its last tile.
    """
    weights = int(np.sum(transfers.tile_fetched - transfers.tile_grant))
    starts = np.concatenate([transfers.tile_grant, transfers.input_grant, transfers.output_grant])
    ends = np.concatenate([transfers.tile_fetched, transfers.input_end, transfers.output_end])
    before = np.concatenate([np.zeros(1, dtype=np.int64), transfers.tile_fetched])[: fetch.tiles]
    granted_before = np.concatenate([np.zeros(1, dtype=np.int64), transfers.tile_grant])[: fetch.tiles]
    slotless_end = np.maximum(granted_before, transfers.tile_issue)
    serving = _covered(starts, ends, slotless_end) - _covered(starts, ends, granted_before)
    slotless = int(np.sum(slotless_end - granted_before - serving))
    waiting = int(np.sum(transfers.tile_grant - np.maximum(before, transfers.tile_issue + 1)))
    no_slot = int(np.sum(np.maximum(0, transfers.tile_issue - before)))
    units = [
        unit("dram", int(np.sum(ends - starts)), {Stall.BUFFER_FULL: slotless}, cycles),
        unit("dram.weights", weights, {Stall.BUFFER_FULL: no_slot, Stall.CHANNEL_BUSY: waiting}, cycles),
        unit("dram.activations", int(np.sum(ends - starts)) - weights, {Stall.CHANNEL_BUSY: _lost(transfers, drained)}, cycles),
    ]
    if fetch.decoded:
        busy = int(fetch.tile_decode.sum())
        units.append(unit("decoder", busy, {Stall.STARVED: int(transfers.tile_ready[-1]) - busy}, cycles))
    return units


def _covered(starts: IntArray, ends: IntArray, until: IntArray) -> IntArray:
    """Return how many cycles before each of ``until`` lie in the disjoint intervals from ``starts`` to ``ends`` (exclusive)."""
    order = np.argsort(starts)
    starts, ends = starts[order], ends[order]
    total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(ends - starts)])
    index = np.searchsorted(starts, until, side="right")
    last_end = np.concatenate([np.zeros(1, dtype=np.int64), ends])[index]
    covered: IntArray = total[index] - np.maximum(0, last_end - until)
    return covered


def _lost(transfers: Transfers, drained: int) -> int:
    """Return the cycles in which a request for activations waits and none of them is served; all are issued together."""
    lost = 0
    for grants, ends, issue in ((transfers.input_grant, transfers.input_end, 0), (transfers.output_grant, transfers.output_end, drained)):
        free = np.concatenate([np.full(1, issue + 1, dtype=np.int64), ends])[: len(grants)]
        lost += int(np.sum(grants - free))
    return lost
