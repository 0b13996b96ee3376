"""Whether energy is exactly counts times prices plus leakage times time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.actions import Access, Action
from qsim.arch.presets import MACHINES
from qsim.energy.account import MemoryInstance, account, memories_of
from qsim.energy.loader import load_technology
from qsim.errors import FieldError, TechnologyError
from qsim.results import ActionCount, LayerResult

WEIGHTS = Access(unit="weights", action=Action.SRAM_READ, width_bits=64, capacity_bytes=131072)
MULTIPLY = Access(unit="mac", action=Action.INT_MULTIPLY, width_bits=16)
DRAM = Access(unit="dram", action=Action.DRAM_READ, width_bits=64)


def layer(name: str, cycles: int, counts: dict[Access, int]) -> LayerResult:
    return LayerResult(
        name=name,
        cycles=cycles,
        macs=0,
        dense_macs=0,
        units=(),
        counts=tuple(ActionCount(access=access, count=count) for access, count in counts.items()),
    )


def test_by_hand() -> None:
    """Two layers, two inputs, prices of Han 2015: 10 pJ a 64-bit SRAM read, 0.775 pJ a 16-bit multiply, 1280 pJ a 64-bit DRAM read."""
    layers = (
        (layer("a", 10, {WEIGHTS: 4, MULTIPLY: 30}), layer("a", 20, {WEIGHTS: 8, MULTIPLY: 34})),
        (layer("b", 5, {DRAM: 2}), layer("b", 5, {DRAM: 2})),
    )
    energy = account(layers, load_technology("han2015-45nm"), clock_hz=1e9)
    by_place = {(entry.layer, entry.access): (entry.count, entry.pj) for entry in energy.entries}
    assert by_place["a", WEIGHTS] == (6.0, pytest.approx(60.0))
    assert by_place["a", MULTIPLY] == (32.0, pytest.approx(24.8))
    assert by_place["b", DRAM] == (2.0, pytest.approx(2560.0))
    assert energy.dynamic_pj == pytest.approx(2644.8)
    assert energy.leakage_pj is None
    assert energy.total_pj == energy.dynamic_pj
    assert {price.access for price in energy.prices} == {WEIGHTS, MULTIPLY, DRAM}
    assert all(price.source for price in energy.prices)


def test_leakage_is_power_times_time() -> None:
    """8 KB x 32 bits leaks 0.000255 mW in CACTI's table; 64 of them for (30 + 10) / 2 cycles at 800 MHz (25 ns) = 0.000408 pJ."""
    layers = ((layer("a", 30, {}), layer("a", 10, {})),)
    memories = (MemoryInstance(name="weights", capacity_bytes=8192, width_bits=32, instances=64),)
    energy = account(layers, load_technology("cacti-45nm"), clock_hz=800e6, memories=memories)
    assert energy.leakage_pj == pytest.approx(64 * 0.000255 * 25.0)
    assert energy.total_pj == energy.leakage_pj


@pytest.mark.parametrize(
    ("name", "memories"),
    [
        # Per PE 1 KB of tiles, 2 KB of activations, pointers in two banks of 16 KB; one decoder of 512 symbols of 16 bits; registers else.
        (
            "sparse-huffman-dram",
            [("weights", 1024, 64, 64), ("activations", 2048, 64, 64), ("pointers", 16384, 16, 128), ("decoder", 1024, 16, 1)],
        ),
        ("dense-16b-sram", [("weights", 131072, 64, 64), ("activations", 2048, 64, 64)]),
        # 512 accumulators and as many biases of 32 bits are too many for registers.
        (
            "sparse-rtl-1",
            [
                ("weights", 65536, 64, 1),
                ("activations", 4096, 64, 1),
                ("pointers", 2048, 16, 2),
                ("accumulators", 2048, 32, 1),
                ("drain", 2048, 32, 1),
            ],
        ),
    ],
)
def test_the_memories_of_a_machine_by_hand(name: str, memories: list[tuple[str, int, int, int]]) -> None:
    found = memories_of(MACHINES[name])
    assert [(memory.name, memory.capacity_bytes, memory.width_bits, memory.instances) for memory in found] == memories
    technology = load_technology("cacti-45nm")
    energy = account(((layer("a", 800, {}),),), technology, clock_hz=800e6, memories=found)
    power = sum(count * (technology.leakage_mw(size, width) or 0.0) for _, size, width, count in memories)
    assert energy.leakage_pj == pytest.approx(power * 1000.0)  # 800 cycles at 800 MHz are 1000 ns


def test_a_large_codebook_and_row_scales_leak() -> None:
    large = MACHINES["codebook-dram"].replace("array.code_bits", 8)
    assert ("codebook", 512, 16, 64) in [(m.name, m.capacity_bytes, m.width_bits, m.instances) for m in memories_of(large)]
    scales = MACHINES["pvq-sram"].replace("array.local_rows", 100)
    found = [(m.name, m.capacity_bytes, m.width_bits, m.instances) for m in memories_of(scales) if m.name == "drain"]
    assert found == [("drain", 400, 32, 64), ("drain", 200, 16, 64)]
    lanes = MACHINES["sparse-huffman-dram"].replace("decoder.symbols_per_cycle", 4)
    assert memories_of(lanes)[-1].instances == 4


def test_an_access_absent_for_one_input_counts_as_zero_there() -> None:
    layers = ((layer("a", 1, {MULTIPLY: 3}), layer("a", 1, {})),)
    assert account(layers, load_technology("han2015-45nm"), clock_hz=1.0).entries[0].count == 1.5


@given(st.integers(0, 10**12), st.integers(1, 1000))
def test_linear_in_counts(count: int, factor: int) -> None:
    technology = load_technology("han2015-45nm")
    one = account(((layer("a", 1, {MULTIPLY: count}),),), technology, clock_hz=1.0).total_pj
    many = account(((layer("a", 1, {MULTIPLY: count * factor}),),), technology, clock_hz=1.0).total_pj
    assert many == pytest.approx(one * factor)


def test_uneven_inputs_are_refused() -> None:
    technology = load_technology("han2015-45nm")
    for layers in ((), ((),), ((layer("a", 1, {}),), (layer("b", 1, {}), layer("b", 1, {})))):
        with pytest.raises(FieldError, match="same number of inputs"):
            account(layers, technology, clock_hz=1.0)


def test_an_uncovered_memory_is_refused_and_a_stand_in_noted() -> None:
    tiny = Access(unit="activations", action=Action.SRAM_READ, width_bits=16, capacity_bytes=256)
    huge = Access(unit="activations", action=Action.SRAM_READ, width_bits=16, capacity_bytes=2**30)
    for name in ("cacti-45nm", "horowitz-45nm"):
        technology = load_technology(name)
        assert len(account(((layer("a", 1, {tiny: 1}),),), technology, clock_hz=1.0).notes) == 1
        with pytest.raises(TechnologyError, match="range of the technology's table"):
            account(((layer("a", 1, {huge: 1}),),), technology, clock_hz=1.0)
    with pytest.raises(FieldError, match=r"memory\.weights\.instances"):
        MemoryInstance(name="weights", capacity_bytes=1, width_bits=1, instances=0)
