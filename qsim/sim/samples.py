"""Random programs over the whole range of what a program can be: for compiling the kernels, and for tests of one engine against
the other.
"""

from collections.abc import Iterator

import numpy as np

from qsim.arch.architecture import ArbiterPolicy, Dram, Queue
from qsim.arch.timing import Timing
from qsim.formats.fixed import IntArray
from qsim.sim.program import Fetch, Program


def sample_programs() -> Iterator[Program]:
    """Yield two small programs, without and with tiles from DRAM, that together reach every kernel."""
    rng = np.random.default_rng(0)
    yield random_program(rng, with_memory=False)
    yield random_program(rng, with_memory=True)


def random_program(rng: np.random.Generator, *, with_memory: bool) -> Program:
    """Return a random small program: any depth against any number of items, none included, one PE or many, long and short services."""
    pes = int(rng.choice([1, 2, 3, 5, 8]))
    items = int(rng.choice([0, 1, 2, 3, 7, 15, 30]))
    heavy = int(rng.choice([1, 2, 5, 20]))
    return Program(
        name="random",
        queue=Queue(
            depth=int(rng.choice([1, 2, 3, 8, 40])), forward_latency=int(rng.integers(1, 4)), return_latency=int(rng.integers(0, 4))
        ),
        timing=Timing(
            scan_start_latency=int(rng.integers(1, 5)),
            pipeline_latency=int(rng.integers(0, 6)),
            drain_start_latency=int(rng.integers(1, 3)),
            drain_latency=int(rng.integers(0, 4)),
        ),
        scan_empty=rng.integers(0, int(rng.choice([1, 3, 12])), items),
        scan_tail=int(rng.integers(0, 5)),
        service=rng.integers(1, heavy + 1, (pes, items), dtype=np.uint32),
        drain_rows=int(rng.integers(0, 9)),
        fetch=random_fetch(rng, items) if with_memory else None,
    )


def random_fetch(rng: np.random.Generator, items: int) -> Fetch:
    """Return random requests for ``items`` items: no tiles at all, tiles without items anywhere, slow and fast channels, with and without
    decoder.
    """
    tiles = int(rng.integers(0, 10))
    size = rng.integers(1, int(rng.choice([8, 60, 300])), tiles)
    outputs = int(rng.integers(0, 4))
    inputs = int(rng.integers(0, 5))
    decode = rng.integers(0, int(rng.choice([3, 40])), tiles) * int(rng.integers(0, 2))
    return Fetch(
        dram=random_dram(rng),
        item_tile=np.sort(rng.integers(0, tiles, items)) if tiles else np.zeros(0, dtype=np.int64),
        tile_address=_addresses(size),
        tile_bytes=size,
        tile_decode=decode,
        input_address=rng.integers(0, 2000, inputs),
        input_bytes=rng.integers(1, 100, inputs),
        output_address=rng.integers(0, 2000, outputs),
        output_bytes=rng.integers(1, 100, outputs),
    )


def random_dram(rng: np.random.Generator) -> Dram:
    """Return a random channel: refresh from rare to nearly always, few and many banks, every policy."""
    burst_cycles, miss, closed = int(rng.integers(1, 6)), int(rng.integers(0, 12)), int(rng.integers(0, 20))
    burst = int(rng.choice([4, 8, 32]))
    return Dram(
        burst_bytes=burst,
        burst_cycles=burst_cycles,
        latency=int(rng.integers(0, 20)),
        row_bytes=burst * int(rng.integers(1, 6)),
        row_miss_cycles=miss,
        banks=int(rng.choice([1, 2, 4])),
        refresh_interval=burst_cycles + miss + closed + 1 + int(rng.choice([0, 3, 50, 1000])),
        refresh_cycles=closed,
        buffers=int(rng.integers(1, 4)),
        policy=ArbiterPolicy(rng.choice(list(ArbiterPolicy))),
    )


def _addresses(size: IntArray) -> IntArray:
    return np.cumsum(size) - size
