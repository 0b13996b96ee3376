"""Whether the printed sizes follow from streams that exist, and their columns mean what Deep Compression's mean."""

from dataclasses import replace

import numpy as np
import pytest

from qsim.encode.layers import decode_layer, encode_layer
from qsim.encode.sizes import kept_weights, table
from qsim.errors import FileFormatError
from qsim.formats.layer import StreamKind
from qsim.formats.symbols import EncodeOptions
from tests.model.models import random_form, random_layer, random_model, tiny_model

KINDS = ("dense", "scalar_coded", "pyramid", "vector_coded")


def test_total_is_the_size_of_the_file():
    model = random_model(recipe="x = 1\n")
    *rows, total = table(model)
    assert [row.name for row in rows] == ["fc1", "fc2", "fc3"]
    assert total.name == "total"
    assert total.bytes_pqh == model.file_bytes
    assert sum(row.bytes_pqh for row in rows) + model.bytes_by_kind[StreamKind.HEADER] == model.file_bytes
    assert total.bytes_pq == replace(model, options=EncodeOptions(huffman=False)).file_bytes
    assert total.float_bytes == 4 * 266_610
    assert total.rate_pqh == model.file_bytes / (4 * 266_610)
    for name in ("weights", "kept", "entries", "float_bytes"):
        assert getattr(total, name) == sum(getattr(row, name) for row in rows)


def test_columns_of_a_layer_with_a_fixed_index_width():
    model = random_model(options=EncodeOptions(index_bits=5))
    for row, layer in zip(table(model), model.layers, strict=False):
        assert row.kept == np.count_nonzero(layer.form.mask)
        assert row.kept_share == row.kept / layer.node.weights
        runs = np.diff(np.flatnonzero(layer.form.mask.T.ravel()), prepend=-1) - 1  # by column; by row may need fewer
        assert row.entries <= row.kept + int(np.sum(runs // 32))
        assert row.index_bits_pq == 5
        assert row.weight_bits_pq in (3, 4)  # 8 centroids, and a ninth symbol where there are fillers
        assert row.entropy_weight_bits <= row.weight_bits_pqh <= row.weight_bits_pq
        assert row.entropy_index_bits <= row.index_bits_pqh <= row.index_bits_pq
        assert row.bytes_pqh <= row.bytes_pq


def test_the_best_index_width_is_found():
    model = random_model()
    best = table(model)[-1].bytes_pqh
    assert best <= min(random_model(options=EncodeOptions(index_bits=width)).file_bytes for width in (3, 4, 5, 6, 7, 8)) + 8


@pytest.mark.parametrize("kind", KINDS)
def test_layers_round_trip(kind):
    rng = np.random.default_rng(3)
    layer = random_layer("x", random_form(kind, 20, 30, 0.2, rng), tiny_model().layers[0].node.activation, rng)
    again = decode_layer(layer.node, encode_layer(layer))
    assert np.array_equal(again.form.reconstruct(), layer.form.reconstruct())
    assert np.array_equal(again.bias, layer.bias)


def test_missing_or_extra_bytes_are_refused():
    layer = tiny_model().layers[0]
    encoded = encode_layer(layer)
    with pytest.raises(FileFormatError, match="fc1"):
        decode_layer(layer.node, replace(encoded, streams=encoded.streams[:-1]))
    with pytest.raises(FileFormatError, match="fc1 must be"):
        decode_layer(layer.node, replace(encoded, streams=(*encoded.streams, encoded.streams[-1])))


def test_kept_weights_are_the_stored_ones():
    rng = np.random.default_rng(0)
    for kind in ("dense", "pyramid"):
        form = random_form(kind, 10, 10, 0.3, rng)
        assert kept_weights(form) == np.count_nonzero(form.reconstruct())
    assert kept_weights(random_form("vector_coded", 10, 10, 0.3, rng)) == 100
    masked = random_form("scalar_coded", 10, 10, 0.3, rng)
    assert kept_weights(masked) == np.count_nonzero(masked.mask)
    assert kept_weights(replace(masked, mask=None)) == 100
