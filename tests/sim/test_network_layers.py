"""Do the layers of a float network mean the same on a machine? The window's matrix product against the reference executor, and what is read
from and written to DRAM between layers.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.actions import Action
from qsim.arch.presets import MACHINES
from qsim.errors import UnsupportedProgram
from qsim.estimate import Plan, draw_zeros, infer_zeros, prepare, simulate
from qsim.model.geometry import PADDING
from qsim.model.matrix_layers import matrix_layers
from qsim.model.network import Network
from qsim.model.reference import run
from qsim.sim.convolution import LoweredConvolution
from qsim.sim.network_layers import MachineLayer, machine_activations, machine_layer, machine_weights, put_weights
from workloads.builder import Builder

SPARSE = MACHINES["sparse-layer-dram"]


def products(network: Network, found: MachineLayer, tensor: np.ndarray) -> np.ndarray:
    """Each output pixel as the matrix of its group times its gathered window, [pixels, rows]."""
    geometry, weights = found.geometry, machine_weights(network, found)
    values = np.append(machine_activations(found, tensor), np.float32(0))
    own, parts = found.rows // geometry.groups, []
    for group in range(geometry.groups):
        index = geometry.gather(group)
        parts.append(values[np.where(index == PADDING, -1, index)] @ weights[group * own : (group + 1) * own].T)
    return np.concatenate(parts, axis=1)


def assert_put_back(network: Network, found: MachineLayer) -> None:
    assert found.layer.weight is not None
    assert np.array_equal(put_weights(network, found, machine_weights(network, found)), network.constants[found.layer.weight])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_a_convolution_is_its_windows_times_its_matrix(seed: int, line: bool, transposed: bool) -> None:
    """Stride, dilation, padding, groups, one or two axes; transposed ones over zeros between the pixels."""
    rng = np.random.default_rng(seed)
    axes = 1 if line else 2
    groups = int(rng.choice([1, 2]))
    channels, out = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel, strides, dilations = (tuple(int(n) for n in rng.integers(1, 4, axes)) for _ in range(3))
    sizes = tuple(int(gap * (size - 1) + 1 + rng.integers(0, 5)) for size, gap in zip(kernel, dilations, strict=True))
    reach = [gap * (size - 1) for size, gap in zip(kernel, dilations, strict=True)]
    pads = tuple(int(rng.integers(0, far + 1)) for far in reach) * 2
    b = Builder("one", seed)
    shape = (channels, out // groups, *kernel) if transposed else (out, channels // groups, *kernel)
    weight = b.weight("w", *shape, fan_in=4)
    x = b.input("x", 1, channels, *sizes)
    kind = "ConvTranspose" if transposed else "Conv"
    made = b.op(kind, "layer", x, weight, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads, group=groups)
    if min(b.draft.values[made].shape) < 1:
        return
    network = b.network(made)
    found = machine_layer(matrix_layers(network)[0])
    values = rng.standard_normal((1, channels, *sizes)).astype(np.float32)
    expected = run(network, {"x": values})[made]
    np.testing.assert_allclose(products(network, found, values), np.moveaxis(expected[0], 0, -1).reshape(-1, out), rtol=1e-4, atol=1e-4)
    assert_put_back(network, found)


def test_gates_of_an_lstm_read_the_state_of_the_step_before() -> None:
    """Both directions: the sum of both matrices' products, through the cell by hand, is what the reference gives."""
    rng, steps, features, hidden = np.random.default_rng(0), 5, 6, 4
    b = Builder("lstm", 0)
    x = b.input("x", steps, 1, features)
    w, r = b.weight("w", 2, 4 * hidden, features, fan_in=4), b.weight("r", 2, 4 * hidden, hidden, fan_in=4)
    network = b.network(b.op("LSTM", "lstm", x, w, r, hidden_size=hidden, direction="bidirectional"))
    values = rng.standard_normal((steps, 1, features)).astype(np.float32)
    states = run(network, {"x": values})["lstm"]
    layers = [machine_layer(layer) for layer in matrix_layers(network)]
    assert len(layers) == 4
    for part in (0, 1):
        given = products(network, layers[2 * part], values) + products(network, layers[2 * part + 1], states)
        cell = np.zeros(hidden)
        for step in range(steps) if part == 0 else range(steps - 1, -1, -1):
            i, o, f, c = np.split(given[step].astype(np.float64), 4)
            cell = cell / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
            np.testing.assert_allclose(np.tanh(cell) / (1 + np.exp(-o)), states[step, part, 0], rtol=1e-4, atol=1e-5)
    for layer in layers:
        assert_put_back(network, layer)


def test_the_cell_of_an_lstm_is_counted_at_the_drain() -> None:
    """Three steps of four cells: 5 additions and 3 multiplications a cell and step, beside two additions a result of both matrices."""
    b = Builder("lstm", 0)
    w, r = b.weight("w", 1, 16, 6, fan_in=4), b.weight("r", 1, 16, 4, fan_in=4)
    network = b.network(b.op("LSTM", "lstm", b.input("x", 3, 1, 6), w, r, hidden_size=4))
    prepared = prepare(network, SPARSE, Plan(densities={}))
    results = simulate(prepared, draw_zeros(prepared, 1.0, 0))
    counts = [{(e.access.action, e.access.width_bits): e.count for e in r.counts if e.access.unit == "drain"} for r in results]
    assert [found.get((Action.INT_ADD, 32)) for found in counts] == [2 * 3 * 16, 2 * 3 * 16 + 5 * 12]
    assert [found.get((Action.INT_MULTIPLY, 16), 0) for found in counts] == [0, 3 * 12]


