# amaranth: UnusedElaboratable=no
"""Asks whether the Huffman decoder in RTL reads what the software writes, a symbol a cycle, and refuses what the software refuses."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsim.compress.pipeline import compress
from qsim.compress.recipe import parse_recipe
from qsim.encode.layers import encode_layer
from qsim.errors import FileFormatError
from qsim.formats.coding import encode_form
from qsim.formats.fixed import FixedFormat
from qsim.formats.huffman import CanonicalHuffman
from qsim.formats.layer import CompressedLayer, ScalarCoded, StreamKind
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel
from rtl.emit import emit
from rtl.huffman import HuffmanDecoder, HuffmanError, table_words
from rtl.toolchain import build_model, run_bench
from tests.rtl import decoders
from tests.rtl.streams_of_bits import Case, random_code
from workloads.lenet_300_100 import WORKLOAD
from workloads.mnist import load_mnist
from workloads.weights import load_weights

TOP = "decoders"
RECIPE = """
name = "no retraining"
prune = {method = "iterative", densities = [0.08, 0.09, 0.26], rounds = 1, epochs = 0}
quantise = {method = "kmeans", entries = 15, start = "linear"}
finetune = {epochs = 0}
"""


@pytest.fixture(scope="module")
def model(build_dir: Path) -> Path:
    return build_model(emit(decoders.Decoders, TOP, build_dir, Path(decoders.__file__).read_text()), TOP)


def real_streams() -> Iterator[Case]:
    """The gaps and weights of a sparse layer with 15 centroids, the bytes that a ``.qsz`` holds, by the file's own encoder."""
    rng = np.random.default_rng(5)
    weights = rng.laplace(size=(100, 300))
    mask = np.abs(weights) > 2.3
    codebook = np.linspace(-30000, 30000, 15).astype(np.int64)
    codes = np.clip(np.round(weights * 1.5) + 7, 0, 14).astype(np.uint16) * mask
    form = ScalarCoded(codes=codes.astype(np.uint16), codebook=codebook, weight_format=FixedFormat(16, 15), mask=mask)
    yield from streams_of(encode_form(form, np.zeros(100, dtype=np.int64), FixedFormat(16, 8), EncodeOptions()))


def streams_of(layer: CompressedLayer) -> Iterator[Case]:
    tables = {stream.name.removesuffix(".table"): stream for stream in layer.streams if stream.kind is StreamKind.TABLE}
    for stream in layer.streams:
        if stream.name in tables:
            table = tables[stream.name]
            code = CanonicalHuffman.from_table(table.payload, table.bits, table.symbols)
            for unit in decoders.HUFFMAN:
                yield Case.of(f"real {stream.name}", unit, code, stream.payload, stream.bits, stream.symbols)


def random_streams(seed: int, each: int) -> Iterator[Case]:
    """Streams of random codes, one in four of their longest codes only, some of a single symbol."""
    rng = np.random.default_rng(seed)
    for unit in decoders.HUFFMAN:
        for number in range(each):
            code = random_code(rng, unit)
            if number < 2:
                code = CanonicalHuffman.from_counts([0, 0, 7], 3)
            used = np.flatnonzero(code.lengths if number % 4 else code.lengths == code.max_length)
            symbols = rng.choice(used, int(rng.integers(0, 120)))
            yield Case.of(f"random {number}", unit, code, *code.encode(symbols), len(symbols))


def damaged(case: Case) -> Iterator[Case]:
    """Every way in which a stream can disagree with its header, and flipped bits."""
    rng = np.random.default_rng(case.bits)
    width = decoders.HUFFMAN[case.unit]["word_bits"]
    for cut in range(len(case.words)):
        last = [at == cut - 1 for at in range(cut)]
        if cut:
            yield replace(case, name=f"{case.name}, {cut} words", words=case.words[:cut], last=last)
    for bits in {0, 1, case.bits - 1, case.bits + 1, case.bits + width, max(0, case.bits - width)}:
        if bits > 0 and bits != case.bits:
            yield replace(case, name=f"{case.name}, {bits} bits", bits=bits)
    for count in {0, 1, case.count - 1, case.count + 1, case.count + width}:
        if count >= 0 and count != case.count:
            yield replace(case, name=f"{case.name}, {count} symbols", count=count)
    yield replace(case, name=f"{case.name}, a word too many", words=[*case.words, 0], last=[False] * len(case.words) + [True])
    yield replace(case, name=f"{case.name}, no last word", words=[*case.words, 0, 0], last=[False] * (len(case.words) + 2))
    for _ in range(12):
        words = list(case.words)
        words[int(rng.integers(len(words)))] ^= 1 << int(rng.integers(width))
        yield replace(case, name=f"{case.name}, a bit flipped", words=words)
    if case.bits % width:
        yield replace(case, name=f"{case.name}, padding", words=[*case.words[:-1], case.words[-1] | 1])


