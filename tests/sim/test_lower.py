"""Does lowering say what a layer costs? Counts by hand on a layer small enough to draw, refusals for everything that does not fit, and
conservation laws on random ones.
"""

from collections import Counter
from heapq import heapify, heappop, heappush

import numpy as np
import pytest

from qsim.actions import Access, Action
from qsim.arch.architecture import Architecture, PEKind
from qsim.arch.presets import MACHINES
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import ScalarCoded
from qsim.model.compressed import QuantisedLayer
from qsim.model.graph import Activation
from qsim.results import LayerResult
from qsim.sim.lower import lower, scan_rows
from qsim.sim.lower_model import lower_model
from qsim.sim.model import simulate_layer
from qsim.sim.pe import PE_VARIANTS
from tests.model.models import random_form, random_layer, random_model

RNG = np.random.default_rng(5)
KINDS = {PEKind.DENSE: "dense", PEKind.CODEBOOK: "scalar_coded", PEKind.SPARSE: "scalar_coded", PEKind.PVQ: "pyramid"}


def layer_of(kind: str, rows: int = 12, cols: int = 10, density: float = 0.4) -> QuantisedLayer:
    rng = np.random.default_rng(2)
    return random_layer("fc", random_form(kind, rows, cols, density, rng), Activation.RELU, rng)


def small(kind: PEKind, **changes: object) -> Architecture:
    machine = MACHINES["sparse-rtl-2"].replace("array.kind", str(kind))
    if kind is PEKind.PVQ:
        machine = machine.replace("array.code_bits", 8)
    for path, value in changes.items():
        machine = machine.replace(path.replace("__", "."), value)
    return machine


def count(result: LayerResult, unit: str, action: Action) -> int:
    return sum(entry.count for entry in result.counts if entry.access.unit == unit and entry.access.action is action)


def test_a_layer_counted_by_hand() -> None:
    # 4 rows, 3 columns, 2 PEs: PE 0 owns rows 0 and 2, PE 1 rows 1 and 3.
    codes = np.array([[1, 0, 0], [0, 0, 2], [1, 0, 1], [0, 0, 1]])
    form = ScalarCoded(codes=codes, codebook=np.array([0, 5, -7]), weight_format=FixedFormat(16, 12), mask=codes > 0)
    layer = random_layer("fc", form, Activation.NONE, np.random.default_rng(0))
    lowered = lower(layer, small(PEKind.SPARSE), first=True, last=True)
    activations = np.array([3, 9, -2])
    program = lowered.program(activations)
    # Column 0: two entries in PE 0, none in PE 1; column 1: none; column 2: one in PE 0 (row 2), two in PE 1.
    assert program.service.tolist() == [[2, 1, 1], [1, 1, 2]]
    result = simulate_layer(lowered, activations)
    assert (result.macs, result.dense_macs) == (5, 12)
    assert result.events == {"columns": 3, "entries": 5, "filler_entries": 0, "empty_columns": 3}
    assert count(result, "weights", Action.SRAM_READ) == 3  # one row of 8 entries for each column that has entries
    assert count(result, "pointers", Action.SRAM_READ) == 2 * 3 * 2
    assert count(result, "queue", Action.REGISTER_WRITE) == count(result, "queue", Action.REGISTER_READ) == 3 * 2
    assert count(result, "mac", Action.INT_MULTIPLY) == count(result, "mac", Action.INT_ADD) == 5
    assert count(result, "codebook", Action.REGISTER_READ) == 5
    # 5 sums and 4 outputs read, 5 sums and 4 clears written; 256 accumulators are an SRAM.
    assert count(result, "accumulators", Action.SRAM_READ) == count(result, "accumulators", Action.SRAM_WRITE) == 9
    assert count(result, "drain", Action.INT_ADD) == 8
    # One scan row, one row read out; one row loaded, four outputs written.
    assert count(result, "activations", Action.SRAM_READ) == 2
    assert count(result, "activations", Action.SRAM_WRITE) == 1 + 4
    assert not count(result, "dram", Action.DRAM_READ)


