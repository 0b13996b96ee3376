# amaranth: UnusedElaboratable=no
"""Asks whether every way in which a run can go wrong ends with its error code, writes nothing, and leaves the accelerator as new."""

from collections.abc import Callable

import pytest
from amaranth.lib import data

from qsim.errors import MachineError
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.top import Accelerator
from tests.rtl.simulated import Host, Network, differences, small_network
from tests.rtl.test_top_network import check_outputs

ILLEGAL, LARGE = ErrorCode.ILLEGAL_DESCRIPTOR, ErrorCode.TOO_LARGE
# What is wrong in a descriptor of 8 rows and 11 columns on 3 PEs with rows of 2: scan_rows 6, drain_rows 3, full_pes 2. Both sides of a
# bound where there are two.
FLAWS: dict[str, tuple[dict[str, int], ErrorCode]] = {
    "no scan rows": ({"scan_rows": 0, "columns": 0}, ILLEGAL),
    "no columns": ({"columns": 0}, ILLEGAL),
    "a column more than the rows hold": ({"columns": 13}, ILLEGAL),
    "a scan row too many": ({"scan_rows": 7}, ILLEGAL),
    "a scan row too few": ({"scan_rows": 5}, ILLEGAL),
    "no drain rows": ({"drain_rows": 0}, ILLEGAL),
    "no PE with all rows": ({"full_pes": 0, "outputs": 6}, ILLEGAL),
    "more PEs than there are": ({"full_pes": 4, "outputs": 10}, ILLEGAL),
    "an output too many": ({"outputs": 9}, ILLEGAL),
    "an output too few": ({"outputs": 7}, ILLEGAL),
    "outputs are not stored": ({"store": 0}, ILLEGAL),
    "pointers that begin odd": ({"column_base": 1}, ILLEGAL),
    "one column more than the memory": ({"scan_rows": 25, "columns": 49}, LARGE),
    "pointers beyond the memory": ({"column_base": 54}, LARGE),
    "the end of the last column beyond the memory": ({"column_base": 52, "columns": 12}, LARGE),
    "biases beyond the memory": ({"row_base": 30}, LARGE),
    "more outputs than activations": ({"drain_rows": 17, "full_pes": 1, "outputs": 49}, LARGE),
}


def word(network: Network, number: int, **changes: int) -> int:
    """Return the load word of descriptor ``number`` with changed fields."""
    p = network.parameters
    address = [at for at in network.words if at & 15 == Unit.DESCRIPTOR.value][number]
    layout = network.packer_layout
    place = layout["data"].offset
    content = address >> place
    for name, value in changes.items():
        field, offset = _field(p, name)
        content = content & ~(((1 << field.width) - 1) << offset) | value << offset
    return address & ((1 << place) - 1) | content << place


def _field(p: ArrayParameters, name: str) -> tuple[data.Field, int]:
    if name in ("outputs", "last"):
        return p.descriptor[name], p.descriptor[name].offset
    return p.layer[name], p.descriptor["layer"].offset + p.layer[name].offset


def simulate(network: Network, bench: Callable[[Host], object]) -> None:
    """Run ``bench``, after which the network must still run."""

    async def all_of_it(host: Host) -> None:
        await bench(host)
        await host.ready()
        check_outputs(network, 0, await host.run(network.rows(0)))

    network.simulate(all_of_it)


def test_flaws_of_descriptors_are_told_and_do_no_harm() -> None:
    network = small_network()

    async def bench(host: Host) -> None:
        for name, (changes, error) in FLAWS.items():
            await host.load([word(network, 0, **changes)])
            run = await host.run(network.rows(1))
            assert (run.error, run.taken, run.outputs) == (error, 0, []), name
            await host.load([word(network, 0)])
            await host.ready()
        check_outputs(network, 1, await host.run(network.rows(1)))

    simulate(network, bench)


def test_the_last_places_of_the_memories_may_be_used() -> None:
    """A descriptor that just fits is not refused: the error of the next check, an input that ends early, comes."""
    network = small_network()
    fitting = ({"column_base": 52}, {"row_base": 29}, {"scan_rows": 24, "columns": 48, "column_base": 0})

    async def bench(host: Host) -> None:
        for changes in fitting:
            await host.load([word(network, 0, **changes)])
            run = await host.run(network.rows(1), marked=0)
            assert run.error is ErrorCode.INPUT_ENDS_EARLY, changes
            await host.ready()
        await host.load([word(network, 0)])

    simulate(network, bench)


