# amaranth: UnusedElaboratable=no
"""Asks whether the Huffman decoder in RTL reads what the software writes, a symbol a cycle, and refuses what the software refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qsim.encode.layers import encode_layer
from qsim.errors import FileFormatError
from qsim.formats.huffman import CanonicalHuffman
from qsim.model.compressed import CompressedModel
from rtl.huffman import HuffmanDecoder, HuffmanError, table_words
from tests.rtl import decoders
from tests.rtl.coverage import Coverage, check
from tests.rtl.decoding import STREAMS, damaged, damaged_streams, decode_streams, random_streams, real_streams, streams_of
from tests.rtl.lenet import compressed

Decode = Callable[[str], None]


@pytest.mark.rtl
def test_streams_of_a_file(decode: Decode) -> None:
    cases = list(real_streams())
    assert {case.name for case in cases} == {"real gaps", "real weights"}
    assert all(case.expected()[1] is HuffmanError.NONE for case in cases)
    decode("of a file")


@pytest.mark.rtl
def test_random_streams(decode: Decode) -> None:
    decode("random")


@pytest.mark.rtl
def test_damaged_streams(decode: Decode) -> None:
    assert {case.expected()[1] for case in damaged_streams()} == set(HuffmanError)
    decode("damaged")


@pytest.mark.rtl
def test_every_bin_is_hit(decode: Decode, pytestconfig: pytest.Config) -> None:
    """Every length of a code, every end of a stream, refills and stalls have happened; the table goes to ``out/coverage``."""
    for name in STREAMS:
        decode(name)
    check("decoder", Path(pytestconfig.rootpath, "out", "coverage"))


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
def test_every_stream_of_a_real_file(build_dir: Path, coverage: Coverage, tmp_path: Path) -> None:
    """LeNet-300-100, pruned and quantised: each weight and gap stream, byte for byte as it stands in its ``.qsz``."""
    network = compressed("sparse")
    path = tmp_path / "network.qsz"
    network.save(path)
    layers = [encode_layer(layer) for layer in CompressedModel.load(path).layers]
    payload = path.read_bytes()
    assert all(stream.payload in payload for layer in layers for stream in layer.streams)
    cases = [case for layer in layers for case in streams_of(layer) if case.unit == "wide"]
    assert len(cases) == 6
    decode_streams(cases, build_dir, tmp_path, coverage)