def test_filler_entries_cost_cycles_but_are_no_macs() -> None:
    codes = np.zeros((40, 1), dtype=np.int64)
    codes[39] = 1  # 39 zeros before it: two fillers of 16 places each
    form = ScalarCoded(codes=codes, codebook=np.array([0, 5]), weight_format=FixedFormat(16, 12), mask=codes > 0)
    layer = random_layer("fc", form, Activation.NONE, np.random.default_rng(0))
    result = simulate_layer(lower(layer, MACHINES["sparse-rtl-1"]), np.array([1]))
    assert (result.macs, result.events["entries"], result.events["filler_entries"]) == (1, 3, 2)
    assert count(result, "mac", Action.INT_MULTIPLY) == 3


def test_a_pulse_of_magnitude_m_costs_m_cycles_and_m_additions() -> None:
    layer = layer_of("pyramid", rows=7, cols=20)
    lowered = lower(layer, small(PEKind.PVQ, array__index_bits=1))
    result = simulate_layer(lowered, np.ones(20, dtype=np.int64))
    pulses = layer.form.reconstruct()
    assert count(result, "mac", Action.INT_ADD) == np.abs(pulses).sum()
    assert count(result, "mac", Action.INT_MULTIPLY) == 0
    assert count(result, "drain", Action.INT_MULTIPLY) == 7
    assert result.macs == np.count_nonzero(pulses)
    assert int(lowered.column_totals[1].sum()) == result.events["filler_entries"] > 0
    busy = sum(unit.busy for unit in result.units if unit.unit.startswith("pe."))
    assert busy == np.abs(pulses).sum() + result.events["filler_entries"] + result.events["empty_columns"]


@pytest.mark.parametrize("kind", list(PEKind))
def test_counts_follow_from_the_weights(kind: PEKind) -> None:
    layer = layer_of(KINDS[kind], rows=37, cols=50)
    machine = small(kind)
    activations = np.where(RNG.random(50) < 0.5, 11, 0)
    result = simulate_layer(lower(layer, machine), activations)
    active = np.flatnonzero(activations)
    stored = layer.form.reconstruct()[:, active]
    expected = np.count_nonzero(stored) if PE_VARIANTS[kind].pointers else 37 * len(active)
    assert result.macs == expected
    assert result.events["columns"] == len(active)
    busy = {unit.unit: unit.busy for unit in result.units}
    assert busy["pe.0"] + busy["pe.1"] >= result.events["entries"]
    assert count(result, "queue", Action.REGISTER_WRITE) == 2 * len(active)


def huffman_bits(symbols: list[int]) -> int:
    """Bits of the symbols under an optimal code: the sum of all merged weights."""
    heap = list(Counter(symbols).values())
    heapify(heap)
    total = heap[0] if len(heap) == 1 else 0
    while len(heap) > 1:
        merged = heappop(heap) + heappop(heap)
        total += merged
        heappush(heap, merged)
    return total


def streams_of(form: ScalarCoded, run: int = 16) -> tuple[list[int], list[int], list[int]]:
    """Codes, gaps and entries a column in the order of columns and rows, written without the encoder; a filler has code -1."""
    codes, gaps, counts = [], [], []
    weights = form.reconstruct()
    for column in range(form.cols):
        before, start = 0, len(codes)
        for row in np.flatnonzero(weights[:, column]).tolist():
            while row - before >= run:
                codes, gaps, before = [*codes, -1], [*gaps, run - 1], before + run
            codes.append(int(form.codes[row, column]))
            gaps.append(row - before)
            before = row + 1
        counts.append(len(codes) - start)
    return codes, gaps, counts