def test_what_machines_have_no_form_for_is_left_out_by_name() -> None:
    """``ij,kj->ik``: 3 * 3 * 8 MACs; a convolution whose kernel is computed: 2 * 3 * 3 results of 3 * 3 MACs; a vector at the left."""
    b = Builder("attention", 0)
    x = b.input("x", 3, 8)
    y = b.fc("key", x, 8)
    scores = b.op("Einsum", "scores", x, y, equation="ij,kj->ik")
    shape = b.constant("shape", np.array([1, 1, 5, 5], dtype=np.int64))
    kernel = b.op("Reshape", "kernel", b.input("k", 2, 9), b.constant("kernel_shape", np.array([2, 1, 3, 3], dtype=np.int64)))
    image = b.op("Conv", "filtered", b.op("Reshape", "image", b.input("i", 25), shape), kernel, kernel_shape=(3, 3))
    row = b.op("MatMul", "row", b.input("v", 3), scores)
    network = b.network(b.op("Add", "all", b.op("ReduceSum", "sum", image, keepdims=0), row))
    prepared = prepare(network, SPARSE, Plan(densities={}))
    assert [layer.name for layer in prepared.layers] == ["key"]
    assert prepared.left_out == (
        "row, 9 MACs (row must be of two operands of two or more axes, not [(3,), (3, 3)])",
        "scores, 72 MACs (Einsum whose operands are not weights as machines hold them)",
        "filtered, 162 MACs (Conv whose operands are not weights as machines hold them)",
    )
    with_dots = Builder("dots", 0)
    both = with_dots.fc("fc", with_dots.input("x", 2, 3), 3)
    dots = prepare(with_dots.network(with_dots.op("Einsum", "e", both, both, equation="...i,...i->...")), SPARSE, Plan(densities={}))
    assert dots.left_out == ("e, MACs not counted (Einsum whose operands are not weights as machines hold them)",)
    only = Builder("only", 0)
    with pytest.raises(UnsupportedProgram, match="a network with a matrix layer"):
        prepare(only.network(only.relu(only.input("x", 1, 2))), SPARSE, Plan(densities={}))


def chain(size: int) -> Network:
    """Two convolutions, a pool between them, and a branch around the second."""
    b = Builder("chain", 0)
    x = b.relu(b.conv("first", b.input("x", 1, 4, size, size), 8, 3, pad=1))
    x = b.max_pool("pool", x, 2, 2)
    y = b.conv("second", x, 8, 3, pad=1)
    return b.network(b.conv("third", b.op("Add", "sum", x, y), 4, 1))


def test_activations_between_layers_stay_on_chip_where_they_fit() -> None:
    prepared = prepare(chain(16), SPARSE, Plan(densities={}))
    assert [(layer.first, layer.last) for layer in prepared.lowered] == [(True, True), (False, True), (True, True)]
    first = prepared.lowered[0]
    assert isinstance(first, LoweredConvolution)
    assert (first.spilled, first.stored, first.compares) == (False, 8 * 8 * 8, 4 * 8 * 8 * 8)
    # The sum has two sources, so it is read from DRAM, and both of them are written there.
    small = prepare(chain(16), SPARSE.replace("activations.bytes", 24), Plan(densities={}))
    assert [layer.spilled for layer in small.lowered if isinstance(layer, LoweredConvolution)] == [True, True, False]


def test_zeros_of_inference_are_those_of_the_pruned_network() -> None:
    prepared = prepare(chain(8), SPARSE, Plan(density=0.2, densities={"third": 0.5}))
    values = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    zeros = infer_zeros(prepared, {"x": values})
    kept = run(prepared.network, {"x": values}, keep=["pool"])["pool"]
    assert np.array_equal(zeros[1], np.moveaxis(kept[0], 0, -1).reshape(-1) != 0)
    assert np.count_nonzero(prepared.network.constants["third.weight"]) == 16
    assert draw_zeros(prepared, 0.0, 0)[0].all()
    assert not draw_zeros(prepared, 0.0, 0)[1].any()


@pytest.mark.parametrize("name", ["dense-16b-layer-dram", "codebook-layer-dram", "sparse-layer-dram", "pvq-layer-dram"])
def test_engines_agree_on_a_whole_float_network(name: str) -> None:
    prepared = prepare(chain(6), MACHINES[name].replace("array.pes", 3), Plan(density=0.5, densities={}))
    values = {"x": np.random.default_rng(0).standard_normal((1, 4, 6, 6)).astype(np.float32)}
    zeros = infer_zeros(prepared, values)
    assert simulate(prepared, zeros) == simulate(prepared, zeros, engine="event")
