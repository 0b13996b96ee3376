"""Machines and networks that Hypothesis draws, as small records: what is printed of one that fails is all that it takes to run it again."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from qsim.arch.architecture import ActivationSram, Architecture, Array, PEKind, Queue, Scan, Sram
from qsim.formats.fixed import FixedFormat, IntArray
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected, Graph

MOST_COLUMNS = 40
MOST_LAYERS = 3
T = TypeVar("T")


class _Plain(HypothesisProvider):
    """Hypothesis without its habit to try numbers that stand in the project's sources: a new line anywhere would change every draw."""

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


AVAILABLE_PROVIDERS["qsim-plain"] = _Plain


@dataclass(frozen=True)
class MachineDraw:
    """What differs between machines; ``entries``: of a weight row, its logarithm to base 2; ``spare``: bits of it that nothing is in."""

    kind: str
    pes: int
    depth: int
    row_width: int
    index_bits: int
    code_bits: int
    weight_bits: int
    activation_bits: int
    accumulator_bits: int
    local_rows: int
    entries: int
    spare: int
    skip_zeros: bool
    latency: int = 1

    @property
    def machine(self) -> Architecture:
        """The machine, with memories that just hold what :func:`networks` draws for it."""
        array = Array(
            kind=PEKind(self.kind),
            pes=self.pes,
            queue=Queue(depth=self.depth, forward_latency=self.latency, return_latency=self.latency),
            code_bits=self.code_bits,
            index_bits=self.index_bits,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            accumulator_bits=self.accumulator_bits,
            local_rows=self.local_rows,
        )
        width = (array.entry_bits << self.entries) + min(self.spare, array.entry_bits - 1)
        weight_rows = -(-self.local_rows * MOST_COLUMNS >> self.entries) + MOST_LAYERS
        return Architecture(
            name="drawn",
            description="",
            clock_hz=1e8,
            node_nm=40,
            array=array,
            scan=Scan(row_width=self.row_width, skip_zeros=self.skip_zeros),
            weights=Sram(bytes=-(-weight_rows * width // 8), width_bits=width),
            pointers=Sram(bytes=2 * MOST_LAYERS * (MOST_COLUMNS + 2), width_bits=16),
            activations=ActivationSram(bytes=-(-2 * MOST_COLUMNS * self.activation_bits // (8 * self.pes))),
        )


@dataclass(frozen=True)
class LayerDraw:
    """A layer; everything that is many numbers comes from ``seed``."""

    rows: int
    pattern: str
    density: float
    values: str
    activation: str
    limit: float
    shift: int
    bias: str
    bias_bits: int
    bias_shift: int
    seed: int


@dataclass(frozen=True)
class NetworkDraw:
    """Some layers and, by their kind, its inputs."""

    columns: int
    layers: tuple[LayerDraw, ...]
    inputs: tuple[str, ...]
    seed: int


def drawn(strategy: st.SearchStrategy[T], number: int) -> T:
    """Return an example of ``strategy``, the same one for the same ``number``.

    Hypothesis begins with the simplest examples and likes to change one a little to get the next, so examples of one search have much in
    common: of each search only one is taken.
    """
    found: list[T] = []

    @seed(number)
    @settings(
        backend="qsim-plain", max_examples=8, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def take(example: T) -> None:
        found.append(example)

    take()
    return found[-1]


def machines(kind: str, most_pes: int) -> st.SearchStrategy[MachineDraw]:
    """Machines of one kind."""
    return st.builds(
        MachineDraw,
        kind=st.just(str(kind)),
        pes=st.integers(1, most_pes),
        depth=st.integers(1, 16),
        row_width=st.integers(1, 8),
        index_bits=st.sampled_from([1, 1, 2, 2, 3, 4, 5]),
        code_bits=st.integers(2, 6),
        weight_bits=st.integers(3, 20),
        activation_bits=st.integers(2, 18),
        accumulator_bits=st.one_of(st.integers(8, 20), st.integers(8, 40)),
        local_rows=st.integers(15, 40),
        entries=st.integers(0, 4),
        spare=st.integers(0, 7),
        skip_zeros=st.sampled_from([True, True, True, False]),
        latency=st.integers(1, 2),
    )


@st.composite
def networks(draw: Callable[[st.SearchStrategy[T]], T], of: MachineDraw, inputs: int) -> NetworkDraw:
    """Networks that fit ``of``: the local rows of all layers are those of the machine together."""
    count = draw(st.sampled_from([1, 1, 2, 3]))
    most = min(MOST_COLUMNS, of.pes * (of.local_rows // count))
    rows = st.one_of(st.integers(min(most, of.pes), most), st.integers(1, most), st.integers(most // 2 + 1, most), st.just(1))
    layers = tuple(draw(_layers(of, rows)) for _ in range(count))
    kinds = st.sampled_from(["any", "any", "sparse", "sparse", "extremes", "zeros", "last", "positive"])
    columns = draw(st.one_of(st.integers(1, MOST_COLUMNS), st.integers(8, MOST_COLUMNS), st.integers(20, MOST_COLUMNS), st.just(1)))
    return NetworkDraw(columns, layers, tuple(draw(kinds) for _ in range(inputs)), draw(st.integers(0, 1 << 30)))


def _layers(of: MachineDraw, rows: st.SearchStrategy[int]) -> st.SearchStrategy[LayerDraw]:
    return st.builds(
        LayerDraw,
        rows=rows,
        pattern=st.sampled_from(["random", "random", "runs", "runs", "empty columns", "one PE", "full", "nothing", "corner"]),
        density=st.sampled_from([0.03, 0.1, 0.3, 0.7, 1.0]),
        values=st.sampled_from(["any", "any", "small", "extremes"]),
        activation=st.sampled_from([str(one) for one in Activation]),
        limit=st.floats(0, 1, width=16),
        shift=st.one_of(st.integers(0, of.accumulator_bits), st.integers(-15, 62)),
        bias=st.sampled_from(["any", "extremes", "small", "zero"]),
        bias_bits=st.integers(2, min(32, of.accumulator_bits)),
        bias_shift=st.one_of(st.integers(0, 4), st.integers(0, 20)),
        seed=st.integers(0, 1 << 30),
    )


def model_of(of: MachineDraw, network: NetworkDraw) -> CompressedModel:
    """Return the network in numbers."""
    layers: list[QuantisedLayer] = []
    columns, fraction = network.columns, 0
    for number, layer in enumerate(network.layers):
        made = _layer(of, layer, f"layer{number}", columns, fraction)
        layers.append(made)
        columns, fraction = made.node.outputs, made.node.output_format.fraction
    graph = Graph(name="drawn", nodes=tuple(layer.node for layer in layers), input_shape=(network.columns,))
    return CompressedModel(graph=graph, layers=tuple(layers))


def inputs_of(of: MachineDraw, network: NetworkDraw) -> IntArray:
    """Return the inputs [n, columns] of a network."""
    rng = np.random.default_rng(network.seed)
    low, high = -(1 << (of.activation_bits - 1)), (1 << (of.activation_bits - 1)) - 1
    return np.stack([_input(rng, kind, network.columns, low, high) for kind in network.inputs])


def _input(rng: np.random.Generator, kind: str, columns: int, low: int, high: int) -> IntArray:
    values = rng.integers(low, high + 1, columns)
    match kind:
        case "extremes":
            return rng.choice([low, high, high, 0], columns)
        case "zeros":
            return np.zeros(columns, dtype=np.int64)
        case "last":
            values[:-1] = 0
        case "sparse":
            values[rng.random(columns) < 0.8] = 0
        case "positive":
            return np.maximum(values, 0)
    return values


def _layer(of: MachineDraw, draw: LayerDraw, name: str, columns: int, fraction: int) -> QuantisedLayer:
    """Return a layer whose sums have the fraction 0 at the drain, so that fractions stay small whatever the shifts."""
    rng = np.random.default_rng(draw.seed)
    form = _form(of, rng, draw, columns, -fraction)
    scaled = of.accumulator_bits + (form.scale_format.width if isinstance(form, Pyramid) else 0)
    bias_shift = min(draw.bias_shift, 61 - draw.bias_bits)
    left = min(max(0, -draw.shift), 61 - max(scaled, draw.bias_bits + bias_shift))
    most = (1 << (of.activation_bits - 1)) - 1
    clips = draw.activation == Activation.CLIP
    node = FullyConnected(
        name=name,
        inputs=columns,
        outputs=draw.rows,
        activation=Activation(draw.activation),
        limit=max(1, round(draw.limit * most)) if clips else None,
        input_format=FixedFormat(of.activation_bits, fraction),
        output_format=FixedFormat(of.activation_bits, left - max(0, draw.shift)),
        bias_format=FixedFormat(draw.bias_bits, -bias_shift),
        accumulator_format=FixedFormat(of.accumulator_bits, fraction + form.weight_format.fraction),
    )
    return QuantisedLayer(node=node, form=form, bias=_bias(rng, draw))


def _bias(rng: np.random.Generator, draw: LayerDraw) -> IntArray:
    low, high = -(1 << (draw.bias_bits - 1)), (1 << (draw.bias_bits - 1)) - 1
    match draw.bias:
        case "extremes":
            return rng.choice([low, high], draw.rows)
        case "small":
            return rng.integers(-2, 2, draw.rows)
        case "zero":
            return np.zeros(draw.rows, dtype=np.int64)
        case _:
            return rng.integers(low, high + 1, draw.rows)


def _form(of: MachineDraw, rng: np.random.Generator, draw: LayerDraw, columns: int, fraction: int) -> Form:
    """Return random weights as the machine's PE stores them, with ``fraction`` bits behind the point, those of the scales included."""
    mask = _mask(of, rng, draw, columns)
    bits = of.code_bits if of.kind == PEKind.PVQ else of.weight_bits
    legal = np.concatenate([np.arange(-(1 << (bits - 1)), 0), np.arange(1, 1 << (bits - 1))])
    near = legal[np.abs(legal) <= 3]
    chosen = {"extremes": legal[[0, -1]], "small": near}.get(draw.values, legal)
    if of.kind == PEKind.PVQ and draw.values == "any":  # mostly small: a pulse of magnitude m takes m cycles
        chosen = np.concatenate([np.tile([-1, 1], 20), legal])
    if of.kind in (PEKind.CODEBOOK, PEKind.SPARSE):
        chosen = rng.permutation(chosen)[: (1 << of.code_bits) - 1]
        codes = np.where(mask, rng.integers(0, len(chosen), mask.shape), 0)
        return ScalarCoded(codes=codes, codebook=chosen, mask=mask, weight_format=FixedFormat(of.weight_bits, fraction))
    weights = np.where(mask, rng.choice(chosen, mask.shape), 0)
    if of.kind == PEKind.DENSE:
        return Dense(values=weights, weight_format=FixedFormat(of.weight_bits, fraction))
    scale_format = FixedFormat(min(16, of.weight_bits), fraction, signed=False)
    scales = rng.integers(0, 1 << rng.integers(1, scale_format.width + 1, draw.rows))
    scales[rng.random(draw.rows) < 0.2] = scale_format.maximum
    return Pyramid(pulses=weights, scales=scales, scale_format=scale_format)


def _mask(of: MachineDraw, rng: np.random.Generator, draw: LayerDraw, columns: int) -> np.ndarray:
    """Return where weights are [rows, columns]."""
    shape = (draw.rows, columns)
    mask = rng.random(shape) < draw.density
    match draw.pattern:
        case "runs":
            return _runs(of, rng, shape)
        case "empty columns":
            mask[:, rng.random(columns) < 0.6] = False
        case "one PE":
            mask[np.arange(draw.rows) % of.pes != draw.seed % of.pes] = False
        case "full":
            mask[:] = True
        case "nothing":
            mask[:] = False
        case "corner":
            mask[:] = False
            mask[-1, -1] = True
    return mask


def _runs(of: MachineDraw, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return weights whose distances in the rows of each PE lie around what an index holds, around twice that, and so on."""
    mask = np.zeros(shape, dtype=bool)
    step = 1 << of.index_bits
    for pe in range(min(of.pes, shape[0])):
        for column in range(shape[1]):
            local = int(rng.choice([0, step - 1, step, step + 1, 2 * step, 3 * step - 1]))
            while pe + local * of.pes < shape[0]:
                mask[pe + local * of.pes, column] = True
                local += 1 + int(rng.choice([0, 1, step - 2, step - 1, step, 2 * step - 1, 2 * step]))
    return mask


KINDS = tuple(PEKind)
# Of each kind so many machines with at most so many PEs.
FULL = {2: 2, 6: 5, 16: 9}
QUICK_NETWORKS, FULL_NETWORKS = 16, 32


def machine_draws(shares: dict[int, int], number: int) -> list[MachineDraw]:
    """Return as many machines of each kind as ``shares`` says for the most PEs that they may have."""
    sizes = [(kind, most) for kind in KINDS for most, count in shares.items() for _ in range(count)]
    return [drawn(machines(kind, most), number + at) for at, (kind, most) in enumerate(sizes)]


# A draw of three machines of each kind, kept: their models are built once, whatever Hypothesis becomes.
QUICK_MACHINES = (
    MachineDraw("dense", 1, 16, 4, 4, 2, 6, 14, 16, 21, 1, 4, True),
    MachineDraw("dense", 3, 15, 8, 5, 6, 4, 15, 32, 40, 0, 3, True),
    MachineDraw("dense", 4, 13, 6, 3, 2, 20, 2, 11, 21, 3, 5, True),
    MachineDraw("codebook", 3, 16, 1, 3, 2, 5, 18, 9, 37, 3, 7, True),
    MachineDraw("codebook", 1, 10, 1, 2, 5, 9, 9, 33, 30, 0, 1, True),
    MachineDraw("codebook", 8, 13, 1, 5, 5, 5, 17, 17, 17, 3, 5, True, latency=2),
    MachineDraw("sparse", 3, 2, 1, 2, 6, 3, 9, 23, 15, 1, 2, True),
    MachineDraw("sparse", 3, 13, 2, 2, 6, 6, 10, 8, 34, 4, 3, True),
    MachineDraw("sparse", 4, 4, 4, 4, 6, 7, 11, 25, 26, 4, 7, True, latency=2),
    MachineDraw("pvq", 1, 2, 2, 2, 5, 3, 7, 18, 26, 1, 1, True),
    MachineDraw("pvq", 1, 10, 8, 4, 5, 11, 9, 9, 28, 2, 2, True),
    MachineDraw("pvq", 6, 1, 2, 1, 4, 13, 7, 15, 26, 1, 0, False),
)


def network_draws(of: MachineDraw, count: int) -> list[NetworkDraw]:
    """Return ``count`` networks for a machine."""
    strategy, first = networks(of, inputs=2), zlib.crc32(repr(of).encode())
    return [drawn(strategy, first + number) for number in range(count)]