def test_weights_beyond_the_memory_are_refused() -> None:
    """Without pointers the place of the last weight follows from the sizes: 11 columns of 3 rows in a memory of 512 places."""
    network = small_network("dense")
    places = network.parameters.weight_rows * network.parameters.entries_per_row

    async def bench(host: Host) -> None:
        for base, error in ((places - 33, ErrorCode.INPUT_ENDS_EARLY), (places - 32, LARGE)):
            await host.load([word(network, 0, weight_base=base)])
            assert (await host.run(network.rows(1), marked=0)).error is error
            await host.ready()
        await host.load([word(network, 0)])

    simulate(network, bench)


def test_column_numbers_of_pes_without_pointers_begin_with_zero() -> None:
    """They are places of weights: another number would read behind them."""
    network = small_network("dense")

    async def bench(host: Host) -> None:
        await host.load([word(network, 0, column_base=2)])
        assert (await host.run(network.rows(1), marked=0)).error is ILLEGAL
        await host.ready()
        await host.load([word(network, 0)])

    simulate(network, bench)


@pytest.mark.parametrize(
    ("marked", "error"), [(4, ErrorCode.INPUT_ENDS_EARLY), (0, ErrorCode.INPUT_ENDS_EARLY), (9, ErrorCode.INPUT_ENDS_LATE)]
)
def test_an_input_of_the_wrong_length(marked: int, error: ErrorCode) -> None:
    network = small_network()

    async def bench(host: Host) -> None:
        run = await host.run([*network.rows(1), 7, 7], marked=marked)
        assert (run.error, run.outputs, run.taken) == (error, [], min(marked, 5) + 1)

    simulate(network, bench)


def test_a_layer_may_take_as_long_as_the_limit_and_no_longer() -> None:
    network = small_network()

    async def bench(host: Host) -> None:
        run = await host.run(network.rows(1))
        longest = max(int(each["cycles"]) for each in differences(run.counters))
        host.ctx.set(host.top.timeout, longest)
        check_outputs(network, 1, await host.run(network.rows(1)))
        host.ctx.set(host.top.timeout, longest - 1)
        run = await host.run(network.rows(1))
        assert (run.error, run.outputs) == (ErrorCode.TIMEOUT, [])
        host.ctx.set(host.top.timeout, 0)

    simulate(network, bench)


def test_a_list_without_a_last_layer() -> None:
    network = small_network()

    async def bench(host: Host) -> None:
        await host.load([word(network, 2, last=0)])
        run = await host.run(network.rows(1))
        assert (run.error, run.outputs, len(run.counters)) == (ErrorCode.NO_LAST, [], 3)
        await host.load([word(network, 2)])

    simulate(network, bench)


def test_a_list_may_end_before_the_memory_does() -> None:
    network = small_network(spare_layers=2)

    async def bench(host: Host) -> None:
        check_outputs(network, 1, await host.run(network.rows(1)))

    simulate(network, bench)


def test_the_host_can_give_up_at_any_time() -> None:
    """During the set-up, the input, each layer, the output: ABORTED, and the next run is whole, its sums not touched by the one before."""
    network = small_network()

    async def bench(host: Host) -> None:
        whole = await host.run(network.rows(1))
        for moment in (*range(1, whole.cycles, 43), whole.cycles - 12):
            await host.ready()
            run = await host.run(network.rows(1), abort=moment)
            assert run.error is ErrorCode.ABORTED, moment
            for _ in range(40):
                assert not host.ctx.get(host.top.output.valid), moment
                await host.ctx.tick()
            await host.ready()
            assert host.ctx.get(host.top.error) is ErrorCode.ABORTED
            check_outputs(network, 2, await host.run(network.rows(2)))

    simulate(network, bench)


def test_an_abort_without_a_run_is_no_error() -> None:
    network = small_network()

    async def bench(host: Host) -> None:
        host.ctx.set(host.top.abort, 1)
        await host.ctx.tick()
        host.ctx.set(host.top.abort, 0)
        await host.ready()
        assert host.ctx.get(host.top.error) is ErrorCode.NONE
        assert not host.ctx.get(host.top.busy)

    simulate(network, bench)


def test_an_accelerator_without_layers_is_refused() -> None:
    with pytest.raises(MachineError, match="layers must be at least 1, not 0"):
        Accelerator(ArrayParameters(pes=1))
