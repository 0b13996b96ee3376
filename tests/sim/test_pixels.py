"""Are all pixels of a convolution in one compiled loop the same as both engines run program by program? Every number, random machines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.arch.architecture import Queue
from qsim.arch.timing import Timing
from qsim.errors import FieldError
from qsim.sim import event, fast
from qsim.sim.fast_pixels import map_of, simulate_pixels
from qsim.sim.pixels import PixelPrograms, narrowest, totals_of
from tests.sim.compare import assert_same


def random_pixels(seed: int, longest: int | None = None) -> PixelPrograms:
    """Any queue against any window: no items, padding only, one PE or many, services of each width."""
    rng = np.random.default_rng(seed)
    pes, taps, channels, row_width = (int(rng.choice(choice)) for choice in ((1, 2, 5, 64), (1, 2, 4), (1, 3, 6, 9), (1, 2, 4)))
    places, count = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    values = np.where(rng.random((places, channels)) < rng.choice([0.0, 0.2, 0.7, 1.0]), 3, 0)
    stride = -(-channels // row_width) * row_width
    longest = longest or int(rng.choice([1, 2, 30, 300, 70_000]))
    return PixelPrograms(
        name="random",
        queue=Queue(depth=int(rng.choice([1, 2, 8, 40])), forward_latency=int(rng.integers(1, 4)), return_latency=int(rng.integers(0, 4))),
        timing=Timing(
            scan_start_latency=int(rng.integers(1, 5)),
            pipeline_latency=int(rng.integers(0, 6)),
            drain_start_latency=int(rng.integers(1, 3)),
            drain_latency=int(rng.integers(0, 4)),
            pixel_setup_latency=int(rng.integers(0, 3)),
        ),
        service=narrowest(rng.integers(1, longest + 1, (taps * stride, pes))),
        stride=stride,
        reads=rng.integers(0, places + 1, (count, taps)).astype(np.int32),
        map=map_of(values, row_width),
        drain_rows=int(rng.integers(0, 4)),
        repeats=int(rng.integers(1, 4)),
    )


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=50, deadline=None)
def test_the_kernel_is_the_sum_of_the_event_engine_over_the_pixels(seed: int) -> None:
    pixels = random_pixels(seed)
    slow = [event.simulate(pixels.program(pixel), timeline=False) for pixel in range(len(pixels.reads))]
    assert_same(totals_of(pixels, slow), simulate_pixels(pixels))


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_the_kernel_is_the_sum_of_the_fast_engine_over_the_pixels(seed: int) -> None:
    pixels = random_pixels(seed)
    single = [fast.simulate(pixels.program(pixel)) for pixel in range(len(pixels.reads))]
    found = simulate_pixels(pixels)
    assert_same(totals_of(pixels, single), found)
    for unit in found.units(found.cycles):
        assert unit.total == found.cycles
        assert min(unit.busy, unit.idle, *unit.stalled.values(), 0) == 0, unit


@pytest.mark.parametrize("longest", [1 << 8, 1 << 12, 1 << 16, 1 << 26, (1 << 32) - 1])
def test_no_width_of_the_state_overflows_where_a_queue_is_full_of_the_longest_services(longest: int) -> None:
    for seed in range(8):
        pixels = random_pixels(seed, longest)
        single = [fast.simulate(pixels.program(pixel)) for pixel in range(len(pixels.reads))]
        assert_same(totals_of(pixels, single), simulate_pixels(pixels))


def test_a_window_in_the_padding_costs_its_rows_and_no_items() -> None:
    """Two rows of zeros a tap, two taps: scanned from cycle 2 on; the barrier is the end of the scan (docs/timing.md)."""
    timing = Timing(scan_start_latency=2, pipeline_latency=4, drain_start_latency=1, drain_latency=3)
    pixels = PixelPrograms(
        name="padding",
        queue=Queue(),
        timing=timing,
        service=np.ones((16, 3), dtype=np.uint8),
        stride=8,
        reads=np.array([[1, 1]], dtype=np.int32),
        map=map_of(np.ones((1, 8)), 4),
        drain_rows=1,
    )
    found = simulate_pixels(pixels)
    assert (found.scan_busy, found.cycles) == (4, 1 + 4 + 1 + 1 + 3)
    assert found.uses.sum() == found.busy.sum() == 0


def test_items_of_a_place_are_in_rows_of_the_scan() -> None:
    """Values 0 0 0 0 | 5 0 6 0 | 0 0 0 0 | 0 7 with rows of 4: a row before 5, one before 7, none after."""
    found = map_of(np.array([[0, 0, 0, 0, 5, 0, 6, 0, 0, 0, 0, 0, 0, 7], [0] * 14]), 4)
    assert found.channel.tolist() == [4, 6, 13]
    assert found.empty.tolist() == [1, 0, 1]
    assert found.tail.tolist() == [0, 4, 4]


def test_a_column_that_takes_no_time_is_refused() -> None:
    good = random_pixels(3)
    with pytest.raises(FieldError, match="at least 1"):
        PixelPrograms(
            **{name: getattr(good, name) for name in good.__dataclass_fields__ if name != "service"}, service=np.zeros_like(good.service)
        )