def run(cases: list[Case], model: Path, folder: Path) -> None:
    path = folder / "cases.json"
    path.write_text(json.dumps([case.to_json() for case in cases]))
    run_bench(model, TOP, "tests.rtl.bench_huffman", {"QSIM_CASES": str(path)}, folder)


@pytest.mark.rtl
def test_streams_of_a_file(model: Path, tmp_path: Path) -> None:
    cases = list(real_streams())
    assert {case.name for case in cases} == {"real gaps", "real weights"}
    assert all(case.expected()[1] is HuffmanError.NONE for case in cases)
    run(cases, model, tmp_path)


@pytest.mark.rtl
def test_random_streams(model: Path, tmp_path: Path) -> None:
    run(list(random_streams(seed=1, each=16)), model, tmp_path)


@pytest.mark.rtl
def test_damaged_streams(model: Path, tmp_path: Path) -> None:
    whole = [case for case in random_streams(seed=2, each=6) if 0 < case.count < 70]
    cases = [one for case in whole for one in (*damaged(case), case)]  # the whole stream again: the error before has left nothing
    assert {case.expected()[1] for case in cases} == set(HuffmanError)
    run(cases, model, tmp_path)


def test_the_expectation_refuses_what_the_software_refuses() -> None:
    """The bit by bit decoder of these tests against the compiled one, on streams cut and flipped but with their last word in place."""
    for case in (one for whole in random_streams(seed=3, each=6) if whole.count for one in (whole, *damaged(whole))):
        width = decoders.HUFFMAN[case.unit]["word_bits"]
        if "word" in case.name or len(case.words) != -(-case.bits // width):
            continue
        data = b"".join(word.to_bytes(width // 8, "big") for word in case.words)
        spare, payload = data[-(-case.bits // 8) :], data[: -(-case.bits // 8)]
        symbols, error = case.expected()
        try:
            found = case.code.decode(payload, case.bits, case.count).tolist()
        except FileFormatError:
            assert error is not HuffmanError.NONE, case.name
        else:
            assert any(spare) == (error is HuffmanError.PADDING), case.name
            assert found == symbols


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 16}, "max_length must be 1 to 15, not 16"),
        ({"max_length": 3, "symbols": 9}, "symbols must be 1 to 8, not 9"),
        ({"word_bits": 12}, "word_bits must be a multiple of 8, not 12"),
        ({"symbol_bits": 0}, "symbol_bits and count_bits must be at least 1, not 0"),
    ],
)
def test_impossible_decoders_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as found:
        HuffmanDecoder(**options)
    assert str(found.value) == message


def test_a_code_that_is_too_long_is_refused() -> None:
    code = CanonicalHuffman.from_counts([1, 1, 2, 4])
    with pytest.raises(ValueError, match="code must have at most 2 bits, not 3"):
        table_words(code, 2)


@pytest.mark.slow
@pytest.mark.rtl
def test_every_stream_of_a_real_file(model: Path, tmp_path: Path) -> None:
    """LeNet-300-100, pruned and quantised: each weight and gap stream, byte for byte as it stands in its ``.qsz``."""
    network = compress(parse_recipe(RECIPE), WORKLOAD, load_weights(WORKLOAD), load_mnist())
    path = tmp_path / "network.qsz"
    network.save(path)
    layers = [encode_layer(layer) for layer in CompressedModel.load(path).layers]
    payload = path.read_bytes()
    assert all(stream.payload in payload for layer in layers for stream in layer.streams)
    cases = [case for layer in layers for case in streams_of(layer) if case.unit == "wide"]
    assert len(cases) == 6
    run(cases, model, tmp_path)
