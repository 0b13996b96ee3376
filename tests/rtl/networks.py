"""A network of three layers on a small machine of odd sizes, and everything that a bench needs to run it, right and wrong."""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.array_job import array_job
from qsim.formats.coding import encode_form
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import QuantisedLayer
from qsim.sim import event, fast
from qsim.sim.lower import lower
from qsim.sim.semantics import run_layer
from qsim.verify_network import counters_of_rtl, counters_of_simulator
from rtl.counters import COUNTER_BITS, counters_layout
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.load import Unit, load_layout
from rtl.loader import StreamLimits
from rtl.network import NetworkRun, counters_of_layers
from rtl.parameters import ArrayParameters
from rtl.register import Access
from rtl.registers import register_map
from rtl.sequencer import ErrorCode
from rtl.stream_image import StreamImage
from rtl.toolchain import run_bench
from rtl.window import unit_depths
from tests.rtl.cases import Maker, coded_layer
from tests.rtl.machines import variant

# Nothing divides anything: 3 PEs, rows of 4, beats of 36 bits. 12 local rows, 64 pointers.
MACHINE = variant(
    "sparse-rtl-2",
    array__pes=3,
    array__queue__depth=2,
    array__code_bits=3,
    array__index_bits=2,
    array__weight_bits=8,
    array__activation_bits=9,
    array__accumulator_bits=20,
    array__local_rows=12,
    scan__row_width=4,
    weights__width_bits=20,
    weights__bytes=160,
    activations__bytes=64,
    pointers__bytes=128,
    pointers__width_bits=16,
)
SIZES = (14, 10, 8, 7)
INPUTS = 5


@dataclass(frozen=True)
class Network:
    """Layers and their activations: ``values[k]`` [inputs, n] goes into layer ``k``, the last are the logits."""

    layers: tuple[QuantisedLayer, ...]
    values: tuple[np.ndarray, ...]

    @property
    def parameters(self) -> ArrayParameters:
        return ArrayParameters.of(MACHINE, layers=len(self.layers))

    @property
    def jobs(self) -> list[ArrayJob]:
        return [array_job(layer, MACHINE, given[:1]) for layer, given in zip(self.layers, self.values, strict=False)]

    @property
    def streaming(self) -> ArrayParameters:
        """The parameters of an accelerator that can also take weights from their stream."""
        return dataclasses.replace(self.parameters, streamed=True)

    def packets(self) -> list[list[int]]:
        """Return each layer's weights as words of the stream of weights."""
        limits = StreamLimits(code_bits=self.parameters.code_bits)
        found = []
        for layer in self.layers:
            node = layer.node
            stored = encode_form(layer.form, layer.bias, node.bias_format, EncodeOptions(by_column=True))
            found.append(StreamImage.of(stored, node.outputs, node.inputs, limits).packet())
        return found

    def run_of(self, results: dict[str, np.ndarray], p: ArrayParameters) -> NetworkRun:
        """Return what a bench has written down (``counters`` run on from layer to layer) as a run."""
        return NetworkRun(
            logits=results["logits"],
            best=results["best"],
            counters=counters_of_layers(p, results["counters"]),
            clocks=0,
            cpu_seconds=0.0,
        )

    def run_bench(
        self, model: Path, top: str, bench: str, folder: Path, names: Sequence[str] = ("plain",), *, streaming: bool = False
    ) -> None:
        """Run a bench of an accelerator, ``streaming`` or not, in ``folder``; compare what its hosts ``names`` have written down."""
        write_vectors(self, folder / "vectors.json", streaming=streaming)
        run_bench(model, top, bench, {"QSIM_VECTORS": str(folder / "vectors.json"), "QSIM_RESULTS": str(folder)}, folder)
        for name in names:
            with np.load(folder / f"{name}.npz") as found:
                assert self.compare(self.run_of(dict(found), self.streaming if streaming else self.parameters)) > 0

    def compare(self, run: NetworkRun) -> int:
        """Assert that logits, classes and every counter of every layer are those of numpy and of both simulators; return how many."""
        np.testing.assert_array_equal(run.logits, self.values[-1])
        np.testing.assert_array_equal(run.best, np.argmax(self.values[-1], axis=1))
        compared = 0
        for index, layer in enumerate(self.layers):
            lowered = lower(layer, MACHINE)
            for number, given in enumerate(self.values[index]):
                counters = {name: values[number, index] for name, values in run.counters.items()}
                found, program = counters_of_rtl(counters, lowered), lowered.program(given)
                for simulated in (event.simulate(program), fast.simulate(program)):
                    assert found == counters_of_simulator(lowered, given, simulated)
                    compared += len(found)
        return compared


