"""The DRAM channel as one pure integer function.

The channel serves one request at a time. A request granted in cycle ``grant`` pays the latency once and then moves its aligned
bursts one after the other. A burst needs its row open in its bank: a miss costs ``row_miss_cycles`` first. Refresh window k (k
>= 1) is the ``refresh_cycles`` cycles from ``k * refresh_interval``: no burst (with the opening of its row) overlaps one, and
each window closes all rows. The request ends, and its data can be used, in the cycle after its last burst. Phase of the refresh
and open rows start anew with each layer.

``channel_service`` is plain Python on integers and one numpy array, so that the event engine calls it as it is and the fast
engine compiles the very same function.
"""

import numpy as np

from qsim.arch.architecture import Dram
from qsim.formats.fixed import IntArray

HITS, MISSES, REFRESH_WINDOW, OPEN_ROWS = 0, 1, 2, 3
NO_ROW = -1
GROUP_BURSTS = 16  # bursts of one request for activations: long enough to amortise the latency, short enough to let weights in between


def channel_state(dram: Dram) -> IntArray:
    """Return the state at the start of a layer: row hits, row misses, last refresh window passed, then the open row of each bank."""
    state = np.full(OPEN_ROWS + dram.banks, NO_ROW, dtype=np.int64)
    state[:OPEN_ROWS] = 0
    return state


def channel_constants(dram: Dram) -> IntArray:
    """Return the numbers of the channel in the order that :func:`channel_service` reads them."""
    return np.array(
        [
            dram.latency,
            dram.burst_bytes,
            dram.burst_cycles,
            dram.row_bytes,
            dram.row_miss_cycles,
            dram.banks,
            dram.refresh_interval,
            dram.refresh_cycles,
        ],
        dtype=np.int64,
    )


def channel_service(grant: int, address: int, size: int, constants: IntArray, state: IntArray) -> int:
    """Serve ``size`` bytes from ``address`` granted in cycle ``grant``; return the end cycle and update ``state``."""
    latency, burst_bytes, burst_cycles, row_bytes, miss_cycles, banks, interval, closed = constants
    time = grant + latency
    for burst in range(address // burst_bytes, (address + size - 1) // burst_bytes + 1):
        window = time // interval
        if window > 0 and time - window * interval < closed:
            time = window * interval + closed
        if window != state[REFRESH_WINDOW]:
            state[REFRESH_WINDOW] = window
            state[OPEN_ROWS:] = NO_ROW
        row = burst * burst_bytes // row_bytes
        bank = OPEN_ROWS + row % banks
        cost = burst_cycles if state[bank] == row else burst_cycles + miss_cycles
        if time + cost > (window + 1) * interval:
            state[REFRESH_WINDOW] = window + 1
            state[OPEN_ROWS:] = NO_ROW
            time = (window + 1) * interval + closed
            cost = burst_cycles + miss_cycles
        if state[bank] == row:
            state[HITS] += 1
        else:
            state[MISSES] += 1
            state[bank] = row
        time += cost
    return int(time)


def bursts_of(address: IntArray, size: IntArray, burst_bytes: int) -> int:
    """Return how many aligned bursts the requests touch together."""
    return int(np.sum((address + size - 1) // burst_bytes - address // burst_bytes + 1))


def request_groups(address: int, size: int, dram: Dram) -> tuple[IntArray, IntArray]:
    """Split ``size`` bytes from ``address`` into requests of ``GROUP_BURSTS`` bursts; return their addresses and sizes."""
    group = GROUP_BURSTS * dram.burst_bytes
    addresses = np.arange(address, address + size, group, dtype=np.int64)
    return addresses, np.minimum(group, address + size - addresses)
