"""Asks whether networks whose weights come compressed, layer by layer, give the same bits and cycles as preloaded ones, in less memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.presets import MACHINES as PRESETS
from qsim.array_job import array_job
from qsim.build import build
from qsim.errors import MachineError, UnsupportedProgram
from qsim.formats.coding import encode_form
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.progress import silent
from qsim.sim.semantics import infer, run_layer
from qsim.verify_network import verify_network
from rtl.emit import emit
from rtl.image import ImagePacker
from rtl.loader import StreamLimits
from rtl.network import run_network
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.stream_image import StreamImage
from rtl.toolchain import build_model, run_bench
from rtl.top import Accelerator
from tests.rtl.cases import Maker, coded_layer
from tests.rtl.lenet import compressed
from tests.rtl.port_simulation import image_of, most_cycles, preloaded, streamed
from workloads.mnist import load_test

pytestmark = pytest.mark.rtl

BY_COLUMN = EncodeOptions(by_column=True)
SMALL = PRESETS["sparse-rtl-2"].replace("array.local_rows", 40).replace("weights.bytes", 256).replace("activations.bytes", 128)
TOP = "streamed"


def test_a_real_network_in_less_memory(build_dir: Path) -> None:
    """Weight and pointer memories that only hold the largest layer."""
    model = compressed("sparse", by_column=True)
    fewer_weights = PRESETS["sparse-rtl-4"].replace("weights.bytes", 5376)
    machine = fewer_weights.replace("pointers.bytes", 2048)
    images = load_test().images[:3].astype(np.int64)
    expected = infer(model, images)
    jobs = [array_job(layer, machine, given) for layer, given in zip(model.layers, expected.inputs, strict=True)]
    with pytest.raises(UnsupportedProgram, match="weights of a PE must be at most 5376"):
        run_network(fewer_weights, jobs, images, build_dir)
    with pytest.raises(UnsupportedProgram, match="pointers of a PE must be at most 1024"):
        run_network(PRESETS["sparse-rtl-4"].replace("pointers.bytes", 2048), jobs, images, build_dir)
    run = run_network(machine, jobs, images, build_dir, streams=model.encoded_layers)
    check = verify_network(model, machine, images, build_dir=build_dir, streamed=True)
    assert check.agree and check.inputs == len(images) and check.cycles == int(run.counters["cycles"].sum())
    p = ArrayParameters.of(machine, layers=3, streamed=True)
    loading = run.counters["loading"]
    assert np.all(loading == loading[0])
    for number, (job, stored) in enumerate(zip(jobs, model.encoded_layers, strict=True)):
        image = image_of(job, stored, p)
        assert image.count <= loading[0, number] <= most_cycles(image, job, p)
    assert np.all(run.counters["setup"] > loading)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "machine"), [("smallest", "sparse-rtl-8"), ("deep-compression", "sparse-6b-rtl-8")])
def test_every_layer_of_the_recipes_files(recipe: str, machine: str, files_dir: Path) -> None:
    """Word for word what the host would write, from the bytes of the file encoded by column."""
    model = CompressedModel.load(build("lenet-300-100", recipe, cache=files_dir, progress=silent).path)
    p = ArrayParameters.of(PRESETS[machine], layers=3, streamed=True)
    stored = replace(model, options=replace(model.options, by_column=True)).encoded_layers
    for layer, encoded in zip(model.layers, stored, strict=True):
        job = array_job(layer, PRESETS[machine], np.zeros((1, layer.node.inputs), dtype=np.int64))
        image = image_of(job, encoded, p)
        words, cycles = streamed(image, p)
        assert words == preloaded(job, ArrayParameters.of(PRESETS[machine]))
        assert cycles <= most_cycles(image, job, p)


class Small:
    """A network of two layers on a small machine, and what may happen to its stream."""

    def __init__(self) -> None:
        self.p = ArrayParameters.of(SMALL, layers=2, streamed=True)
        self.limits, make = StreamLimits(code_bits=self.p.code_bits), Maker(SMALL, np.random.default_rng(6))
        self.dense = coded_layer(SMALL, make.weights(20, 30, 1.0), make.bias(20))
        self.layers = [
            coded_layer(SMALL, make.weights(20, 30, 0.3), make.bias(20)),
            coded_layer(SMALL, make.weights(9, 20, 0.4), make.bias(9)),
        ]
        self.inputs = make.inputs(1, 30, 0.6)
        between = run_layer(self.layers[0], self.inputs)
        self.outputs = run_layer(self.layers[1], between)
        self.jobs = [array_job(layer, SMALL, given) for layer, given in zip(self.layers, (self.inputs, between), strict=True)]

    def image(self, layer: QuantisedLayer) -> StreamImage:
        stored = encode_form(layer.form, layer.bias, layer.node.bias_format, BY_COLUMN)
        return StreamImage.of(stored, layer.node.outputs, layer.node.inputs, self.limits)

    def rows(self, values: np.ndarray) -> list[int]:
        rows = ImagePacker(self.p, every_column=False).activation_rows(values)
        return [row | (place == len(rows) - 1) << (self.p.row_width * self.p.activation_bits) for place, row in enumerate(rows)]

    def cases(self) -> Iterator[dict[str, object]]:
        first, second = (self.image(layer).packet() for layer in self.layers)
        streams = next(place for place in range(len(first)) if first[place:] == self.image(self.layers[0]).streams)
        swapped = [*first[:streams], first[streams] ^ 0xFFFFFFFF, *first[streams + 1 :]]
        yield case("good", [first, second])
        yield case("words swapped", [swapped], ErrorCode.DECODER)
        yield case("ends early", [first[:-1]], ErrorCode.WEIGHTS_END_EARLY)
        yield case("ends late", [[*first, 0]], ErrorCode.WEIGHTS_END_LATE)
        yield case("second layer ends early", [first, second[:9]], ErrorCode.WEIGHTS_END_EARLY, layer=1)
        yield case("second layer lies", [first, [second[0], second[1] + 1, *second[2:]]], ErrorCode.DECODER, layer=1)
        yield case("too many weights", [self.image(self.dense).packet()], ErrorCode.TOO_LARGE)
        yield case("never ends", [first], ErrorCode.TIMEOUT, timeout=1500, reset=True) | {"words": first[:-5]}
        yield case("nothing comes", [], ErrorCode.TIMEOUT, timeout=1500)
        for moment in (60, 90, 250):
            yield case(f"aborted after {moment}", [first, second], ErrorCode.ABORTED, abort=moment)

    def to_json(self) -> str:
        words = ImagePacker(self.p, every_column=False).network_words(self.jobs)
        load = [int.from_bytes(word.tobytes(), "little") for word in words]
        rows = {"rows": self.rows(self.inputs[0]), "outputs": self.rows(self.outputs[0])}
        return json.dumps({"load": load, "cases": list(self.cases())} | rows)


def case(
    name: str,
    packets: list[list[int]],
    error: ErrorCode = ErrorCode.NONE,
    *,
    layer: int = 0,
    timeout: int = 0,
    abort: int = 0,
    reset: bool = False,
) -> dict[str, object]:
    words = [word | (place == len(packet) - 1) << 32 for packet in packets for place, word in enumerate(packet)]
    return {"name": name, "words": words, "error": error.value, "layer": layer, "timeout": timeout, "abort": abort, "reset": reset}


def test_damaged_streams_end_with_their_code(build_dir: Path, tmp_path: Path) -> None:
    """And the next run is good, behind the dropped rest of the packet or an abort."""
    small, path = Small(), tmp_path / "cases.json"
    path.write_text(small.to_json())
    verilog = emit(lambda: Accelerator(small.p), TOP, build_dir, repr(small.p))
    run_bench(build_model(verilog, TOP), TOP, "tests.rtl.bench_streamed", {"QSIM_CASES": str(path)}, tmp_path)


def test_streams_of_another_network_are_refused(build_dir: Path) -> None:
    small = Small()
    other = [encode_form(layer.form, layer.bias, layer.node.bias_format, BY_COLUMN) for layer in (small.dense, small.layers[1])]
    with pytest.raises(UnsupportedProgram, match="streams must be the layers of the jobs"):
        run_network(SMALL, small.jobs, small.inputs, build_dir, streams=other)


def test_streamed_weights_are_for_networks_on_sparse_pes() -> None:
    p = ArrayParameters.of(SMALL, layers=2)
    for fields in ({"layers": 0, "pointers": 0}, {"kind": PRESETS["dense-rtl-4"].array.kind}):
        with pytest.raises(MachineError, match=r"parameters\.streamed must be false but for networks on sparse PEs"):
            replace(p, streamed=True, **fields)
