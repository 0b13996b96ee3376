"""Question: does `qsim estimate` run a whole network, say what is synthetic and what is left out, and refuse mistakes in one line?"""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qsim.results import load_runs
from tests.cli.conftest import Command


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution with ReLU, a fully connected layer."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((4, 2, 3, 3)).astype(np.float32), "v": rng.standard_normal((64, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "v"], ["y"], name="fc"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 4, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()])
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_file_on_given_images_becomes_runs_that_can_be_reported(model: Path, tmp_path: Path, qsim: Command) -> None:
    images, out = tmp_path / "images.npz", tmp_path / "run.json"
    np.savez(images, x=np.random.default_rng(1).standard_normal((3, 2, 4, 4)).astype(np.float32))
    words = ["--dim", "N=1", "--input", images, "--keep", "0.5", "--keep", "fc=0.25", "--bits", "3"]
    status, text, errors = qsim("estimate", model, *words, "-m", "sparse-layer-dram", "-m", "dense-16b-layer-dram", "--out", out)
    assert status == 0, errors
    assert "sparse-layer-dram" in text
    runs = load_runs(out)
    assert [len(run.inputs) for run in runs] == [3, 3]
    assert [layer[0].name for layer in runs[0].layers] == ["conv", "fc"]
    assert "inference on 3 of images.npz" in runs[0].weight_source
    assert "accuracy not measured" in runs[0].weight_source
    # Half of 72 and a quarter of 192 weights kept: no pixel can issue more products.
    assert all(image.macs <= 36 * 16 for image in runs[0].layers[0])
    assert all(image.macs <= 48 for image in runs[0].layers[1])
    assert qsim("report", out, "--out", tmp_path / "report")[0] == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_inputs_that_are_no_npz_file_are_one_line(content: bytes, model: Path, tmp_path: Path, qsim: Command) -> None:
    (tmp_path / "in.npz").write_bytes(content)
    status, _, err = qsim("estimate", model, "--dim", "N=1", "--input", tmp_path / "in.npz")
    assert status == 2
    assert "in.npz is not an .npz file" in " ".join(err.split())


@pytest.mark.parametrize(("value", "told"), [(np.nan, "finite numbers"), (np.inf, "finite numbers"), ("a", "array of numbers")])
def test_inputs_that_are_no_finite_numbers_are_refused(value: object, told: str, model: Path, tmp_path: Path, qsim: Command) -> None:
    np.savez(tmp_path / "in.npz", x=np.full((1, 2, 4, 4), value))
    status, _, err = qsim("estimate", model, "--dim", "N=1", "--input", tmp_path / "in.npz")
    assert status == 2
    assert told in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ese-lstm", "--dim", "N=1"), "--dim must be absent"),
        (("{model}", "--dim", "N=1", "--images", "0:2"), "together with --data"),
        (("{model}", "--dim", "N=1", "--normalise", "imagenet"), "together with --data"),
        (("{model}", "--dim", "N=1", "--seed", "-1"), "-1 is not in the range"),
        (("{model}", "--dim", "N=100000000000"), "of at most 268,435,456 elements"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: tuple[str, ...], told: str, model: Path, qsim: Command) -> None:
    status, _, err = qsim("estimate", *(word.format(model=model) for word in words))
    assert status == 2
    assert told in " ".join(err.split())


def test_a_network_by_name_is_labelled_synthetic(qsim: Command) -> None:
    status, text, _ = qsim("estimate", "ese-lstm", "--density", "0.5", "--json")
    assert status == 0
    assert "SYNTHETIC weights" in json.loads(text)["weights"]
    assert "density 0.5 stated" in json.loads(text)["weights"]


def test_the_table_says_synthetic_weights_and_only_of_those(model: Path, tmp_path: Path, qsim: Command) -> None:
    """On standard output, of a network by name, of the file that it was stored in, and where runs are compared; not of an ONNX file."""
    words = ("--density", "0.5", "--save", tmp_path / "lstm.qsn", "--out", tmp_path / "lstm.json")
    status, text, errors = qsim("estimate", "ese-lstm", *words)
    assert status == 0, errors
    assert "SYNTHETIC weights: ese-lstm. One inference" in text
    assert "SYNTHETIC weights: ese-lstm." in qsim("estimate", tmp_path / "lstm.qsn", "--density", "0.5")[1]
    status, text, errors = qsim("estimate", model, "--dim", "N=1", "--out", tmp_path / "small.json")
    assert status == 0, errors
    assert "SYNTHETIC" not in text
    assert "SYNTHETIC input" in errors
    assert "SYNTHETIC weights: ese-lstm. One inference" in qsim("compare", tmp_path / "small.json", tmp_path / "lstm.json")[1]


