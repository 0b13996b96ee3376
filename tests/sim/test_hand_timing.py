"""Is the timing tight? Cycle tables worked out by hand from docs/timing.md; one cycle more or less anywhere fails, on both engines."""

from collections.abc import Callable

import pytest

from qsim.results import Stall
from qsim.sim import event, fast
from qsim.sim.program import Program
from qsim.sim.simulated import Simulated, Timeline
from tests.sim.compare import fetch_of, program

Engine = Callable[[Program], Simulated]
ENGINES = {"event": event.simulate, "fast": lambda program: fast.simulate(program, timeline=True)}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def times(simulated: Simulated) -> Timeline:
    assert simulated.timeline is not None
    return simulated.timeline


def test_one_item_on_one_pe(engine: Engine) -> None:
    # A = 2, B = A + 1 = 3, I = B + 1 = 4, entries in cycles 5 6 7, E = 7 + 4, drain 1 + 2 + 3.
    found = engine(program([[3]], rows=2))
    assert times(found).broadcast.tolist() == [2]
    assert times(found).pop.tolist() == [[3]]
    assert times(found).issue.tolist() == [[4]]
    assert times(found).leave.tolist() == [[7]]
    assert (found.scan_end, found.barrier, found.drained, found.cycles) == (2, 11, 17, 17)


def test_items_follow_each_other_without_bubbles(engine: Engine) -> None:
    # Services of 1: one item a cycle through every stage.
    found = times(engine(program([[1, 1, 1]])))
    assert found.broadcast.tolist() == [2, 3, 4]
    assert found.pop.tolist() == [[3, 4, 5]]
    assert found.issue.tolist() == [[4, 5, 6]]
    assert found.leave.tolist() == [[5, 6, 7]]


def test_a_slow_pe_holds_the_pointer_stage_and_then_the_queue(engine: Engine) -> None:
    # depth 1, services of 4:
    # item  A   B   I   leave
    # 0     2   3   4   8
    # 1     4   5   8   12     A1 >= B0 + 1 = 4; I1 >= leave0
    # 2     6   8   12  16     A2 >= B1 + 1 = 6; B2 >= I1: the pointer stage is held by item 1 until then
    # 3     9   12  16  20     A3 >= B2 + 1 = 9
    found = engine(program([[4, 4, 4, 4]], depth=1))
    assert times(found).broadcast.tolist() == [2, 4, 6, 9]
    assert times(found).pop.tolist() == [[3, 5, 8, 12]]
    assert times(found).issue.tolist() == [[4, 8, 12, 16]]
    assert times(found).leave.tolist() == [[8, 12, 16, 20]]
    scan = found.units[0]
    assert (scan.busy, scan.stalled[Stall.QUEUE_FULL]) == (4, 1 + 1 + 2)


def test_the_slowest_pe_decides_for_all(engine: Engine) -> None:
    # As above for PE 0; PE 1 with services of 1 pops one cycle after each broadcast and waits.
    found = engine(program([[4, 4, 4, 4], [1, 1, 1, 1]], depth=1))
    assert times(found).broadcast.tolist() == [2, 4, 6, 9]
    assert times(found).leave[1].tolist() == [5, 7, 9, 12]
    pe = found.units[2]
    assert (pe.unit, pe.busy, pe.stalled[Stall.STARVED]) == ("pe.1", 4, 13 - 4)
    assert found.barrier == 20 + 4


def test_return_latency_delays_the_freed_slot(engine: Engine) -> None:
    assert times(engine(program([[4] * 4], depth=1, back=0))).broadcast.tolist() == [2, 3, 4, 8]
    assert times(engine(program([[4] * 4], depth=1, back=3))).broadcast.tolist() == [2, 6, 10, 14]


def test_all_zero_rows_cost_a_cycle_each(engine: Engine) -> None:
    # e = 2 before the first item, 0 and 3 between, 4 after the last.
    found = engine(program([[1, 1, 1]], empty=[2, 0, 3], tail=4))
    assert times(found).broadcast.tolist() == [4, 5, 9]
    assert found.scan_end == 13
    assert found.barrier == 9 + 3 + 4
    assert found.units[0].busy == 3 + 2 + 3 + 4


def test_an_all_zero_input_costs_the_scan_and_the_drain(engine: Engine) -> None:
    found = engine(program([[]], tail=5, rows=3))
    assert (found.scan_end, found.barrier, found.cycles) == (2 - 1 + 5, 6, 6 + 1 + 3 + 3)


def test_double_buffered_tiles(engine: Engine) -> None:
    # Tiles of 8 bytes = 1 burst; tile 3 is at address 24, all in row 0 of bank 0: first 3 + 4 + 2 = 9 cycles, then 3 + 2 = 5.
    # tile issue grant fetched ready   items: n = tile; services of 10
    # 0    0     1     10      10     A 10 B 11 I 12 leave 22
    # 1    0     10    15      15     A 15 B 16 I 22 leave 32
    # 2    22    23    28      28     A 28 B 29 I 32 leave 42     issued when tile 0 is released
    # 3    32    33    38      38     A 38 B 39 I 42 leave 52
    found = engine(program([[10] * 4], fetch=fetch_of([0, 1, 2, 3], [8] * 4)))
    assert found.transfers.tile_issue.tolist() == [0, 0, 22, 32]
    assert found.transfers.tile_grant.tolist() == [1, 10, 23, 33]
    assert found.transfers.tile_fetched.tolist() == [10, 15, 28, 38]
    assert found.transfers.tile_release.tolist() == [22, 32, 42, 52]
    assert times(found).broadcast.tolist() == [10, 15, 28, 38]
    assert times(found).leave.tolist() == [[22, 32, 42, 52]]
    assert (found.events["row_misses"], found.events["row_hits"]) == (1, 3)
    scan, dram, weights = found.units[0], found.units[3], found.units[4]
    # Waits: 2 to 10, then 11 to 15, 16 to 28, 29 to 38.
    assert scan.stalled[Stall.WEIGHTS_PENDING] == 8 + 4 + 12 + 9
    # Nobody is served and the next tile has no slot: 15 to 22, 28 to 32.
    assert (dram.unit, dram.busy, dram.stalled[Stall.BUFFER_FULL]) == ("dram", 9 + 5 + 5 + 5, 7 + 4)
    assert (weights.unit, weights.stalled[Stall.CHANNEL_BUSY]) == ("dram.weights", 0)


