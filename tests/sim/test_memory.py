"""Is the DRAM channel what its description says? The service function against a model that steps through every cycle, and by hand."""

import numpy as np
import pytest

from qsim.arch.architecture import Dram
from qsim.sim.memory import HITS, MISSES, bursts_of, channel_constants, channel_service, channel_state, request_groups
from qsim.sim.samples import random_dram
from tests.sim.compare import channel


class SteppedChannel:
    """The same channel, cycle by cycle: what is it doing in this cycle?"""

    def __init__(self, dram: Dram) -> None:
        self.dram = dram
        self.open: dict[int, int] = {}
        self.cycle = 0
        self.hits = self.misses = 0

    def closed(self, cycle: int) -> bool:
        return cycle >= self.dram.refresh_interval and cycle % self.dram.refresh_interval < self.dram.refresh_cycles

    def step(self) -> None:
        self.cycle += 1
        if self.cycle % self.dram.refresh_interval == 0:
            self.open.clear()

    def serve(self, grant: int, address: int, size: int) -> int:
        dram = self.dram
        while self.cycle < grant + dram.latency:
            self.step()
        waiting = sorted({byte // dram.burst_bytes for byte in range(address, address + size)})
        for burst in waiting:
            row = burst * dram.burst_bytes // dram.row_bytes
            while True:
                hit = self.open.get(row % dram.banks) == row
                cost = dram.burst_cycles + (0 if hit else dram.row_miss_cycles)
                fits = (self.cycle % dram.refresh_interval) + cost <= dram.refresh_interval
                if fits and not self.closed(self.cycle):
                    break
                self.step()
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)
            self.open[row % dram.banks] = row
            for _ in range(cost):
                self.step()
                if self.cycle % dram.refresh_interval == 0:
                    self.open.clear()
        return self.cycle


@pytest.mark.parametrize("seed", range(200))
def test_service_equals_the_stepped_channel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dram = random_dram(rng)
    stepped, state, constants = SteppedChannel(dram), channel_state(dram), channel_constants(dram)
    grant = 0
    for _ in range(8):
        grant += int(rng.integers(0, 60))
        address, size = int(rng.integers(0, 600)), int(rng.integers(1, 150))
        end = channel_service(grant, address, size, constants, state)
        assert end == stepped.serve(grant, address, size)
        assert end > grant
        grant = end
    assert (state[HITS], state[MISSES]) == (stepped.hits, stepped.misses)


def test_hand_computed_requests() -> None:
    # latency 3, burst 8 bytes in 2 cycles, rows of 32 bytes, miss 4, 2 banks.
    dram = channel()
    state, constants = channel_state(dram), channel_constants(dram)
    assert channel_service(0, 0, 8, constants, state) == 3 + 4 + 2
    assert channel_service(9, 8, 8, constants, state) == 9 + 3 + 2
    # Bytes 15 and 16 lie in two bursts of the open row.
    assert channel_service(14, 15, 2, constants, state) == 14 + 3 + 2 + 2
    # Row 1 is in bank 1; row 2 in bank 0 closes row 0.
    assert channel_service(21, 32, 8, constants, state) == 21 + 3 + 6
    assert channel_service(30, 64, 8, constants, state) == 30 + 3 + 6
    assert channel_service(39, 0, 8, constants, state) == 39 + 3 + 6
    assert (state[HITS], state[MISSES]) == (3, 4)


@pytest.mark.parametrize(
    ("grant", "end"),
    [
        (88, 97),
        (91, 100),
        (92, 100 + 10 + 6),
        (100, 100 + 10 + 6),
        (106, 100 + 10 + 6),
        (107, 110 + 6),
        (108, 111 + 6),
    ],
)
def test_no_burst_overlaps_a_refresh(grant: int, end: int) -> None:
    # Refresh in cycles 100 to 109. A miss and a burst take 6 cycles after the latency of 3.
    dram = channel(refresh_interval=100)
    assert channel_service(grant, 0, 8, channel_constants(dram), channel_state(dram)) == end


def test_a_refresh_closes_all_rows() -> None:
    dram = channel(refresh_interval=100)
    state, constants = channel_state(dram), channel_constants(dram)
    channel_service(0, 0, 8, constants, state)
    assert channel_service(50, 0, 8, constants, state) == 50 + 3 + 2
    assert channel_service(120, 0, 8, constants, state) == 120 + 3 + 4 + 2


def test_requests_for_activations_are_groups_of_sixteen_bursts() -> None:
    dram = channel()
    address, size = request_groups(64, 300, dram)
    assert address.tolist() == [64, 192, 320]
    assert size.tolist() == [128, 128, 44]
    assert bursts_of(address, size, dram.burst_bytes) == 16 + 16 + 6
    assert bursts_of(np.array([7]), np.array([2]), 8) == 2
