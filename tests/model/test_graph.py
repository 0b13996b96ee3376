"""Whether a graph refuses layers that do not fit together."""

import itertools
from dataclasses import replace

import pytest

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat, Overflow, Rounding
from qsim.model.graph import Activation, FullyConnected, Graph

S16 = FixedFormat(16, 8)


def layer(name="a", inputs=6, outputs=4):
    return FullyConnected(
        name=name,
        inputs=inputs,
        outputs=outputs,
        activation=Activation.RELU,
        input_format=S16,
        output_format=S16,
        bias_format=FixedFormat(8, 4),
        accumulator_format=FixedFormat(32, 20),
    )


def test_parameters_of_lenet_300_100():
    # LeCun et al. 1998; Han et al. 2016 print 266K.
    sizes = (784, 300, 100, 10)
    nodes = tuple(layer(f"fc{i}", n, m) for i, (n, m) in enumerate(itertools.pairwise(sizes)))
    assert Graph(name="lenet", nodes=nodes, input_shape=(28, 28)).parameters == 266_610


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ((), (6,), "at least one layer"),
        ((layer(), layer()), (6,), "layers of distinct names"),
        ((layer(),), (7,), "the shape of 6 inputs"),
        ((layer(), layer("b", 5)), (6,), "b.inputs must be 4, as a gives"),
        ((layer(), replace(layer("b", 4), input_format=FixedFormat(16, 9))), (6,), "b.input_format must be s16.8"),
    ],
)
def test_impossible_graphs_are_refused(nodes, shape, message):
    with pytest.raises(FieldError) as caught:
        Graph(name="g", nodes=nodes, input_shape=shape)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "a.inputs must be at least 1"),
        ({"activation": "relv"}, "did you mean 'relu'"),
        ({"bias_format": FixedFormat(8, 4, rounding=Rounding.FLOOR)}, "a.bias_format must be rounding half up"),
        ({"output_format": FixedFormat(8, 4, overflow=Overflow.WRAP)}, "a.output_format must be rounding half up"),
        ({"accumulator_format": FixedFormat(32, 20, signed=False)}, "a.accumulator_format must be signed"),
    ],
)
def test_impossible_layers_are_refused(change, message):
    with pytest.raises(FieldError) as caught:
        replace(layer(), **change)
    assert message in str(caught.value)
