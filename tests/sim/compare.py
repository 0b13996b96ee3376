"""Field-by-field equality of what two engines return, and small programs to run them on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsim.arch.architecture import Dram, Queue
from qsim.arch.timing import Timing
from qsim.sim.program import Fetch, Program
from qsim.sim.simulated import Simulated

TIMING = Timing(scan_start_latency=2, pipeline_latency=4, drain_start_latency=1, drain_latency=3)


def assert_same(first: Any, second: Any, path: str = "simulated") -> None:
    for name in first.__dataclass_fields__:
        left, right = getattr(first, name), getattr(second, name)
        if name in ("timeline", "transfers"):
            assert_same(left, right, f"{path}.{name}")
        elif isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right, err_msg=f"{path}.{name}")
        else:
            assert left == right, f"{path}.{name}"


def assert_adds_up(simulated: Simulated) -> None:
    for unit in simulated.units:
        assert unit.total == simulated.cycles, unit
        assert min(unit.busy, unit.idle, *unit.stalled.values(), 0) == 0, unit


def program(
    service: Sequence[Sequence[int]],
    *,
    empty: Sequence[int] | None = None,
    tail: int = 0,
    depth: int = 8,
    forward: int = 1,
    back: int = 1,
    rows: int = 1,
    fetch: Fetch | None = None,
) -> Program:
    cycles = np.array(service, dtype=np.uint32)
    return Program(
        name="hand",
        queue=Queue(depth=depth, forward_latency=forward, return_latency=back),
        timing=TIMING,
        scan_empty=np.array(empty if empty is not None else [0] * cycles.shape[1], dtype=np.int64),
        scan_tail=tail,
        service=cycles,
        drain_rows=rows,
        fetch=fetch,
    )


def channel(**changes: Any) -> Dram:
    plain = dict(
        burst_bytes=8,
        burst_cycles=2,
        latency=3,
        row_bytes=32,
        row_miss_cycles=4,
        banks=2,
        refresh_interval=1000,
        refresh_cycles=10,
        buffers=2,
    )
    return Dram(**(plain | changes))


def fetch_of(
    item_tile: Sequence[int], sizes: Sequence[int], *, decode: Sequence[int] = (), inputs: int = 0, outputs: int = 0, **dram: Any
) -> Fetch:
    size = np.array(sizes, dtype=np.int64)
    addresses = np.arange(4, dtype=np.int64) * 8 + 4096
    return Fetch(
        dram=channel(**dram),
        item_tile=np.array(item_tile, dtype=np.int64),
        tile_address=np.cumsum(size) - size,
        tile_bytes=size,
        tile_decode=np.array(decode or [0] * len(sizes), dtype=np.int64),
        input_address=addresses[:inputs],
        input_bytes=np.full(inputs, 8),
        output_address=addresses[:outputs],
        output_bytes=np.full(outputs, 8),
    )
