"""Random integer networks with convolutions and pools, and what they compute, written out loop by loop."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from qsim.formats.fixed import FixedFormat, IntArray
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation, Convolution, Graph, MaxPool
from tests.model.models import S16, random_form, random_layer

BIAS = FixedFormat(8, 6)


@st.composite
def geometries(draw: st.DrawFn, *, groups: tuple[int, ...] = (1, 2, 3), most_padding: int = 2) -> ImageGeometry:
    """Small windows with every feature: padding per side, stride, dilation, groups; the image is at least as large as a window."""
    group = draw(st.sampled_from(groups))
    kernel, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    least = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
    return ImageGeometry(
        height=draw(st.integers(least[0], least[0] + 4)), width=draw(st.integers(least[1], least[1] + 4)),
        channels=group * draw(st.integers(1, 3)), kernel=kernel, stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(*[st.integers(0, most_padding)] * 4)), dilation=dilation, groups=group,
    )  # fmt: skip


def random_convolution(
    name: str, geometry: ImageGeometry, kind: str, rng: np.random.Generator, accumulator_bits: int = 32
) -> QuantisedLayer:
    """A convolution with one to three output channels a group and weights of the storage form ``kind``."""
    out_channels = geometry.groups * int(rng.integers(1, 4))
    kind = "dense" if kind == "vector_coded" and geometry.columns % 2 else kind
    form = random_form(kind, out_channels, geometry.columns, 0.6, rng)
    activation = list(Activation)[int(rng.integers(3))]
    node = Convolution(
        name=name, geometry=geometry, out_channels=out_channels, activation=activation, input_format=S16, output_format=S16,
        bias_format=BIAS, accumulator_format=FixedFormat(accumulator_bits, S16.fraction + form.weight_format.fraction),
        limit=int(rng.integers(1, 1 << 12)) if activation is Activation.CLIP else None,
    )  # fmt: skip
    return QuantisedLayer(node=node, form=form, bias=rng.integers(-128, 128, out_channels))


@st.composite
def convolutional_models(draw: st.DrawFn, kind: str = "scalar_coded", accumulator_bits: tuple[int, ...] = (20, 24, 32)) -> CompressedModel:
    """Convolution, pool, convolution, fully connected; narrow accumulators saturate on most inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = random_convolution("conv1", draw(geometries()), kind, rng, draw(st.sampled_from(accumulator_bits)))
    height, width, channels = first.node.output_shape
    window = (min(2, height), min(2, width))
    pooled = ImageGeometry(height=height, width=width, channels=channels, kernel=window, stride=window)
    pool = MaxPool(name="pool1", geometry=pooled, input_format=S16)
    height, width, channels = pool.output_shape
    last = ImageGeometry(height=height, width=width, channels=channels, kernel=(2, 2), padding=(1, 1, 0, 1))
    second = random_convolution("conv2", last, kind, rng, draw(st.sampled_from(accumulator_bits)))
    form = random_form("dense", 3, second.node.outputs, 0.5, rng)
    third = random_layer("fc", form, Activation.NONE, rng, draw(st.sampled_from(accumulator_bits)))
    nodes = (first.node, pool, second.node, third.node)
    graph = Graph(name="convolutional", nodes=nodes, input_shape=first.node.geometry.input_shape)
    return CompressedModel(graph=graph, layers=(first, second, third))


def accumulators_by_hand(layer: QuantisedLayer, image: IntArray) -> list[list[int]]:
    """The accumulators [pixels][out_channels] of one flat image: direct convolution in Python integers, saturating at each addition."""
    node, weights = layer.node, layer.form.reconstruct().tolist()
    geometry, form = node.geometry, node.accumulator_format
    picture = image.reshape(geometry.input_shape).tolist()
    own, filters = geometry.channels // geometry.groups, node.out_channels // geometry.groups
    found = []
    for oy, ox in product(range(geometry.output_height), range(geometry.output_width)):
        sums = [0] * node.out_channels
        for out in range(node.out_channels):
            taps = product(range(geometry.kernel[0]), range(geometry.kernel[1]), range(own))
            for column, (ky, kx, c) in enumerate(taps):
                y = oy * geometry.stride[0] + ky * geometry.dilation[0] - geometry.padding[0]
                x = ox * geometry.stride[1] + kx * geometry.dilation[1] - geometry.padding[1]
                if 0 <= y < geometry.height and 0 <= x < geometry.width:
                    value = picture[y][x][out // filters * own + c]
                    sums[out] = min(max(sums[out] + weights[out][column] * value, form.minimum), form.maximum)
        found.append(sums)
    return found
