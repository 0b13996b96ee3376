"""Streams of bits for the Huffman decoders, whole and damaged, and their run in RTL."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from qsim.formats.coding import encode_form
from qsim.formats.fixed import FixedFormat
from qsim.formats.huffman import CanonicalHuffman
from qsim.formats.layer import CompressedLayer, ScalarCoded, StreamKind
from qsim.formats.symbols import EncodeOptions
from rtl.emit import emit
from rtl.toolchain import build_model, run_bench
from tests.rtl import decoders
from tests.rtl.coverage import Coverage
from tests.rtl.streams_of_bits import Case, random_code

TOP = "decoders"


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


def damaged_streams() -> Iterator[Case]:
    """Damaged streams, and behind them the whole one again: the error before has left nothing."""
    whole = [case for case in random_streams(seed=2, each=6) if 0 < case.count < 70]
    return (one for case in whole for one in (*damaged(case), case))


STREAMS: dict[str, Callable[[], Iterator[Case]]] = {
    "of a file": real_streams,
    "random": lambda: random_streams(seed=1, each=16),
    "damaged": damaged_streams,
}


def decode_streams(cases: list[Case], build_dir: Path, folder: Path, coverage: Coverage) -> None:
    """Have the decoders read ``cases``; fails if they do not read what the software does."""
    model = build_model(emit(decoders.Decoders, TOP, build_dir, Path(decoders.__file__).read_text()), TOP)
    path, observed = folder / "cases.json", folder / "observed.json"
    path.write_text(json.dumps([case.to_json() for case in cases]))
    run_bench(model, TOP, "tests.rtl.bench_huffman", {"QSIM_CASES": str(path), "QSIM_OBSERVED": str(observed)}, folder)
    coverage.stream({"decoder.flow": {name for name, times in json.loads(observed.read_text()).items() if times}})
    for case in cases:
        symbols, error = case.expected()
        lengths = {str(length) for length in case.code.lengths[symbols].tolist()}
        coverage.stream({"decoder.end": {error.name}, f"decoder.length in {case.unit}": lengths})