def test_operands_of_run_time_and_what_is_not_simulated_are_said(qsim: Command, tmp_path: Path) -> None:
    """Four products of 64 * 64 * 128 MACs: pyramid-vector PEs cannot store operands at run time, sparse ones write 64 * 128 bytes each."""
    out, report = tmp_path / "run.json", tmp_path / "report"
    words = ("estimate", "transformer-encoder", "-m", "sparse-layer-dram", "-m", "pvq-layer-dram")
    status, text, _ = qsim(*words, "--json", "--out", out)
    assert status == 0
    sparse, pvq = json.loads(text)["runs"]
    none = dict.fromkeys(("products", "macs", "bytes", "dram_bytes"), 0)
    assert (sparse["not_simulated"], pvq["run_time_operands"]) == ([], none)
    assert sparse["run_time_operands"] == {"products": 4, "macs": 4 * 64 * 64 * 128, "bytes": 4 * 64 * 128, "dram_bytes": 8 * 64 * 128}
    names = [f"layer{number}.{part}, 524,288 MACs" for number in (1, 2) for part in ("scores", "mixed")]
    assert [gap.partition(" (")[0] for gap in pvq["not_simulated"]] == names
    first, second = load_runs(out)
    assert "4 products of two activations, 2,097,152 MACs: operands of 32,768 bytes" in first.weight_source
    assert "written at run time, rounded to 4-bit levels, no bytes of the file" in first.weight_source
    assert "NOT simulated beside" in second.weight_source
    text = " ".join(qsim(*words)[1].split())
    assert "pvq-layer-dram: NOT simulated: layer1.scores, 524,288 MACs" in text
    assert "Operands: written at run time, no bytes of the file." in text
    assert "sparse-layer-dram: 4 products of two activations, 2,097,152 MACs: operands of 32,768 bytes written at run time" in text
    assert qsim("report", out, "--out", report)[0] == 0
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "Written at run time" in page
    assert "pvq-layer-dram: not simulated: layer1.scores, 524,288 MACs" in page
    assert "layer1.scores,,written at run time,byte,8192.0" in (report / "data.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vgg-17"], "did you mean 'vgg-16'?"),
        (["ese-lstm", "--keep", "half"], "--keep must be like 0.3 or conv1=0.3"),
        (["ese-lstm", "--keep", "fc9=0.3"], "densities must be layers of the network"),
        (["ese-lstm", "--density", "2"], "activation density must be 0 to 1"),
        (["ese-lstm", "--keep", "0"], "density must be above 0, at most 1"),
        (["ese-lstm", "--bits", "40"], "bits must be 1 to 16"),
        (["ese-lstm", "--input", "no.npz", "--density", "0.5"], "--input, --data and --density must be one of them"),
        (["ese-lstm", "--input", "no.npz"], "no.npz is not an .npz file"),
    ],
)
def test_a_mistake_ends_in_one_line(words: list[str], message: str, qsim: Command) -> None:
    status, _, errors = qsim("estimate", *words)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors


def test_inputs_of_another_shape_are_refused(model: Path, tmp_path: Path, qsim: Command) -> None:
    images = tmp_path / "images.npz"
    np.savez(images, x=np.zeros((3, 5), dtype=np.float32))
    status, _, errors = qsim("estimate", model, "--dim", "N=1", "--input", images)
    assert status == 2
    assert "images.npz.x must be of shape [1, 2, 4, 4], or several of them" in errors


@pytest.fixture
def stored(model: Path, tmp_path: Path, qsim: Command) -> Path:
    """The network of :func:`model` with half of its weights, as a file; the run that wrote it beside it."""
    words = ("--dim", "N=1", "--keep", "0.5", "--save", tmp_path / "net.qsn", "--out", tmp_path / "first.json")
    status, _, errors = qsim("estimate", model, *words)
    assert status == 0, errors
    return tmp_path / "net.qsn"


