"""Is a layer with clip exact by hand, kept in its file with its limit, and every impossible limit refused?"""

from dataclasses import replace

import pytest

from qsim.errors import FieldError, FileFormatError
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph
from qsim.model.graph_file import describe_graph
from qsim.sim.semantics import infer
from tests.model.test_compressed import rebuild, take_apart

S16 = FixedFormat(16, 0)
NODE = FullyConnected(
    name="fc", inputs=1, outputs=3, activation=Activation.CLIP, limit=6, input_format=S16, output_format=S16, bias_format=S16,
    accumulator_format=FixedFormat(32, 1),
)  # fmt: skip


def model_of(node: FullyConnected) -> CompressedModel:
    layer = QuantisedLayer(node=node, form=Dense(values=[[2], [-2], [1]], weight_format=FixedFormat(16, 1)), bias=[0, 0, 0])
    return CompressedModel(graph=Graph(name="clipped", nodes=(node,), input_shape=(1,)), layers=(layer,))


@pytest.mark.parametrize(
    ("value", "outputs"),
    [
        (5, [5, 0, 3]),  # weights 1, -1 and 1/2; a half rounds up
        (6, [6, 0, 3]),
        (7, [6, 0, 4]),
        (-7, [0, 6, 0]),
        (12, [6, 0, 6]),
        (13, [6, 0, 6]),
        (32767, [6, 0, 6]),
        (-32768, [0, 6, 0]),
    ],
)
def test_clip_is_the_lesser_of_relu_and_limit(value: int, outputs: list[int]) -> None:
    assert infer(model_of(NODE), [[value]]).logits.tolist() == [outputs]


@pytest.mark.parametrize("limit", [1, 6, 32767])
def test_the_limit_is_kept_in_the_file(limit: int) -> None:
    model = model_of(replace(NODE, limit=limit))
    loaded = CompressedModel.from_bytes(model.data)
    assert loaded.graph == model.graph
    assert loaded.data == model.data


@pytest.mark.parametrize("activation", Activation)
def test_only_a_layer_with_clip_has_a_seventh_item(activation: Activation) -> None:
    clips = activation is Activation.CLIP
    node = replace(NODE, activation=activation, limit=6 if clips else None)
    (described,) = describe_graph(Graph(name="g", nodes=(node,), input_shape=(1,)))[3]
    code = {Activation.NONE: 0, Activation.RELU: 1, Activation.CLIP: 2}[activation]
    assert described == ["fc", 3, code, "s16.0", "s16.0", "s32.1"] + [6] * clips


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"limit": None}, "fc.limit must be an integer from 1 to 32767, the largest output, not None"),
        ({"limit": 0}, "fc.limit must be an integer from 1 to 32767, the largest output, not 0"),
        ({"limit": 32768}, "fc.limit must be an integer from 1 to 32767, the largest output, not 32768"),
        ({"limit": True}, "fc.limit must be an integer from 1 to 32767, the largest output, not True"),
        ({"limit": 6.0}, "fc.limit must be an integer from 1 to 32767, the largest output, not 6.0"),
        ({"activation": Activation.RELU}, "fc.limit must be None without clip, not 6"),
        ({"activation": Activation.NONE}, "fc.limit must be None without clip, not 6"),
    ],
)
def test_impossible_limits_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FieldError) as found:
        replace(NODE, **fields)
    assert str(found.value) == message


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([2, "s16.0", "s16.0", "s32.1"], "limit must be present"),
        ([2, "s16.0", "s16.0", "s32.1", 0], "limit must be an integer from 1 to 32767, not 0"),
        ([2, "s16.0", "s16.0", "s32.1", 1 << 15], "limit must be an integer from 1 to 32767, not 32768"),
        ([2, "s8.0", "s16.0", "s32.1", 128], "limit must be an integer from 1 to 127, not 128"),
        ([2, "s16.0", "s16.0", "s32.1", 6.0], "limit must be an integer from 1 to 32767, not 6.0"),
        ([2, "s16.0", "s16.0", "s32.1", None], "limit must be an integer from 1 to 32767, not None"),
        ([2, "s16.0", "s16.0", "s32.1", 6, 6], "must be a list of 7 items, not 8"),
        ([1, "s16.0", "s16.0", "s32.1", 6], "must be a list of 6 items, not 7"),
        ([3, "s16.0", "s16.0", "s32.1", 6], "activation must be an integer from 0 to 2, not 3"),
    ],
)
def test_a_hostile_layer_is_refused_by_name(items: list[object], message: str) -> None:
    metadata, payload = take_apart(model_of(NODE).data)
    metadata[3] = [["fc", 3, *items]]
    with pytest.raises(FileFormatError) as found:
        CompressedModel.from_bytes(rebuild(metadata, payload))
    assert message in str(found.value)
