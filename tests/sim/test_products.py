"""Products of two activations, one of them written into the weight memories at run time: do both engines agree, is every element counted,
and is what a machine cannot do said?
"""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.actions import Action
from qsim.arch.architecture import Architecture, PEKind
from qsim.arch.presets import LPDDR3_1600_AT_800_MHZ, MACHINES
from qsim.errors import UnsupportedProgram
from qsim.estimate import Plan, draw_zeros, infer_zeros, prepare, restore, simulate
from qsim.model.matrix_layers import MatrixLayer, matrix_layers
from qsim.model.network import Network
from qsim.model.network_file import NetworkFile
from qsim.model.reference import run
from qsim.results import LayerResult
from qsim.sim.convolution import LoweredConvolution
from qsim.sim.convolution_run import ConvolutionRun
from qsim.sim.network_layers import machine_activations, machine_layer
from qsim.sim.products import Room, lower_product
from workloads import transformer
from workloads.builder import Builder
from workloads.transformer import HEADS, TOKENS, WIDTH

STORING = [kind for kind in PEKind if kind is not PEKind.PVQ]
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def attention(heads: int, tokens: int, columns: int, outputs: int) -> Network:
    """``[heads, tokens, columns] @ [heads, columns, outputs]`` of two inputs."""
    b = Builder("one", 0)
    return b.network(b.op("MatMul", "product", b.input("x", heads, tokens, columns), b.input("y", heads, columns, outputs)))


def layer_of(network: Network) -> MatrixLayer:
    (layer,) = matrix_layers(network)
    return layer


def machine_of(kind: PEKind, rng: np.random.Generator) -> Architecture:
    """Memories that often hold only a part of the operand or of the activations; with and without DRAM."""
    machine = MACHINES["sparse-rtl-2"].replace("array.kind", str(kind)).replace("array.pes", int(rng.choice([1, 2, 3])))
    machine = machine.replace("array.queue.depth", int(rng.choice([1, 2, 8]))).replace("scan.row_width", int(rng.choice([1, 2, 4])))
    machine = machine.replace("array.queue.forward_latency", int(rng.choice([1, 2]))).replace("array.local_rows", int(rng.choice([2, 64])))
    machine = machine.replace("scan.skip_zeros", bool(rng.integers(2)))
    if rng.integers(4):
        channel = replace(LPDDR3_1600_AT_800_MHZ, burst_bytes=2, row_bytes=64, refresh_interval=500, holds_weights=bool(rng.integers(2)))
        machine = machine.replace("dram", channel).replace("activations.bytes", int(rng.choice([32, 4096])))
    return machine.replace("weights.bytes", int(rng.choice([64, 65536])))


def lowered_of(network: Network, machine: Architecture, rng: np.random.Generator) -> LoweredConvolution:
    """Input, operand and output on chip or off it."""
    found = machine_layer(layer_of(network))
    lowered = lower_product(found, found.geometry.pixels * found.rows, machine, Room.beside([], machine))
    assert lowered.operand is not None
    first, last, loads = (bool(rng.integers(2)) for _ in range(3))
    return replace(lowered, first=first, last=last, operand=replace(lowered.operand, loads=loads))


@settings(max_examples=80, deadline=None)
@given(generators, st.sampled_from(STORING), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 7))
def test_engines_agree_on_a_product(rng: np.random.Generator, kind: PEKind, heads: int, tokens: int, columns: int, outputs: int) -> None:
    """Cycles, every unit's account, every action count and event; the MACs are heads * tokens * columns * outputs, less those of zeros."""
    network, machine = attention(heads, tokens, columns, outputs), machine_of(kind, rng)
    try:
        lowered = lowered_of(network, machine, rng)
    except UnsupportedProgram:
        return
    given = rng.random((heads, tokens, columns)) < rng.choice([0.0, 0.3, 1.0])
    values = machine_activations(machine_layer(layer_of(network)), given).astype(np.int64)
    quick = ConvolutionRun(lowered, values, "fast").result()
    assert quick == ConvolutionRun(lowered, values, "event").result()
    sent = int(given.sum()) if machine.scan.skip_zeros else heads * tokens * columns
    assert (quick.macs, quick.dense_macs) == (sent * outputs, heads * tokens * columns * outputs)
    assert_counted(quick, lowered, heads * columns * outputs)


