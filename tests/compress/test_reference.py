"""Does integer inference in PyTorch give the same bits as the numpy definition, saturation included?"""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given

from qsim.compress.reference import TorchReference
from qsim.formats.fixed import FixedFormat, IntArray
from qsim.formats.layer import Dense
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph
from qsim.sim.semantics import infer
from tests.compress.models import models_with_inputs


def one_layer(weights: list[list[int]], bias: list[int], accumulator_bits: int, output: str, relu: bool = False) -> CompressedModel:
    values = np.array(weights)
    node = FullyConnected(
        name="only", inputs=values.shape[1], outputs=values.shape[0], activation=Activation.RELU if relu else Activation.NONE,
        input_format=FixedFormat.parse("s16.0"), output_format=FixedFormat.parse(output), bias_format=FixedFormat.parse("s16.0"),
        accumulator_format=FixedFormat(accumulator_bits, 1),
    )  # fmt: skip
    form = Dense(values=values, weight_format=FixedFormat.parse("s16.1"))
    layer = QuantisedLayer(node=node, form=form, bias=np.array(bias))
    return CompressedModel(graph=Graph(name="one", nodes=(node,), input_shape=(values.shape[1],)), layers=(layer,))


@given(models_with_inputs())
def test_every_activation_has_the_same_bits(case: tuple[CompressedModel, IntArray]) -> None:
    model, inputs = case
    defined, found = infer(model, inputs), TorchReference(model).activations(inputs)
    for expected, values in zip((*defined.inputs, defined.logits), found, strict=True):
        assert values.dtype is torch.int64
        assert np.array_equal(values.numpy(), expected)


def test_saturation_depends_on_the_order() -> None:
    # Accumulator of 8 bits, -128 to 127: 100 + 100 saturates to 127, then -100 leaves 27; in the other order, 100 is exact.
    model = one_layer([[100, 100, -100], [-100, 100, 100]], [0, 0], 8, "s16.1")
    assert TorchReference(model)(np.array([[1, 1, 1]])).tolist() == [[27, 100]]


def test_rounding_is_half_up_and_bias_is_aligned() -> None:
    # Sums in halves; bias 3 is 6 halves; output in whole numbers: 11/2 -> 6, 1/2 -> 1, -3/2 -> -1.
    model = one_layer([[5], [-5], [-9]], [3, 3, 3], 32, "s16.0")
    assert TorchReference(model)(np.array([[1]])).tolist() == [[6, 1, -1]]
    assert TorchReference(one_layer([[5], [-5], [-9]], [3, 3, 3], 32, "s16.0", relu=True))(np.array([[1]])).tolist() == [[6, 1, 0]]


def test_clip_is_the_lesser_of_relu_and_limit() -> None:
    # Weights 1, -1 and 1/2 of 7 and 12: 7, -7, 3.5 and 12, -12, 6; at most 6.
    (layer,) = one_layer([[2], [-2], [1]], [0, 0, 0], 32, "s16.0").layers
    node = replace(layer.node, activation=Activation.CLIP, limit=6)
    model = CompressedModel(graph=Graph(name="one", nodes=(node,), input_shape=(1,)), layers=(replace(layer, node=node),))
    assert TorchReference(model)(np.array([[7], [12], [-5]])).tolist() == [[6, 0, 4], [6, 0, 6], [0, 5, 0]]


def test_output_saturates() -> None:
    model = one_layer([[30_000], [-30_000]], [0, 0], 32, "s16.1")
    assert TorchReference(model)(np.array([[100]])).tolist() == [[32_767, -32_768]]
