"""Random integer networks for property tests, saturating ones included."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from qsim.formats.fixed import FixedFormat, IntArray
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph


def random_form(draw: st.DrawFn, rng: np.random.Generator, rows: int, cols: int) -> Form:
    weight_format = FixedFormat(16, draw(st.integers(0, 15)))
    match draw(st.sampled_from(["dense", "coded", "pyramid"])):
        case "dense":
            return Dense(values=rng.integers(-(1 << 15), 1 << 15, (rows, cols)), weight_format=weight_format)
        case "coded":
            mask = rng.random((rows, cols)) < 0.5
            codes = rng.integers(0, 6, (rows, cols)) * mask
            return ScalarCoded(codes=codes, codebook=rng.integers(-(1 << 15), 1 << 15, 6), weight_format=weight_format, mask=mask)
        case _:
            scale_format = FixedFormat(16, draw(st.integers(0, 20)), signed=False)
            return Pyramid(pulses=rng.integers(-40, 41, (rows, cols)), scales=rng.integers(0, 1 << 16, rows), scale_format=scale_format)


@st.composite
def models(draw: st.DrawFn) -> CompressedModel:
    """A chain of one to three layers of at most nine neurons; narrow accumulators saturate on most inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    source, layers = FixedFormat(16, 8), []
    for place, (cols, rows) in enumerate(pairwise(widths)):
        form = random_form(draw, rng, rows, cols)
        accumulator = FixedFormat(draw(st.sampled_from([18, 24, 32])), source.fraction + form.weight_format.fraction)
        total = accumulator.fraction + (form.scale_format.fraction if isinstance(form, Pyramid) else 0)
        bias_format = FixedFormat(16, min(total, draw(st.integers(0, 12))))
        output = FixedFormat(16, draw(st.integers(total - 16, total + 2)))
        activation = draw(st.sampled_from(list(Activation)))
        limit = draw(st.integers(1, output.maximum)) if activation is Activation.CLIP else None
        node = FullyConnected(
            name=f"layer{place}", inputs=cols, outputs=rows, activation=activation, limit=limit,
            input_format=source, output_format=output, bias_format=bias_format, accumulator_format=accumulator,
        )  # fmt: skip
        layers.append(QuantisedLayer(node=node, form=form, bias=rng.integers(-(1 << 15), 1 << 15, rows)))
        source = output
    graph = Graph(name="random", nodes=tuple(layer.node for layer in layers), input_shape=(widths[0],))
    return CompressedModel(graph=graph, layers=tuple(layers))


@st.composite
def models_with_inputs(draw: st.DrawFn) -> tuple[CompressedModel, IntArray]:
    """A model and a few inputs over the whole 16-bit range."""
    model = draw(models())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = rng.integers(-(1 << 15), 1 << 15, (4, model.graph.nodes[0].inputs))
    return model, inputs * (rng.random(inputs.shape) < 0.7)