def assert_counted(result: LayerResult, lowered: LoweredConvolution, elements: int) -> None:
    """Every element once: over the broadcast, into a weight memory, and from DRAM where it comes from there."""
    machine, counts = lowered.machine, {(entry.access.unit, entry.access.action): entry.count for entry in result.counts}
    array = machine.array
    assert result.events["operand_elements"] == elements == counts["weights", Action.SRAM_WRITE]
    assert result.events["operand_bytes"] == -(-elements * array.entry_bits // 8)
    assert counts["queue", Action.REGISTER_WRITE] == (elements + result.events["columns"]) * array.pes
    assert result.events["pixels"] == lowered.geometry.pixels
    if machine.dram is None:
        return
    moved = 2 * elements if lowered.loads_operand else 0
    burst = machine.dram.burst_bytes
    assert moved <= result.events["operand_dram_bytes"] <= moved + 2 * burst * result.events["passes"]
    blocks = result.events["passes"] // lowered.geometry.groups
    inputs = lowered.geometry.inputs * (blocks if lowered.spilled else 1) if lowered.loads_input else 0
    outputs = lowered.stored if lowered.unloads_output else 0
    assert result.events["dram_bytes"] >= moved + 2 * (inputs + outputs)


def test_a_product_counted_by_hand() -> None:
    """One head, one PE, rows of one activation: an operand of 2 columns for 3 outputs, and 5 vectors, all on chip.

    Writing: 6 items of one cycle. Broadcasts in cycles 4 to 9, the last leaves in 9 + 1 + 1 + 1 = 12, barrier 19, a drain of no rows from
    21 on takes 7: 28 cycles. A vector: 2 items of 3 cycles: broadcasts 4 and 5, issue 6 and 9, last leave 12, barrier 19, three rows: 31.
    """
    machine = MACHINES["sparse-rtl-1"].replace("scan.row_width", 1)
    found = machine_layer(layer_of(attention(1, 5, 2, 3)))
    result = ConvolutionRun(lower_product(found, 15, machine, Room.beside([], machine)), np.ones(10, dtype=np.int64), "fast").result()
    assert result.cycles == 28 + 5 * 31
    assert (result.macs, result.events["operand_elements"], result.events["passes"]) == (30, 6, 1)
    counts = {(entry.access.unit, entry.access.action): entry.count for entry in result.counts}
    # Ten activations and six elements in rows of one; two bounds of two columns; two additions an element rounded to a code, two a result.
    assert counts["activations", Action.SRAM_READ] == 16
    assert ("pointers", Action.SRAM_WRITE) in counts and counts["pointers", Action.SRAM_WRITE] == 3
    assert counts["drain", Action.INT_ADD] == 2 * 6 + 2 * 15


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 4), (2, 4, 5)),
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (1, 2, 4, 5)),
        ((2, 3, 4), (1, 4, 5)),
    ],
)
def test_activations_of_each_group_meet_the_operand_of_its_index(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Whatever axes are broadcast: the operand by hand, group by group, gives what the reference executor gives."""
    b = Builder("one", 0)
    network = b.network(b.op("MatMul", "product", b.input("x", *left), b.input("y", *right)))
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in (left, right))
    expected = run(network, {"x": x, "y": y})["product"]
    found = machine_layer(layer_of(network))
    groups = found.geometry.groups
    assert groups == (1 if prod(right[:-2]) == 1 else prod(expected.shape[:-2]))
    pixels = machine_activations(found, x).reshape(found.geometry.pixels, groups, 4)
    matrices = np.broadcast_to(y, (*expected.shape[:-2], 4, 5)).reshape(-1, 4, 5)[:groups]
    ours = np.einsum("vgc,gco->gvo", pixels, matrices)
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    assert found.rows == groups * 5
    assert found.layer.macs == groups * found.geometry.pixels * 4 * 5 == expected.size * 4


def test_a_transposed_first_operand_is_turned() -> None:
    b = Builder("one", 0)
    network = b.network(b.op("Gemm", "product", b.input("x", 3, 3), b.input("y", 3, 2), transA=1))
    x = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    assert machine_activations(machine_layer(layer_of(network)), x).tolist() == x.T.reshape(-1).tolist()


def test_the_macs_of_attention_are_heads_times_tokens_twice_times_width() -> None:
    """Dense PEs send every activation; each of the two products of a layer is tokens * tokens * width in all heads together."""
    prepared = prepare(transformer.build(0), MACHINES["dense-16b-layer-dram"], Plan(densities={}))
    assert prepared.left_out == ()
    products = [place for place, layer in enumerate(prepared.layers) if layer.product]
    assert [prepared.layers[place].name for place in products] == ["layer1.scores", "layer1.mixed", "layer2.scores", "layer2.mixed"]
    results = simulate(prepared, draw_zeros(prepared, 0.5, 0))
    for place in products:
        assert results[place].macs == results[place].dense_macs == HEADS * TOKENS * TOKENS * (WIDTH // HEADS)
        assert results[place].events["operand_bytes"] == 2 * TOKENS * WIDTH
    # Query, key and value go to DRAM, for only what the layer just before made stays on chip; scores and what is mixed stay.
    first = [(layer.layer.operator, part.first, part.last) for layer, part in zip(prepared.layers, prepared.lowered, strict=True)][:6]
    assert first == [
        ("layer1.query", True, True), ("layer1.key", True, True), ("layer1.value", True, True),
        ("layer1.scores", True, False), ("layer1.mixed", False, False), ("layer1.output", False, True),
    ]  # fmt: skip
    assert all(part.loads_operand for part in prepared.lowered if isinstance(part, LoweredConvolution) and part.operand is not None)


@pytest.mark.parametrize("name", ["dense-16b-layer-dram", "codebook-layer-dram", "sparse-layer-dram", "sparse-sram"])
def test_engines_agree_on_an_encoder_with_zeros_of_inference(name: str) -> None:
    """Zeros of the softmax are counted from inference; the file gives back the network that was simulated."""
    network, machine = (
        transformer.encoder("small", 0, layers=1, heads=2, width=8, inner=8, tokens=5),
        MACHINES[name].replace("array.pes", 3),
    )
    prepared = prepare(network, machine, Plan(densities={}))
    # Far apart, so that the exponential of most differences is zero in float32.
    values = {"embeddings": 100 * np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)}
    zeros = infer_zeros(prepared, values)
    quick = simulate(prepared, zeros)
    assert quick == simulate(prepared, zeros, engine="event")
    (mixed,) = (place for place, layer in enumerate(prepared.layers) if layer.name == "layer1.mixed")
    shares = run(prepared.network, values, keep=["layer1.weights"])["layer1.weights"]
    kept = int(np.count_nonzero(shares))
    assert 2 * 5 <= kept < shares.size == 2 * 5 * 5
    assert quick[mixed].macs == (kept if machine.scan.skip_zeros else shares.size) * 4
    rounds = [operator.kind for operator in prepared.network.operators].count("Round")
    assert rounds == (0 if name.startswith("dense") else 2)
    given_back = run(restore(NetworkFile.from_bytes(prepared.file.data)), values)
    assert all(np.array_equal(value, given_back[tensor]) for tensor, value in run(prepared.network, values).items())


def self_product(width: int) -> Network:
    """``key(x) key(x)^T``: both operands are what the layer just before made."""
    b = Builder("gram", 0)
    y = b.fc("key", b.input("x", 3, width), 8)
    return b.network(b.op("MatMul", "gram", y, b.op("Transpose", "turned", y, perm=(1, 0))))


def test_an_operand_that_the_layer_before_made_stays_on_chip() -> None:
    prepared = prepare(self_product(8), MACHINES["sparse-layer-dram"], Plan(densities={}))
    (_, gram) = simulate(prepared, draw_zeros(prepared, 1.0, 0))
    assert (prepared.lowered[1].first, prepared.lowered[1].last) == (False, True)
    assert gram.events["operand_dram_bytes"] == 0
    assert gram.events["dram_bytes"] == 32  # nine results of two bytes


@pytest.mark.parametrize(
    ("machine", "changes", "why"),
    [
        ("pvq-layer-dram", {}, "gram must be with constant weights on pvq PEs"),
        (
            "dense-16b-layer-dram",
            {"activations.bytes": 1, "array.pes": 56},
            "activations.bytes must be at least 10, for a request of the operand",
        ),
        ("sparse-layer-dram", {"array.code_bits": 1}, "array.code_bits must be at least 2 for the operand of gram"),
        # 8 PEs: the key has a row of 8 weights of 2 bytes in each, and so has the operand in three of them.
        (
            "dense-16b-sram",
            {"array.pes": 8, "weights.bytes": 16, "weights.width_bits": 16},
            "weights.bytes must be such that 16 a PE are free",
        ),
        ("sparse-sram", {"pointers.bytes": 30, "pointers.width_bits": 16}, "pointers.bytes must be such that 18 a PE are free"),
    ],
)
def test_what_a_machine_cannot_do_is_a_gap_with_its_macs(machine: str, changes: dict[str, object], why: str) -> None:
    chosen = MACHINES[machine]
    for path, value in changes.items():
        chosen = chosen.replace(path, value)
    prepared = prepare(self_product(8), chosen, Plan(densities={}))
    assert [layer.name for layer in prepared.layers] == ["key"]
    (gap,) = prepared.left_out
    assert gap.startswith(f"gram, {3 * 3 * 8} MACs (")
    assert why in gap


def test_products_use_the_same_room_in_turn() -> None:
    """The operands of four products, of four heads each, fit where that of one head does beside the weights."""
    machine = MACHINES["dense-16b-sram"]
    network = transformer.build(0)
    prepared = prepare(network, machine, Plan(densities={}))
    weights = sum(part.memory_rows for part in prepared.lowered if not (isinstance(part, LoweredConvolution) and part.operand is not None))
    operand = max(
        part.memory_rows // HEADS for part in prepared.lowered if isinstance(part, LoweredConvolution) and part.operand is not None
    )
    row = machine.weights.width_bits // 8
    tight = prepare(network, machine.replace("weights.bytes", (weights + operand) * row), Plan(densities={}))
    assert tight.left_out == ()
    tighter = prepare(network, machine.replace("weights.bytes", weights * row), Plan(densities={}))
    assert len(tighter.left_out) == 4
