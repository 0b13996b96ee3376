"""Ready/valid streams as closed recurrences over items: the same links, stages, forks, joins and arbiters as max and plus.

With ``begin`` the cycle in which a stage takes an item and ``leave`` the cycle in which it hands it over:

- stage:  begin[n] = max(leave[n-1], arrival[n]);  leave[n] >= begin[n] + service[n]
- queue of D slots:  next.begin[n] >= leave[n] + forward_latency;  leave[n] >= next.begin[n-D] + return_latency
- no queue:  leave[n] = next.begin[n], hence leave[n] >= next.leave[n-1]

Computed item by item, every term on the right is known, so one pass gives every cycle.
"""

from collections.abc import Sequence

import numpy as np

from qsim.arch.architecture import ArbiterPolicy, Queue
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray

ACTIVATIONS, WEIGHTS = 0, 1  # the requesters of the DRAM channel
NEVER = 1 << 62


def chain(offer: Sequence[int], service: Sequence[Sequence[int]], links: Sequence[Queue | None]) -> tuple[IntArray, IntArray]:
    """Return begin and leave [S, N] of S stages in a row.

    ``offer`` [N]: the earliest cycle in which the first stage can begin each item; ``service`` [S, N]; ``links`` [S - 1]: the
    queue between a stage and the next, None for a direct hand-over. The last stage is never blocked.
    """
    stages, items = len(service), len(offer)
    if len(links) != max(0, stages - 1):
        raise UnsupportedProgram(path="chain.links", rule=f"{stages - 1} links between {stages} stages", value=len(links))
    begin = np.zeros((stages, items), dtype=np.int64)
    leave = np.zeros((stages, items), dtype=np.int64)
    for item in range(items):
        arrival = offer[item]
        for stage in range(stages):
            begin[stage, item] = max(arrival, leave[stage, item - 1] if item else arrival)
            end = begin[stage, item] + service[stage][item]
            link = links[stage] if stage + 1 < stages else None
            if link is not None:
                end = max(end, begin[stage + 1, item - link.depth] + link.return_latency if item >= link.depth else end)
            elif stage + 1 < stages and item:
                end = max(end, leave[stage + 1, item - 1])
            leave[stage, item] = end
            arrival = end + (link.forward_latency if link is not None else 0)
    return begin, leave


def fork(gap: Sequence[int], service: Sequence[Sequence[int]], queue: Queue) -> tuple[IntArray, IntArray]:
    """Return the hand-over cycles [N] of a producer to B branches and the begin cycles [B, N] of the stage behind each branch's queue.

    The producer needs ``gap`` cycles for an item after the hand-over of the one before (the first from cycle 0 on); ``service`` [B, N].
    """
    branches, items = len(service), len(gap)
    leave = np.zeros(items, dtype=np.int64)
    begin = np.zeros((branches, items), dtype=np.int64)
    free = np.zeros(branches, dtype=np.int64)
    for item in range(items):
        leave[item] = (leave[item - 1] if item else 0) + gap[item]
        if item >= queue.depth:
            leave[item] = max(leave[item], begin[:, item - queue.depth].max(initial=0) + queue.return_latency)
        begin[:, item] = np.maximum(leave[item] + queue.forward_latency, free)
        free = begin[:, item] + np.array([branch[item] for branch in service], dtype=np.int64)
    return leave, begin


def join(gaps: Sequence[Sequence[int]], service: Sequence[int], queue: Queue) -> tuple[IntArray, IntArray]:
    """Return the hand-over cycles [S, N] of S producers, each with its own queue, and the begin cycles [N] of the stage that joins them.

    A producer needs ``gaps[s][n]`` cycles for item n after its hand-over of the item before (the first from cycle 0 on).
    """
    sources, items = len(gaps), len(service)
    leave = np.zeros((sources, items), dtype=np.int64)
    begin = np.zeros(items, dtype=np.int64)
    free = 0
    for item in range(items):
        leave[:, item] = (leave[:, item - 1] if item else 0) + np.array([gap[item] for gap in gaps], dtype=np.int64)
        if item >= queue.depth:
            leave[:, item] = np.maximum(leave[:, item], begin[item - queue.depth] + queue.return_latency)
        begin[item] = max(free, int(leave[:, item].max(initial=0)) + queue.forward_latency)
        free = int(begin[item]) + service[item]
    return leave, begin


def grant(arrivals: Sequence[int], free: int, last: int, policy: ArbiterPolicy) -> tuple[int, int]:
    """Return the requester served next and the cycle of its grant.

    ``arrivals``: when the oldest request of each requester reaches the arbiter, ``NEVER`` if there is none; ``free``: the cycle from which
    the server can grant; ``last``: the requester served before. Raises :class:`UnsupportedProgram` if nobody asks.
    """
    time = max(free, min(arrivals))
    if time >= NEVER:
        raise UnsupportedProgram("arbiter: no request will ever arrive")
    count = len(arrivals)
    match policy:
        case ArbiterPolicy.ACTIVATIONS_FIRST:
            order = range(count)
        case ArbiterPolicy.WEIGHTS_FIRST:
            order = range(count - 1, -1, -1)
        case ArbiterPolicy.ROUND_ROBIN:
            order = range(last + 1, last + 1 + count)
    return next(requester % count for requester in order if arrivals[requester % count] <= time), time
