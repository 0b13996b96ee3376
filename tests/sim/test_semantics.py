"""Whether numpy inference obeys the number semantics bit for bit, saturation at every addition included."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Pyramid
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph
from qsim.sim import semantics
from qsim.sim.semantics import Activations, accumulate, accumulate_sequentially, infer, run_layer
from tests.model.models import SCALES, random_form, random_layer, random_model

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def clamp(value: int, form: FixedFormat) -> int:
    return min(max(value, form.minimum), form.maximum)


def output_by_hand(layer: QuantisedLayer, row: int, inputs: list[int]) -> int:
    """The contract word by word, in Python integers of any size."""
    node, weights = layer.node, layer.form.reconstruct()
    accumulator = 0
    for col, activation in enumerate(inputs):
        if activation:
            accumulator = clamp(accumulator + int(weights[row, col]) * activation, node.accumulator_format)
    fraction = node.accumulator_format.fraction
    total = accumulator
    if isinstance(layer.form, Pyramid):
        total *= int(layer.form.scales[row])
        fraction += layer.form.scale_format.fraction
    total += int(layer.bias[row]) * 2 ** (fraction - node.bias_format.fraction)
    shift = fraction - node.output_format.fraction
    total = (total + 2 ** (shift - 1)) // 2**shift if shift > 0 else total * 2**-shift
    result = clamp(total, node.output_format)
    match node.activation:
        case Activation.NONE:
            return result
        case Activation.RELU:
            return max(result, 0)
        case Activation.CLIP:
            return min(max(result, 0), node.limit)


@given(generators, st.sampled_from(["dense", "scalar_coded", "pyramid", "vector_coded"]), st.sampled_from([20, 24, 32]))
def test_layers_equal_the_contract_by_hand(rng, kind, accumulator_bits):
    activation = list(Activation)[int(rng.integers(3))]
    layer = random_layer("x", random_form(kind, 5, 8, 0.6, rng), activation, rng, accumulator_bits)
    inputs = rng.integers(-32768, 32768, (4, 8)) * (rng.random((4, 8)) < 0.7)
    found = run_layer(layer, inputs)
    assert found.tolist() == [[output_by_hand(layer, row, line) for row in range(5)] for line in inputs.tolist()]


@given(generators, st.integers(8, 40))
def test_fast_and_sequential_sums_agree(rng, width):
    weights = rng.integers(-(1 << 10), 1 << 10, (6, 30))
    inputs = rng.integers(-200, 200, (7, 30)) * (rng.random((7, 1)) < 0.8)
    form = FixedFormat(width, 0)
    assert np.array_equal(accumulate(weights, inputs, form), accumulate_sequentially(weights, inputs, form))


def test_saturation_depends_on_the_order():
    # 100 + 100 - 100 in 8 bits: 100, 127, 27; the other order gives 100, 0, 100.
    form = FixedFormat(8, 0)
    weights = np.array([[100, 100, -100], [100, -100, 100]])
    assert accumulate(weights, np.ones((1, 3), dtype=np.int64), form).tolist() == [[27, 100]]


def test_sums_beyond_float64_stay_exact():
    # 2^53 + 1 is no float64: the matrix product must not be used here.
    weights = np.array([[1 << 30, 1]])
    inputs = np.array([[1 << 23, 1]])
    assert accumulate(weights, inputs, FixedFormat(62, 0)).tolist() == [[(1 << 53) + 1]]


def two_by_two(scale_format: FixedFormat = SCALES) -> QuantisedLayer:
    form = FixedFormat(16, 0)
    node = FullyConnected(
        name="x",
        inputs=2,
        outputs=2,
        activation=Activation.RELU,
        input_format=form,
        output_format=form,
        bias_format=FixedFormat(8, 0),
        accumulator_format=FixedFormat(32, 0),
    )
    pulses = Pyramid(pulses=[[1, -2], [0, 3]], scales=[6144, 2048], scale_format=scale_format)  # 1.5 and 0.5
    return QuantisedLayer(node=node, form=pulses, bias=[1, -1])


def test_pyramid_layer_by_hand():
    # 1.5 (10 - 2) + 1 = 13 and 0.5 (3) - 1 = 0.5, which rounds half up to 1; then -1.5 * 3 + 1 < 0, cut by ReLU.
    assert run_layer(two_by_two(), np.array([[10, 1], [-3, 0]])).tolist() == [[13, 1], [0, 0]]


def test_network_is_the_composition_of_its_layers():
    model = random_model()
    inputs = np.random.default_rng(0).integers(0, 256, (20, 784))
    found = infer(model, inputs)
    values = inputs
    for layer, seen in zip(model.layers, found.inputs, strict=True):
        assert np.array_equal(seen, values)
        values = run_layer(layer, values)
    assert np.array_equal(found.logits, values)


def test_ties_go_to_the_lowest_index():
    logits = np.array([[1, 3, 3], [2, 2, 2]])
    assert Activations(nodes=(), inputs=(), logits=logits).classes.tolist() == [1, 0]


def test_chunks_change_nothing(monkeypatch):
    model = random_model()
    inputs = np.random.default_rng(0).integers(0, 256, (50, 784))
    whole = infer(model, inputs).logits
    monkeypatch.setattr(semantics, "CHUNK_ELEMENTS", 7 * 1084)
    assert np.array_equal(infer(model, inputs).logits, whole)


def test_ten_thousand_images_are_quick():
    model = random_model()
    inputs = np.random.default_rng(0).integers(0, 256, (10_000, 784))
    start = time.process_time()
    infer(model, inputs)
    assert time.process_time() - start < 3  # 0.3 s on a quiet core


@pytest.mark.parametrize(
    ("inputs", "message"), [(np.zeros(784), "of shape"), (np.zeros((1, 3)), "of shape"), ([[1 << 15] * 784], "inputs must be -32768")]
)
def test_impossible_inputs_are_refused(inputs, message):
    with pytest.raises(FieldError, match=message):
        infer(random_model(), inputs)


def test_a_dense_identity_passes_values_through():
    form = FixedFormat(16, 8)
    node = FullyConnected(
        name="identity",
        inputs=3,
        outputs=3,
        activation=Activation.NONE,
        input_format=form,
        output_format=form,
        bias_format=form,
        accumulator_format=FixedFormat(32, 20),
    )
    layer = QuantisedLayer(node=node, form=Dense(values=np.eye(3, dtype=int) << 12, weight_format=FixedFormat(16, 12)), bias=[0, 0, 0])
    model = CompressedModel(graph=Graph(name="g", nodes=(node,), input_shape=(3,)), layers=(layer,))
    assert infer(model, [[5, -7, 32767]]).logits.tolist() == [[5, -7, 32767]]
