"""Layers and inputs for a machine: each case aims at one thing that can go wrong in the hardware."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import Architecture, PEKind
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded
from qsim.model.compressed import QuantisedLayer
from qsim.model.graph import Activation, FullyConnected


@dataclass(frozen=True)
class Case:
    """A layer and its inputs [n, columns]."""

    layer: QuantisedLayer
    inputs: np.ndarray


def coded_layer(
    machine: Architecture,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    up: int = 0,
    relu: bool = True,
    bias_shift: int = 3,
    limit: int | None = None,
) -> QuantisedLayer:
    """Return a layer of integer ``weights`` in the form of the machine's PE, whose outputs have ``up`` bits more after the point than its
    inputs. With a ``limit``, outputs are clipped.
    """
    array = machine.array
    fraction = array.activation_bits // 2
    total = fraction + array.weight_bits - 4  # of weights, or of pulses and scales
    form = form_of(machine, weights)
    node = FullyConnected(
        name="layer",
        inputs=weights.shape[1],
        outputs=len(weights),
        activation=(Activation.RELU if relu else Activation.NONE) if limit is None else Activation.CLIP,
        limit=limit,
        input_format=FixedFormat(array.activation_bits, fraction),
        output_format=FixedFormat(array.activation_bits, fraction + up),
        bias_format=FixedFormat(16, total - bias_shift),
        accumulator_format=FixedFormat(array.accumulator_bits, fraction + form.weight_format.fraction),
    )
    return QuantisedLayer(node=node, form=form, bias=bias)


def form_of(machine: Architecture, weights: np.ndarray) -> Form:
    """Return ``weights`` as the machine's PE stores them; rows of pulses have scales of all sizes."""
    array = machine.array
    weight_format = FixedFormat(array.weight_bits, array.weight_bits - 4)
    if array.kind is PEKind.DENSE:
        return Dense(values=weights, weight_format=weight_format)
    if array.kind is PEKind.PVQ:
        scale_format = FixedFormat(16, array.weight_bits - 4, signed=False)
        scales = np.random.default_rng(weights.shape).integers(0, 1 << np.arange(len(weights)) % 17)
        scales[:1] = scale_format.maximum
        return Pyramid(pulses=weights, scales=scales, scale_format=scale_format)
    codebook = np.unique(weights[weights != 0])
    mask = weights != 0
    if codebook.size == 0:
        codebook = np.array([1])
    codes = np.where(mask, np.searchsorted(codebook, weights), 0)
    return ScalarCoded(codes=codes, codebook=codebook, mask=mask, weight_format=weight_format)


@dataclass(frozen=True)
class Maker:
    """Random weights and activations for a machine."""

    machine: Architecture
    rng: np.random.Generator

    @property
    def limit(self) -> int:
        """The magnitude of the least weight, or pulse."""
        array = self.machine.array
        return 1 << ((array.code_bits if array.kind is PEKind.PVQ else array.weight_bits) - 1)

    def weights(self, rows: int, cols: int, density: float, values: np.ndarray | None = None) -> np.ndarray:
        array, limit = self.machine.array, self.limit
        if values is None and array.kind is PEKind.PVQ:  # mostly small: a pulse of magnitude m takes m cycles
            values = np.r_[np.tile([1, -1], 15), 2, -2, 3, -limit, limit - 1]
        elif values is None and array.kind is PEKind.DENSE:
            values = np.r_[-limit:limit]
        elif values is None:
            values = self.rng.choice(np.r_[-limit:0, 1:limit], (1 << array.code_bits) - 1, replace=False)
        return np.where(self.rng.random((rows, cols)) < density, self.rng.choice(values, (rows, cols)), 0)

    def inputs(self, count: int, cols: int, density: float) -> np.ndarray:
        limit = 1 << (self.machine.array.activation_bits - 1)
        values = self.rng.integers(-limit, limit, (count, cols))
        return np.where(self.rng.random((count, cols)) < density, values, 0)

    def bias(self, rows: int) -> np.ndarray:
        return self.rng.integers(-(1 << 15), 1 << 15, rows)

    def case(self, rows: int, cols: int, density: float, active: float, count: int = 2, **options: object) -> Case:
        layer = coded_layer(self.machine, self.weights(rows, cols, density), self.bias(rows), **options)
        return Case(layer, self.inputs(count, cols, active))


def typical(make: Maker) -> Case:
    """Ordinary sizes; inputs of every density, the first one all zero."""
    rows, cols = 5 * make.machine.array.pes + 1, 61
    layer = coded_layer(make.machine, make.weights(rows, cols, 0.2), make.bias(rows))
    return Case(layer, np.concatenate([make.inputs(1, cols, active) for active in (0.0, 0.05, 0.3, 0.7, 1.0)]))