def test_a_stored_network_runs_as_it_was_stored(stored: Path, tmp_path: Path, qsim: Command) -> None:
    """The same cycles, counts, energy and file again, to the bit; requantising a codebook would move its values."""
    words = ("--save", tmp_path / "again.qsn", "--out", tmp_path / "second.json")
    status, _, errors = qsim("estimate", stored, *words)
    assert status == 0, errors
    assert (tmp_path / "again.qsn").read_bytes() == stored.read_bytes()
    (first,), (second,) = load_runs(tmp_path / "first.json"), load_runs(tmp_path / "second.json")
    assert (second.layers, second.energy, second.model, second.file_bytes) == (first.layers, first.energy, first.model, first.file_bytes)
    assert (second.recipe.name, second.float_bytes) == ("as stored", 4 * (72 + 192))
    assert "small.onnx" in second.weight_source


@pytest.mark.parametrize(
    ("words", "recipe", "most"),
    [
        (("-m", "dense-16b-layer-dram"), "post-training, density 1, codes as wide as the machine's", None),
        (("--keep", "fc=0.25"), "1 of 2 matrices as stored, the others: post-training, densities by layer, 1 elsewhere", 48),
        (("--bits", "2"), "post-training, density 1, 2-bit codes", None),
        (("--bits", "6"), "as stored", None),
    ],
)
def test_a_stored_matrix_that_does_not_serve_is_quantised_again(
    words: tuple[str, ...], recipe: str, most: int | None, stored: Path, tmp_path: Path, qsim: Command
) -> None:
    status, _, errors = qsim("estimate", stored, *words, "--out", tmp_path / "run.json")
    assert status == 0, errors
    (run,) = load_runs(tmp_path / "run.json")
    assert run.recipe.name.startswith(recipe)
    assert most is None or run.layers[1][0].macs <= most


def test_inspect_accounts_for_every_byte_of_a_stored_network(stored: Path, qsim: Command) -> None:
    status, text, errors = qsim("inspect", stored, "--json")
    assert status == 0, errors
    facts, size = json.loads(text), stored.stat().st_size
    assert facts["bytes"] == size == sum(facts["split_bytes"].values())
    assert [(row["layer"], row["rows"], row["cols"], row["kept"]) for row in facts["matrices"]] == [("conv", 4, 18, 36), ("fc", 3, 64, 96)]
    assert sum(row["bytes"] for row in facts["matrices"]) == sum(-(-stream["bits"] // 8) for stream in facts["streams"])
    assert (facts["float_bytes"], facts["hash"]) == (4 * (72 + 192), stored.read_bytes()[4:36].hex())
    shown = qsim("inspect", stored)[1]
    assert all(word in shown for word in ("conv", "ScalarCoded", "3x64", "file on disk", f"{size:,}", "in x: float32[1, 2, 4, 4]"))
    assert qsim("inspect", stored, "--recipe")[1] == "post-training, density 0.5, codes as wide as the machine's\n"


def test_a_stored_network_with_mistakes_is_one_line(stored: Path, tmp_path: Path, qsim: Command) -> None:
    (tmp_path / "cut.qsn").write_bytes(stored.read_bytes()[:-1])
    for words, told in (
        (("estimate", stored, "--dim", "N=1"), "--dim must be absent for a stored network, whose sizes are fixed"),
        (("estimate", tmp_path / "cut.qsn"), "cut.qsn: file.hash"),
        (("inspect", tmp_path / "cut.qsn"), "cut.qsn: file.hash"),
        (("estimate", tmp_path / "none.qsn"), "cannot read"),
    ):
        status, _, errors = qsim(*words)
        assert status == 2
        assert told in " ".join(errors.split())
        assert len(errors.splitlines()) == 1


def test_a_stored_network_with_attention_runs_as_it_is_stored(qsim: Command, tmp_path: Path) -> None:
    """The operators that round operands are in the file already: the second run adds none, so that file, cycles and energy stay."""
    stored, found = tmp_path / "net.qsn", []
    words = ("-m", "sparse-layer-dram", "--density", "0.5", "--json")
    for network, more in (("transformer-encoder", ("--save", stored)), (stored, ())):
        status, text, errors = qsim("estimate", network, *words, *more)
        assert status == 0, errors
        (run,) = json.loads(text)["runs"]
        found.append({name: run[name] for name in ("file_bytes", "cycles", "energy_pj", "run_time_operands", "not_simulated")})
    assert found[0] == found[1]