@pytest.mark.parametrize("name", ["dense-16b-dram", "codebook-dram", "sparse-huffman-dram"])
def test_everything_that_is_fetched_is_counted(name: str) -> None:
    machine = MACHINES[name]
    kind = KINDS[machine.array.kind]
    rows, cols = 200, 150
    layer = layer_of(kind, rows=rows, cols=cols, density=0.1)
    lowered = lower(layer, machine, first=True, last=True)
    result = simulate_layer(lowered, np.where(RNG.random(cols) < 0.5, 3, 0))
    assert machine.dram is not None
    read, written = count(result, "dram", Action.DRAM_READ), count(result, "dram", Action.DRAM_WRITE)
    burst = machine.dram.burst_bytes
    assert (read + written) * burst == result.events["dram_bytes"]
    assert result.events["row_hits"] + result.events["row_misses"] == read + written
    assert written == -(-rows * 2 // burst)
    weights = read - -(-cols * 2 // burst)
    biases = rows * layer.node.bias_format.width
    if name == "sparse-huffman-dram":
        assert isinstance(layer.form, ScalarCoded)
        streams = streams_of(layer.form)
        bits = sum(huffman_bits(stream) for stream in streams) + 16 * 16 + biases
        # A length in a code table takes 1 to 7 bits; a tile fills up its last byte and burst.
        tables = 16 + 16 + max(streams[2]) + 1
        tiles = result.events["tiles"]
        assert -(-(bits + tables) // (8 * burst)) <= weights <= -(-(bits + 7 * tables) // (8 * burst)) + tiles
        assert result.events["decoded_symbols"] == sum(len(stream) for stream in streams)
        assert count(result, "decoder", Action.SRAM_READ) == result.events["decoded_symbols"]
        return
    # Whole columns, as many as fit 4 KB; the first tile brings biases and codebook as well; bursts are whole.
    width, extra = (16, biases) if name == "dense-16b-dram" else (4, biases + 16 * 16)
    of_tile = [min(4096 * 8 // (rows * width), cols - at) for at in range(0, cols, 4096 * 8 // (rows * width))]
    bits_of_tile = [columns * rows * width + extra * (at == 0) for at, columns in enumerate(of_tile)]
    assert weights == sum(-(-bits // (8 * burst)) for bits in bits_of_tile)
    assert result.events["tiles"] == len(of_tile)
    # Each tile starts a row of the weight memory in each PE.
    local = [len(range(pe, rows, 64)) for pe in range(64)]
    assert count(result, "weights", Action.SRAM_WRITE) == sum(-(-own * columns * width // 64) for own in local for columns in of_tile)
    assert result.events["columns"] == cols, "dense order sends zeros too"


@pytest.mark.parametrize("lanes", [1, 4])
def test_tables_that_come_with_the_weights_are_written_once(lanes: int) -> None:
    machine = MACHINES["sparse-huffman-dram"].replace("decoder.symbols_per_cycle", lanes)
    layer = layer_of("scalar_coded", rows=100, cols=30)
    assert isinstance(layer.form, ScalarCoded)
    result = simulate_layer(lower(layer, machine), np.ones(30, dtype=np.int64))
    # 16 words of codebook in each of 64 PEs, a bias a row; in each lane 12 lengths of 3 codes and the symbols that occur.
    assert count(result, "codebook", Action.REGISTER_WRITE) == 16 * 64
    assert count(result, "drain", Action.REGISTER_WRITE) == 100
    assert count(result, "decoder", Action.REGISTER_WRITE) == 3 * 12 * lanes
    assert count(result, "decoder", Action.SRAM_WRITE) == sum(len(set(stream)) for stream in streams_of(layer.form)) * lanes
    on_chip = simulate_layer(lower(layer, MACHINES["sparse-sram"]), np.ones(30, dtype=np.int64))
    assert not any(entry.access.unit in ("codebook", "drain") and "write" in entry.access.action for entry in on_chip.counts)
    assert not count(on_chip, "dram", Action.DRAM_READ)


def test_row_scales_that_come_with_the_weights_are_written_once() -> None:
    machine = MACHINES["pvq-sram"].replace("dram.holds_weights", True)
    result = simulate_layer(lower(layer_of("pyramid", rows=100, cols=30), machine), np.ones(30, dtype=np.int64))
    written = {e.access.width_bits: e.count for e in result.counts if e.access.unit == "drain" and e.access.action is Action.REGISTER_WRITE}
    assert written == {32: 100, 16: 100}  # biases as wide as accumulators, scales as weights


def test_columns_that_share_a_row_and_rows_that_a_column_spans() -> None:
    # Dense, 1 PE, 6 rows of 16 bits, 4 to a memory row: column j holds entries 6j to 6j+5.
    layer = layer_of("dense", rows=6, cols=4)
    machine = MACHINES["sparse-rtl-1"].replace("array.kind", "dense")
    rows = lower(layer, machine).column_totals[3]
    first = np.arange(4) * 6
    np.testing.assert_array_equal(rows, (first + 5) // 4 - first // 4 + 1)


def test_scan_rows() -> None:
    machine = MACHINES["sparse-sram"]
    # Rows of 4; items in rows 1, 1, 4; 7 rows.
    empty, tail = scan_rows(np.array([4, 7, 16]), 27, machine)
    assert (empty.tolist(), tail) == ([1, 0, 2], 2)
    assert scan_rows(np.zeros(0, dtype=np.int64), 27, machine)[1] == 7
    assert scan_rows(np.arange(5), 5, MACHINES["dense-16b-dram"])[1] == 0


@pytest.mark.parametrize(
    ("kind", "machine", "message"),
    [
        ("dense", small(PEKind.SPARSE), r"fc\.form must be ScalarCoded on a sparse PE .*, not 'Dense'"),
        ("vector_coded", small(PEKind.CODEBOOK), r"fc\.form must be ScalarCoded on a codebook PE .*, not 'VectorCoded'"),
        ("scalar_coded", small(PEKind.PVQ), r"fc\.form must be Pyramid on a pvq PE .*, not 'ScalarCoded'"),
        ("pyramid", small(PEKind.DENSE), r"fc\.form must be a form without row scales on a dense PE .*, not 'Pyramid'"),
        (
            "scalar_coded",
            small(PEKind.SPARSE, array__code_bits=2),
            r"fc\.form\.codebook must be of at most 4 values.*raise array\.code_bits to 4",
        ),
        ("dense", small(PEKind.DENSE, array__weight_bits=8), r"fc\.form\.weight_format must be of at most 8 bits \(array\.weight_bits\)"),
        (
            "pyramid",
            small(PEKind.PVQ, array__code_bits=2),
            r"array\.code_bits must be at least 3, the bits of the largest pulse of fc, not 2",
        ),
        ("dense", small(PEKind.DENSE, array__local_rows=5), r"array\.local_rows must be at least 6 for fc \(or more PEs\), not 5"),
        ("dense", small(PEKind.DENSE, array__activation_bits=8), r"array\.activation_bits must be at least 16 for fc, not 8"),
        ("dense", small(PEKind.DENSE, array__accumulator_bits=24), r"array\.accumulator_bits must be at least 32 for fc, not 24"),
        (
            "pyramid",
            small(PEKind.PVQ, array__weight_bits=15),
            r"array\.weight_bits must be at least 16 for fc, not 15",
        ),
        ("dense", small(PEKind.DENSE, weights__bytes=119), r"weights\.bytes must be at least 120 a PE for the weights of fc .*, not 119"),
        (
            "dense",
            small(PEKind.DENSE, activations__bytes=21),
            r"activations\.bytes must be at least 22, for input and output of fc over 2 PEs, not 21",
        ),
        (
            "scalar_coded",
            small(PEKind.SPARSE, pointers__bytes=21),
            r"pointers\.bytes must be at least 22 a PE for the column pointers of fc, not 21",
        ),
        (
            "dense",
            MACHINES["dense-16b-dram"].replace("array.pes", 1).replace("weights.bytes", 40),
            r"weights\.bytes must be enough for 2 tile slots of a column of fc \(12 entries in one PE; a slot holds 8\), not 40",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_to_change(kind: str, machine: Architecture, message: str) -> None:
    with pytest.raises(UnsupportedProgram, match=message):
        lower(layer_of(kind), machine)


def test_one_byte_more_is_enough() -> None:
    lower(layer_of("dense"), small(PEKind.DENSE, weights__bytes=120))
    lower(layer_of("dense"), small(PEKind.DENSE, activations__bytes=22))
    lower(layer_of("scalar_coded"), small(PEKind.SPARSE, pointers__bytes=22))
    lower(layer_of("dense"), small(PEKind.DENSE, array__local_rows=6))


def test_all_layers_must_fit_on_chip_together() -> None:
    model = random_model(kinds=("scalar_coded",) * 2, sizes=(64, 48, 32), densities=(0.5, 0.5))
    each = [lower(layer, MACHINES["sparse-rtl-1"]).memory_rows * 8 for layer in model.layers]
    enough = MACHINES["sparse-rtl-1"].replace("weights.bytes", sum(each))
    assert len(lower_model(model, enough)) == 2
    with pytest.raises(UnsupportedProgram, match=rf"weights\.bytes must be at least {sum(each)} a PE for the weights of \w+, \w+ "):
        lower_model(model, enough.replace("weights.bytes", sum(each) - 1))


def test_a_decoder_needs_codes_that_fit_it() -> None:
    machine = MACHINES["sparse-huffman-dram"]
    with pytest.raises(UnsupportedProgram, match=r"decoder must be absent on a dense machine, whose weights are not coded"):
        lower(layer_of("dense"), machine.replace("array.kind", "dense"))
    with pytest.raises(UnsupportedProgram, match=r"decoder\.max_code_bits must be enough for the \d+ symbols of fc, not 1"):
        lower(layer_of("scalar_coded"), machine.replace("decoder.max_code_bits", 1))
    layer = layer_of("scalar_coded")
    assert isinstance(layer.form, ScalarCoded)
    symbols = sum(len(set(stream)) for stream in streams_of(layer.form))
    assert lower(layer, machine.replace("decoder.table_symbols", symbols))
    with pytest.raises(UnsupportedProgram, match=rf"decoder\.table_symbols must be at least {symbols}, the symbols in the codes of fc"):
        lower(layer, machine.replace("decoder.table_symbols", symbols - 1))


def test_coded_indices_take_their_entropy() -> None:
    # 8 codes in dense order, half of them pruned: fewer than the 4 bits of an index, and one symbol a weight.
    layer = layer_of("scalar_coded", rows=64, cols=64)
    machine = MACHINES["sparse-huffman-dram"].replace("array.kind", "codebook").replace("scan.skip_zeros", False)
    plain = lower(layer, machine.replace("decoder", None))
    coded = lower(layer, machine)
    assert plain.tiles is not None and coded.tiles is not None
    assert coded.tiles.symbols == 64 * 64
    assert coded.tiles.size.sum() < 0.8 * plain.tiles.size.sum()


def test_activations_of_another_length_are_refused() -> None:
    lowered = lower(layer_of("dense"), small(PEKind.DENSE))
    with pytest.raises(UnsupportedProgram, match=r"fc\.activations must be of shape \[10\], not \[9\]"):
        lowered.program(np.zeros(9, dtype=np.int64))


@pytest.mark.parametrize("kind", list(PEKind))
def test_every_variant_is_in_the_table(kind: PEKind) -> None:
    assert PE_VARIANTS[kind].actions
    result = simulate_layer(lower(layer_of(KINDS[kind]), small(kind)), np.arange(10))
    assert all(isinstance(entry.access, Access) and entry.count > 0 for entry in result.counts)