def hazards(make: Maker) -> Iterator[Case]:
    """Full columns of 1 to 5 local rows: the same sum is touched again after that many cycles, across columns too."""
    pes = make.machine.array.pes
    for local in range(1, 6):
        yield make.case(local * pes, 40, 1.0, 0.9, relu=False)


def saturating(make: Maker) -> Iterator[Case]:
    """The largest products of either sign, in runs, so that sums saturate both ways and come back."""
    array = make.machine.array
    extremes = np.array([-make.limit, make.limit - 1, make.limit // 2])
    for cols in (3, 90):
        weights = make.weights(3 * array.pes, cols, 0.8, extremes)
        top = 1 << (array.activation_bits - 1)
        inputs = make.rng.choice(np.array([-top, top - 1, 0]), (3, cols))
        yield Case(coded_layer(make.machine, weights, make.bias(len(weights)), relu=False), inputs)


def lopsided(make: Maker) -> Case:
    """All weights in PE 0: its queue fills and holds up everybody."""
    pes = make.machine.array.pes
    weights = make.weights(12 * pes, 50, 0.9)
    weights[np.arange(len(weights)) % pes != 0] = 0
    return Case(coded_layer(make.machine, weights, make.bias(len(weights))), make.inputs(2, 50, 1.0))


def bursty(make: Maker) -> Case:
    """Runs of empty columns between full ones, runs of zero activations between full rows: queues fill and empty."""
    cols = 96
    weights = make.weights(8 * make.machine.array.pes, cols, 0.6)
    weights[:, (np.arange(cols) // 9) % 2 == 0] = 0
    inputs = make.inputs(2, cols, 0.9)
    inputs[:, (np.arange(cols) // 17) % 3 == 1] = 0
    return Case(coded_layer(make.machine, weights, make.bias(len(weights))), inputs)


def edges(make: Maker) -> Iterator[Case]:
    """One row, one column, no weights, one weight in the last place, one activation in the last place."""
    pes, rows = make.machine.array.pes, 3 * make.machine.array.pes
    yield make.case(1, 20, 1.0, 0.5)
    yield make.case(rows, 1, 1.0, 1.0)
    yield make.case(1, 1, 1.0, 1.0)
    yield make.case(rows, 24, 0.0, 0.5)
    corner = np.zeros((rows + pes - 1, 23), dtype=np.int64)
    corner[-1, -1] = -3
    inputs = make.inputs(2, 23, 1.0)
    inputs[1, :-1] = 0
    yield Case(coded_layer(make.machine, corner, make.bias(len(corner))), inputs)


def shifts(make: Maker) -> Iterator[Case]:
    """Requantisation to the right by little and much, none, and to the left; with and without ReLU; bias not shifted or far."""
    total = make.machine.array.weight_bits - 4
    for up, relu, bias_shift in ((-4, True, 0), (total - 1, False, 8), (total, False, 1), (total + 3, True, 0)):
        yield make.case(2 * make.machine.array.pes, 12, 0.3, 0.3, up=up, relu=relu, bias_shift=bias_shift)


def clipped(make: Maker) -> Iterator[Case]:
    """The least, a middling and the largest limit of the outputs."""
    most = (1 << (make.machine.array.activation_bits - 1)) - 1
    for limit in (1, most // 3, most):
        yield make.case(3 * make.machine.array.pes, 30, 0.5, 0.5, limit=limit)


def long_runs(make: Maker) -> Case:
    """All accumulators in use and few weights: runs longer than the index, filler entries, several in a row."""
    array = make.machine.array
    return make.case(array.local_rows * array.pes, 40, 0.02, 0.5)


def randomly(make: Maker) -> Iterator[Case]:
    """Random sizes and densities."""
    pes = make.machine.array.pes
    for _ in range(12):
        rows, cols = int(make.rng.integers(1, 10 * pes)), int(make.rng.integers(1, 120))
        yield make.case(rows, cols, float(make.rng.random() ** 2), float(make.rng.random()), relu=bool(make.rng.integers(2)))


CASES: dict[str, Callable[[Maker], Case | Iterator[Case]]] = {
    function.__name__: function
    for function in (typical, hazards, saturating, lopsided, bursty, edges, shifts, clipped, long_runs, randomly)
}


def cases_for(machine: Architecture, seed: int) -> dict[str, Case]:
    """Return every case for ``machine`` by name; a generator's cases are numbered."""
    found: dict[str, Case] = {}
    for name, function in CASES.items():
        made = function(Maker(machine, np.random.default_rng(seed)))
        if isinstance(made, Case):
            found[name] = made
        else:
            found |= {f"{name} {number}": case for number, case in enumerate(made)}
    return found
