# amaranth: UnusedElaboratable=no
"""Asks whether the loader fills the memories of sparse PEs from a file's streams as the software does, and refuses what it refuses."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.lib.data import StructLayout

from qsim.arch.architecture import PEKind
from qsim.errors import MachineError, UnsupportedProgram
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel
from rtl.cursor import layer_fields
from rtl.emit import emit
from rtl.load import load_layout
from rtl.loader import EntryLoader
from rtl.packer import reciprocal
from rtl.toolchain import build_model, run_bench
from tests.rtl import loaders
from tests.rtl.layers_of_files import Case, coded, damaged, damaged_packets, edges, encoded, image_of, misplaced, random_layers
from tests.rtl.lenet import compressed

TOP = "loaders"


@pytest.fixture(scope="module")
def model(build_dir: Path) -> Path:
    return build_model(emit(loaders.Loaders, TOP, build_dir, Path(loaders.__file__).read_text()), TOP)


def run(cases: Iterable[Case], model: Path, folder: Path) -> None:
    run_json([case.to_json() for case in cases], "tests.rtl.bench_loader", model, folder)


def run_json(cases: list[dict[str, object]], bench: str, model: Path, folder: Path) -> None:
    path, layouts = folder / "cases.json", {}
    path.write_text(json.dumps(cases))
    for name, p in loaders.PARAMETERS.items():
        for kind, layout in (
            (f"load {name}", load_layout(p)),
            (f"layer {name}", StructLayout(layer_fields(p, loaders.LIMITS[name].gap_bits, loaders.LIMITS[name].count_bits))),
        ):
            layouts[kind] = {key: (field.offset, field.width) for key, field in layout}
    run_bench(model, TOP, bench, {"QSIM_CASES": str(path), "QSIM_LAYOUTS": json.dumps(layouts)}, folder)


def layer_of_size(rows: int, columns: int, density: float) -> Case:
    rng = np.random.default_rng(3)
    form = coded(rng, rng.random((rows, columns)) < density, 15)
    return Case.of(f"{rows} x {columns}", "four", form, EncodeOptions(by_column=True))


@pytest.mark.rtl
def test_random_layers(model: Path, tmp_path: Path) -> None:
    run(random_layers(seed=1, each=24), model, tmp_path)


@pytest.mark.rtl
def test_edges(model: Path, tmp_path: Path) -> None:
    run([case for unit in loaders.PARAMETERS for case in edges(unit)], model, tmp_path)


@pytest.mark.rtl
def test_damaged_layers(model: Path, tmp_path: Path) -> None:
    """Behind every refused layer a good one: the error before has left nothing."""
    rng = np.random.default_rng(2)
    whole = [case for case in random_layers(seed=5, each=8) if case.image.count > 80]
    cases = [one for case in whole for bad in (*damaged(case, rng), *misplaced(case)) for one in (bad, case)]
    judged = [case.form is not None for case in cases if ", bit " in case.name]
    assert any(judged)
    assert not all(judged)
    run(cases, model, tmp_path)


@pytest.mark.rtl
def test_a_layer_of_real_size(model: Path, tmp_path: Path) -> None:
    run([layer_of_size(300, 784, 0.08)], model, tmp_path)


@pytest.mark.rtl
def test_packets(model: Path, tmp_path: Path) -> None:
    """Sizes, tables and both streams in one stream of words; no slower than the port's docstring says."""
    cases = [*random_layers(seed=8, each=10), *(case for unit in loaders.PARAMETERS for case in edges(unit))]
    run_json([case.to_port() for case in cases], "tests.rtl.bench_port", model, tmp_path)


@pytest.mark.rtl
def test_damaged_packets(model: Path, tmp_path: Path) -> None:
    """Behind every refused packet a good one: the error before has left nothing, and what was left of its packet is gone."""
    rng = np.random.default_rng(9)
    whole = [case for case in random_layers(seed=5, each=8) if case.image.count > 80]
    cases = [one for case in whole for bad in damaged_packets(case, rng) for one in (bad, case.to_port())]
    run_json(cases, "tests.rtl.bench_port", model, tmp_path)


@pytest.mark.parametrize("pes", range(1, 70))
def test_the_reciprocal_divides_every_row(pes: int) -> None:
    rows = np.arange(1 << 14, dtype=np.int64)
    factor, shift = reciprocal(pes, 14)
    assert np.array_equal(rows * factor >> shift, rows // pes)


def test_other_layouts_are_refused_by_name() -> None:
    rng = np.random.default_rng(4)
    form = coded(rng, rng.random((40, 30)) < 0.1, 5)
    layer = encoded(form, EncodeOptions(by_column=True))
    place = 6  # of the layout in the header: form, three of the codebook's format, its size, masked
    for layout, value in ((0, "every cell"), (1, "by row")):
        header = (*layer.header[:place], layout, *layer.header[place + 1 :])
        with pytest.raises(UnsupportedProgram, match=f"layer.layout must be by column .*, not '{value}'; legal values: by column"):
            image_of(replace(layer, header=header), form.rows, form.cols, "four")


def test_what_the_decoders_do_not_hold_is_refused() -> None:
    rng = np.random.default_rng(4)
    form = coded(rng, rng.random((40, 30)) < 0.1, 5)
    with pytest.raises(UnsupportedProgram, match=r"layer\.index_bits must be at most 9, not 10"):
        image_of(encoded(form, EncodeOptions(index_bits=10, by_column=True)), 40, 30, "three")
    many = coded(rng, rng.random((40, 30)) < 0.1, 8)
    with pytest.raises(UnsupportedProgram, match="codebook must be at most 7 values"):
        image_of(encoded(many, EncodeOptions(index_bits=4, by_column=True)), 40, 30, "three")


@pytest.mark.parametrize("kind", [kind for kind in PEKind if kind is not PEKind.SPARSE])
def test_only_sparse_pes_have_a_loader(kind: PEKind) -> None:
    with pytest.raises(MachineError, match=r"parameters\.kind must be sparse, for a loader"):
        EntryLoader(replace(loaders.PARAMETERS["four"], kind=kind))


@pytest.mark.slow
@pytest.mark.rtl
def test_every_layer_of_a_real_file(model: Path, tmp_path: Path) -> None:
    """LeNet-300-100, pruned and quantised: the streams of all three layers, byte for byte as they stand in the ``.qsz``."""
    path = tmp_path / "network.qsz"
    compressed("sparse", by_column=True).save(path)
    network = CompressedModel.load(path)
    assert network.options.by_column
    assert all(stream.payload in path.read_bytes() for layer in network.encoded_layers for stream in layer.streams)
    cases = []
    for layer, stored in zip(network.layers, network.encoded_layers, strict=True):
        image = image_of(stored, layer.node.outputs, layer.node.inputs, "four")
        cases.append(Case(name=layer.node.name, unit="four", options=network.options, image=image, form=layer.form))
    run(cases, model, tmp_path)