def test_activations_alone_use_the_channel_where_weights_are_on_chip(engine: Engine) -> None:
    # No tiles. Input 8 bytes at 4096 (row 128, bank 0): granted in 1, ends in 1 + 3 + 4 + 2 = 10, when the first item is handed over.
    # item  A   B   I   leave
    # 0    10  11  12  14
    # 1    11  12  14  16
    # E = 16 + 4, drained 20 + 1 + 1 + 3 = 25; the write, to the same row, is granted in 26 and ends in 26 + 3 + 2.
    found = engine(program([[2, 2]], fetch=fetch_of([], [], inputs=1, outputs=1)))
    assert times(found).broadcast.tolist() == [10, 11]
    assert times(found).leave.tolist() == [[14, 16]]
    assert (found.transfers.input_grant.tolist(), found.transfers.input_end.tolist()) == ([1], [10])
    assert (found.transfers.output_grant.tolist(), found.transfers.output_end.tolist()) == ([26], [31])
    assert (found.barrier, found.drained, found.cycles) == (20, 25, 31)
    assert (found.events["row_misses"], found.events["row_hits"]) == (1, 1)
    accounts = {unit.unit: unit for unit in found.units}
    assert set(accounts) == {"scan", "pe.0", "drain", "dram", "dram.weights", "dram.activations"}
    assert dict(accounts["scan"].stalled) == {Stall.WEIGHTS_PENDING: 0, Stall.ACTIVATIONS_PENDING: 8, Stall.QUEUE_FULL: 0}
    assert (accounts["dram"].busy, accounts["dram"].stalled[Stall.BUFFER_FULL]) == (9 + 5, 0)
    assert (accounts["dram.weights"].busy, accounts["dram.weights"].idle) == (0, 31)
    assert accounts["dram.activations"].busy == 9 + 5


def test_an_all_zero_input_waits_for_the_channel_too(engine: Engine) -> None:
    # Scan end 2 - 1 + 5 = 6, but the input comes in 10: the barrier waits for it.
    found = engine(program([[]], tail=5, rows=3, fetch=fetch_of([], [], inputs=1)))
    assert (found.scan_end, found.barrier, found.cycles) == (6, 10, 10 + 1 + 3 + 3)


def test_a_middle_layer_does_not_notice_an_unused_channel(engine: Engine) -> None:
    with_channel, without = engine(program([[4] * 4], depth=1, fetch=fetch_of([], []))), engine(program([[4] * 4], depth=1))
    assert with_channel.cycles == without.cycles
    assert times(with_channel).broadcast.tolist() == times(without).broadcast.tolist()


def test_the_decoder_stands_between_channel_and_slot(engine: Engine) -> None:
    # As above but decoding takes 7 cycles: tile 0 ready 17, tile 1 fetched 15, decoder free 17, ready 24.
    found = engine(program([[1, 1]], fetch=fetch_of([0, 1], [8, 8], decode=[7, 7])))
    assert found.transfers.tile_ready.tolist() == [17, 24]
    assert times(found).broadcast.tolist() == [17, 24]
    decoder = found.units[-1]
    assert (decoder.unit, decoder.busy, decoder.stalled[Stall.STARVED]) == ("decoder", 14, 10)


@pytest.mark.parametrize(
    ("policy", "input_grant", "tile_grant"),
    [
        # Inputs are at row 128 (bank 0), tiles in row 0 (bank 0): a change costs the miss again, 9 cycles; staying costs 5.
        ("activations_first", [1, 10], [15, 24]),
        ("weights_first", [15, 24], [1, 10]),
        ("round_robin", [1, 19], [10, 28]),
    ],
)
def test_the_arbiter_serves_by_its_policy(engine: Engine, policy: str, input_grant: list[int], tile_grant: list[int]) -> None:
    found = engine(program([[1]], fetch=fetch_of([0], [8, 8], inputs=2, policy=policy)))
    assert found.transfers.input_grant.tolist() == input_grant
    assert found.transfers.tile_grant.tolist() == tile_grant
    ready = max(int(found.transfers.input_end[-1]), int(found.transfers.tile_ready[0]))
    assert times(found).broadcast.tolist() == [ready]


def test_the_result_is_written_after_the_drain(engine: Engine) -> None:
    # One tile of one burst: ready 10, leave 13, E = 17, drained 17 + 1 + 1 + 3 = 22.
    # The write is issued then, arrives at 23 and misses its row.
    found = engine(program([[1]], fetch=fetch_of([0], [8], outputs=1)))
    assert (found.barrier, found.drained) == (17, 22)
    assert found.transfers.output_grant.tolist() == [23]
    assert found.cycles == int(found.transfers.output_end[0]) == 23 + 9
