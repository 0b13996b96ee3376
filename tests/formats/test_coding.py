"""Whether every form is stored exactly, with exact bit counts, in the cheapest of the layouts, and nothing else is accepted."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError
from qsim.formats.coding import decode_form, encode_form
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Pyramid, ScalarCoded, StreamKind, VectorCoded
from qsim.formats.symbols import EncodeOptions, LayerWriter, entropy_bits, read_symbols
from tests.formats.forms import any_form, generators

S8 = FixedFormat(8, 4)
options = st.builds(
    EncodeOptions,
    index_bits=st.one_of(st.none(), st.integers(1, 16)),
    huffman=st.booleans(),
    max_code_length=st.integers(1, 15),
)


def content(form):
    match form:
        case Dense():
            return form.weight_format, form.values.tolist()
        case ScalarCoded():
            mask = None if form.mask is None else form.mask.tolist()
            return form.weight_format, form.codes.tolist(), form.codebook.tolist(), mask
        case Pyramid():
            return form.scale_format, form.pulses.tolist(), form.scales.tolist()
        case VectorCoded():
            return form.weight_format, form.indices.tolist(), form.codebooks.tolist(), form.rows, form.cols


def decode(layer, rows, cols, payload=None):
    header, data = Fields(layer.header, "layer"), Bytes(layer.payload if payload is None else payload, "payload")
    form, bias = decode_form(header, data, rows, cols, S8)
    data.end()
    return form, bias


@given(any_form, options)
def test_decode_is_the_exact_inverse(form, chosen):
    bias = np.arange(form.rows) - 5
    layer = encode_form(form, bias, S8, chosen)
    again, bias_again = decode(layer, form.rows, form.cols)
    assert type(again) is type(form)
    assert content(again) == content(form)
    assert bias_again.tolist() == bias.tolist()


@given(any_form, options)
def test_streams_count_every_bit(form, chosen):
    layer = encode_form(form, np.zeros(form.rows, dtype=np.int64), S8, chosen)
    assert layer.bytes_of(StreamKind.BIAS) == form.rows
    assert len(layer.payload) == sum(layer.bytes_of(kind) for kind in StreamKind)
    for stream in layer.streams:
        assert stream.entropy_bits <= stream.bits + 1e-6  # no code without context beats the first-order entropy
        if not chosen.huffman:
            assert stream.kind is not StreamKind.TABLE


@given(any_form)
def test_huffman_and_a_free_index_width_never_cost_bits(form):
    bias = np.zeros(form.rows, dtype=np.int64)
    best = encode_form(form, bias, S8, EncodeOptions()).bits
    for index_bits in (2, 5, 8):
        assert best <= encode_form(form, bias, S8, EncodeOptions(index_bits=index_bits)).bits
        assert best <= encode_form(form, bias, S8, EncodeOptions(index_bits=index_bits, huffman=False)).bits


def test_worked_example_of_the_document():
    # docs/formats.md: a 2 x 8 layer with three weights, kept to fixed fields.
    mask = np.zeros((2, 8), dtype=bool)
    mask[0, 1] = mask[0, 6] = mask[1, 2] = True
    codes = np.zeros((2, 8), dtype=int)
    codes[0, 6] = 1
    form = ScalarCoded(codes=codes, codebook=[100, -3], weight_format=FixedFormat(8, 4), mask=mask)
    layer = encode_form(form, np.array([1, -1]), S8, EncodeOptions(index_bits=2, huffman=False))
    assert layer.header == (1, 8, 4, 1, 2, 1, 2, 2, 4, 0, 4, 0, 3)
    found = {stream.name: stream.payload.hex(" ") for stream in layer.streams}
    assert found == {"codebook": "64 fd", "gaps": "ae", "weights": "09", "bias": "01 ff"}


@given(any_form, st.data())
def test_a_changed_header_is_refused_or_reads_as_some_form(form, data):
    layer = encode_form(form, np.zeros(form.rows, dtype=np.int64), S8, EncodeOptions())
    header = list(layer.header)
    header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.one_of(st.integers(-(2**63), 2**64), st.none(), st.text()))
    with contextlib.suppress(FileFormatError, FieldError):
        decode_form(Fields(header, "layer"), Bytes(layer.payload, "payload"), form.rows, form.cols, S8)


@given(any_form, st.data())
def test_a_changed_payload_is_refused_or_reads_as_some_form(form, data):
    layer = encode_form(form, np.zeros(form.rows, dtype=np.int64), S8, EncodeOptions())
    payload = bytearray(layer.payload)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FileFormatError, FieldError):
        decode(layer, form.rows, form.cols, bytes(payload))


@given(generators, st.integers(1, 300), st.integers(0, 200))
def test_symbol_sequences_round_trip(rng, alphabet, count):
    values = np.minimum(rng.integers(0, alphabet, count), rng.integers(0, alphabet, count))
    writer = LayerWriter()
    writer.symbols("x", StreamKind.WEIGHT, values, EncodeOptions())
    payload = Bytes(b"".join(stream.payload for stream in writer.streams), "payload")
    assert read_symbols(Fields(writer.header, "h"), payload, "x", count, alphabet - 1).tolist() == values.tolist()
    payload.end()


def test_entropy_of_a_fair_die():
    assert entropy_bits(np.full(8, 5)) == 8 * 5 * 3


@pytest.mark.parametrize("bad", [{"index_bits": 0}, {"index_bits": 17}, {"max_code_length": 0}, {"max_code_length": 16}])
def test_impossible_options_are_refused(bad):
    with pytest.raises(FieldError, match=f"encode.{next(iter(bad))}"):
        EncodeOptions(**bad)