def network() -> Network:
    """Return a network whose logits have all signs; the last layer has no ReLU, one input is zero."""
    make = Maker(MACHINE, np.random.default_rng(8))
    layers = [
        coded_layer(MACHINE, make.weights(rows, columns, 0.6), make.bias(rows) // 200, up=-4, relu=rows != SIZES[-1])
        for columns, rows in itertools.pairwise(SIZES)
    ]
    values = [make.inputs(INPUTS, SIZES[0], 0.7)]
    values[0][2] = 0
    for layer in layers:
        values.append(run_layer(layer, values[-1]))
    return Network(tuple(layers), tuple(values))


def write_vectors(given: Network, path: Path, *, streaming: bool = False) -> None:
    """Write what the benches read, for an accelerator that is ``streaming`` or not."""
    p = given.streaming if streaming else given.parameters
    packer = ImagePacker(p, every_column=False)
    layout, good = load_layout(p), good_descriptors(given)
    content = {
        "layout": {name: (place.offset, place.width) for name, place in layout},
        "activation_bits": p.activation_bits,
        "row_width": p.row_width,
        "layers": p.layers,
        "counters": counters_layout(p).size // COUNTER_BITS,
        "words": [_moved(word, given.parameters, p) for word in words_of(given)],
        "rows": [packer.activation_rows(row) for row in given.values[0]],
        "outputs": [packer.activation_rows(row) for row in given.values[-1]],
        "logits": len(given.values[-1][0]),
        "best": np.argmax(given.values[-1], axis=1).tolist(),
        "descriptors": packer.words(Unit.DESCRIPTOR, good),
        "bad": [
            {"name": name, "layer": layer, "error": error.value, "word": packer.words(Unit.DESCRIPTOR, [value], start=layer)[0]}
            for name, layer, error, value in bad_descriptors(given)
        ],
    }
    if streaming:
        flag = p.descriptor["streamed"].offset
        content["streamed"] = packer.words(Unit.DESCRIPTOR, [value | 1 << flag for value in good])
        content["packets"] = given.packets()
    content["registers"] = [
        {
            "name": register.name,
            "offset": offset,
            "readable": register.readable,
            "writable": register.writable,
            "constant": sum(field.mask for field in register.fields if field.access is Access.CONSTANT) | ~register.mask & 0xFFFFFFFF,
            "kept": sum(field.mask for field in register.fields if field.access is Access.READ_WRITE),
            "reset": register.reset,
        }
        for register in register_map(p)
        for offset in register.offsets()
    ]
    content["depths"] = {unit.value: depth for unit, depth in unit_depths(p).items()}
    path.write_text(json.dumps(content))


def words_of(given: Network) -> list[int]:
    """Return the words of the load bus of an accelerator that does not stream weights."""
    rows = ImagePacker(given.parameters, every_column=False).network_words(given.jobs)
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def _moved(word: int, of: ArrayParameters, to: ArrayParameters) -> int:
    """Return the same word on the load bus of another accelerator."""
    moved = 0
    for name, place in load_layout(of):
        moved |= ((word >> place.offset) & ((1 << place.width) - 1)) << load_layout(to)[name].offset
    return moved


def good_descriptors(given: Network) -> list[int]:
    """Return the data of the network's descriptors."""
    layout, bits = load_layout(given.parameters), given.parameters.descriptor.size
    chosen = [word for word in words_of(given) if word & 15 == Unit.DESCRIPTOR.value]
    return [(word >> layout["data"].offset) & ((1 << bits) - 1) for word in chosen]


def bad_descriptors(given: Network) -> Iterator[tuple[str, int, ErrorCode, int]]:
    """Yield name, layer, error and data of descriptors with one flaw, in the first, a middle and the last layer."""
    p = given.parameters
    assert (p.columns, p.local_rows, p.activation_rows, 2 * p.pointer_pairs) == (63, 12, 16, 64)
    flaws: dict[str, tuple[ErrorCode, dict[str, int]]] = {
        "no rows to scan": (ErrorCode.ILLEGAL_DESCRIPTOR, {"scan_rows": 0}),
        "no columns": (ErrorCode.ILLEGAL_DESCRIPTOR, {"columns": 0}),
        "columns beyond the rows": (ErrorCode.ILLEGAL_DESCRIPTOR, {"scan_rows": 2, "columns": 9}),
        "a row without columns": (ErrorCode.ILLEGAL_DESCRIPTOR, {"scan_rows": 3, "columns": 8}),
        "no rows to drain": (ErrorCode.ILLEGAL_DESCRIPTOR, {"drain_rows": 0}),
        "no PE with all rows": (ErrorCode.ILLEGAL_DESCRIPTOR, {"full_pes": 0, "drain_rows": 3, "outputs": 6}),
        "one output too many": (ErrorCode.ILLEGAL_DESCRIPTOR, {"full_pes": 2, "drain_rows": 3, "outputs": 9}),
        "results not stored": (ErrorCode.ILLEGAL_DESCRIPTOR, {"store": 0}),
        "odd first pointer": (ErrorCode.ILLEGAL_DESCRIPTOR, {"column_base": 1}),
        "more rows than the memory has": (ErrorCode.TOO_LARGE, {"scan_rows": 17, "columns": 66}),
        "more columns than pointers": (ErrorCode.TOO_LARGE, {"scan_rows": 16, "columns": 64, "column_base": 0}),
        "more local rows than sums": (ErrorCode.TOO_LARGE, {"drain_rows": 13, "full_pes": 3, "outputs": 39, "row_base": 0}),
        "biases beyond the memory": (ErrorCode.TOO_LARGE, {"drain_rows": 3, "full_pes": 2, "outputs": 8, "row_base": 10}),
        "pointers beyond the memory": (ErrorCode.TOO_LARGE, {"scan_rows": 4, "columns": 14, "column_base": 50}),
    }
    good = good_descriptors(given)
    for number, (name, (error, fields)) in enumerate(flaws.items()):
        layer = number % len(good)
        value = good[layer]
        for field, content in fields.items():
            place = p.descriptor[field] if field == "outputs" else p.layer[field]
            value = value & ~(((1 << place.width) - 1) << place.offset) | content << place.offset
        yield name, layer, error, value
    last = p.descriptor["last"]
    yield "no last layer", len(good) - 1, ErrorCode.NO_LAST, good[-1] & ~(1 << last.offset)
