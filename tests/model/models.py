"""Small compressed models for tests."""

from functools import cache

import numpy as np

from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded, VectorCoded
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph

S16 = FixedFormat(16, 8)
WEIGHTS = FixedFormat(16, 12)
SCALES = FixedFormat(16, 12, signed=False)


def random_form(kind: str, rows: int, cols: int, density: float, rng: np.random.Generator) -> Form:
    mask = rng.random((rows, cols)) < density
    match kind:
        case "dense":
            return Dense(values=np.where(mask, rng.integers(-2000, 2000, mask.shape), 0), weight_format=WEIGHTS)
        case "scalar_coded":
            codes = np.where(mask, np.clip(np.round(rng.normal(3.5, 1.5, mask.shape)), 0, 7).astype(int), 0)
            return ScalarCoded(codes=codes, codebook=rng.integers(-4000, 4000, 8), weight_format=WEIGHTS, mask=mask)
        case "pyramid":
            pulses = np.where(mask, rng.integers(-3, 4, mask.shape), 0)
            return Pyramid(pulses=pulses, scales=rng.integers(0, 1 << 12, rows), scale_format=SCALES)
        case _:
            return VectorCoded(
                indices=rng.integers(0, 16, (2, rows * cols // 2)),
                codebooks=rng.integers(-1000, 1000, (2, 16, 2)),
                rows=rows,
                cols=cols,
                weight_format=WEIGHTS,
            )


def random_layer(name: str, form: Form, activation: Activation, rng: np.random.Generator, accumulator_bits: int = 32) -> QuantisedLayer:
    node = FullyConnected(
        name=name,
        inputs=form.cols,
        outputs=form.rows,
        activation=activation,
        input_format=S16,
        output_format=S16,
        bias_format=FixedFormat(8, 6),
        accumulator_format=FixedFormat(accumulator_bits, S16.fraction + form.weight_format.fraction),
        limit=int(rng.integers(1, 1 << 12)) if activation is Activation.CLIP else None,
    )
    return QuantisedLayer(node=node, form=form, bias=rng.integers(-128, 128, form.rows))


def random_model(
    kinds: tuple[str, ...] = ("scalar_coded",) * 3,
    sizes: tuple[int, ...] = (784, 300, 100, 10),
    densities: tuple[float, ...] = (0.03, 0.05, 0.2),
    recipe: str = "",
    options: EncodeOptions | None = None,
    seed: int = 0,
) -> CompressedModel:
    """A chain of layers of ``sizes``; the defaults are LeNet-300-100 as compressed hard."""
    rng = np.random.default_rng(seed)
    layers = []
    for index, (kind, cols, rows, density) in enumerate(zip(kinds, sizes[:-1], sizes[1:], densities, strict=True)):
        activation = Activation.RELU if index < len(kinds) - 1 else Activation.NONE
        layers.append(random_layer(f"fc{index + 1}", random_form(kind, rows, cols, density, rng), activation, rng))
    graph = Graph(name="chain", nodes=tuple(layer.node for layer in layers), input_shape=(sizes[0],))
    return CompressedModel(
        graph=graph,
        layers=tuple(layers),
        recipe_text=recipe,
        weight_source="random",
        notes={"seed": seed, "validation_error": 1.5},
        options=options or EncodeOptions(),
    )


@cache
def tiny_model(kind: str = "scalar_coded") -> CompressedModel:
    """A model of a few hundred bytes: two layers."""
    return random_model((kind, kind), (12, 8, 4), (0.3, 0.5), recipe='name = "tiny"\n')
