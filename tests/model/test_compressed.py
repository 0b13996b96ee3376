"""Whether the file is exact, counted to the last bit, written whole or not at all, and safe to read from a stranger."""

import errno
import hashlib
import os
import time
import tracemalloc
import zlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import FieldError, FileFormatError, QsimError
from qsim.formats.container import DICTIONARY
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import StreamKind
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel, QuantisedLayer
from tests.model.models import random_form, random_layer, random_model, tiny_model

KINDS = ("dense", "scalar_coded", "pyramid", "vector_coded")
RECIPE = """\
name = "smallest"
description = "gradual pruning with regrowth, shared weights, fine-tuned centroids, Huffman"
[prune]
method = "magnitude"
schedule = "cubic"
epochs = 80
refresh_steps = 20
[layers.fc1]
density = 0.028
[layers.fc2]
density = 0.045
[layers.fc3]
density = 0.2
[quantise]
method = "kmeans"
centroids = 8
init = "linear"
finetune_epochs = 10
learning_rate = 0.001
[formats]
activations = "s16.8"
weights = 16
bias = 8
[encode]
huffman = true
max_code_length = 15
[train]
optimizer = "sgd"
momentum = 0.9
learning_rate = 0.05
weight_decay = 0.0005
batch = 128
seed = 0
"""


def reseal(data: bytes) -> bytes:
    """Give changed content a right hash, as a hostile writer would."""
    return data[:4] + hashlib.sha256(data[36:]).digest() + data[36:]


def rebuild(metadata: object, payload: bytes) -> bytes:
    return reseal(with_metadata(msgpack.packb(metadata)) + payload)


def with_metadata(plain: bytes) -> bytes:
    squeezer = zlib.compressobj(9, wbits=-15, zdict=DICTIONARY)
    squeezed = squeezer.compress(plain) + squeezer.flush()
    return b"QSZ\x01" + bytes(32) + len(squeezed).to_bytes(4, "big") + squeezed


def take_apart(data: bytes) -> tuple[list, bytes]:
    length = int.from_bytes(data[36:40], "big")
    plain = zlib.decompressobj(wbits=-15, zdict=DICTIONARY).decompress(data[40 : 40 + length])
    return msgpack.unpackb(plain), data[40 + length :]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_loads_bit_for_bit(tmp_path, kind):
    model = tiny_model(kind)
    model.save(tmp_path / "model.qsz")
    again = CompressedModel.load(tmp_path / "model.qsz")
    assert again.data == model.data
    assert again.content_hash == model.content_hash
    assert again.graph == model.graph
    assert (again.recipe_text, again.weight_source, again.notes, again.options) == (
        model.recipe_text,
        model.weight_source,
        model.notes,
        model.options,
    )
    for layer, other in zip(model.layers, again.layers, strict=True):
        assert np.array_equal(layer.form.reconstruct(), other.form.reconstruct())
        assert np.array_equal(layer.bias, other.bias)


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_the_file_is_counted_once(tmp_path, kind):
    model = tiny_model(kind)
    model.save(tmp_path / "model.qsz")
    assert (tmp_path / "model.qsz").stat().st_size == model.file_bytes
    assert sum(model.bytes_by_kind.values()) == model.file_bytes
    assert model.bytes_by_kind[StreamKind.BIAS] == 12  # 8 + 4 biases of 8 bits
    assert model.bytes_by_kind[StreamKind.HEADER] >= 40


def test_hash_is_that_of_the_content():
    model = tiny_model()
    assert model.content_hash == hashlib.sha256(model.data[36:]).hexdigest()
    assert replace(model, recipe_text="other").content_hash != model.content_hash
    assert replace(model, options=EncodeOptions(huffman=False)).content_hash != model.content_hash


def test_overhead_of_lenet_300_100_is_small():
    model = random_model(recipe=RECIPE)
    weights = model.bytes_by_kind[StreamKind.WEIGHT] + model.bytes_by_kind[StreamKind.INDEX]
    assert len(RECIPE) > 550
    assert model.file_bytes - weights <= 1000  # 410 of them biases, 48 codebooks, about 120 tables, 300 the recipe


def test_any_flipped_byte_is_refused():
    data = tiny_model().data
    for place in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            with pytest.raises(FileFormatError):
                CompressedModel.from_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])


def test_any_truncation_or_trailing_byte_is_refused():
    data = tiny_model().data
    for length in range(len(data)):
        with pytest.raises(FileFormatError):
            CompressedModel.from_bytes(data[:length])
    for tail in (b"\0", data):
        with pytest.raises(FileFormatError):
            CompressedModel.from_bytes(data + tail)
        with pytest.raises(FileFormatError):
            CompressedModel.from_bytes(reseal(data + tail))


@settings(max_examples=150)
@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.binary(min_size=1, max_size=3), st.booleans())
def test_damage_with_a_right_hash_is_refused_or_gives_a_valid_model(kind, place, new, insert):
    data = tiny_model(kind).data
    place = 36 + place % (len(data) - 36)
    changed = reseal(data[:place] + new + data[place + (0 if insert else len(new)) :])
    try:
        model = CompressedModel.from_bytes(changed)
    except FileFormatError:
        return
    assert sum(model.bytes_by_kind.values()) == model.file_bytes


leaves = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.none(), st.booleans(), st.floats(), st.just([]), st.just({}))


@settings(max_examples=200)
@given(st.sampled_from(KINDS), st.data())
def test_hostile_metadata_is_refused_or_gives_a_valid_model(kind, data):
    metadata, payload = take_apart(tiny_model(kind).data)
    spot, parent = metadata, metadata
    while isinstance(spot, list) and spot:
        parent, key = spot, data.draw(st.integers(0, len(spot) - 1))
        spot = spot[key]
    parent[key] = data.draw(leaves)
    try:
        CompressedModel.from_bytes(rebuild(metadata, payload))
    except FileFormatError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    for candidate in (data, reseal(b"QSZ\x01" + bytes(32) + data)):
        with pytest.raises(FileFormatError):
            CompressedModel.from_bytes(candidate)


def bombs():
    metadata, payload = take_apart(tiny_model().data)
    yield "zlib bomb", reseal(with_metadata(bytes(200 << 20)))
    yield "metadata longer than the file", reseal(b"QSZ\x01" + bytes(32) + b"\xff\xff\xff\xff" + bytes(8))
    yield "deep nesting", reseal(with_metadata(b"\x91" * 100_000))
    yield "array of 2^32 items", reseal(with_metadata(b"\xdd\xff\xff\xff\xff"))
    yield "text of 2^32 bytes", reseal(with_metadata(b"\xdb\xff\xff\xff\xff"))
    yield "huge layer", rebuild([*metadata[:1], [1 << 24], *metadata[2:]], payload)
    yield "huge shape product", rebuild([*metadata[:1], [1 << 24] * 8, *metadata[2:]], payload)
    yield "shape of many axes", rebuild([*metadata[:1], [1] * 100_000, *metadata[2:]], payload)
    for place in range(len(metadata[5][0])):
        for value in (1 << 30, (1 << 64) - 1, -1):
            headers = [list(header) for header in metadata[5]]
            headers[0][place] = value
            yield f"header number {place} = {value}", rebuild([*metadata[:5], headers, *metadata[6:]], payload)


def test_bombs_are_refused_fast_and_in_little_memory():
    for name, data in list(bombs()):
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(FileFormatError):
            CompressedModel.from_bytes(data)
        taken, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert taken < 2, name
        assert peak < 64 << 20, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"PNG" + data[3:], "file.magic"),
        (lambda data: data[:3] + b"\x02" + data[4:], "file.version must be 1, not 2"),
        (lambda data: data[:20], "file must be at least 40 bytes long"),
        (lambda data: data[:-1], "file.hash"),
        (lambda data: reseal(data + b"\0"), "payload must be"),
        (lambda data: reseal(data[:-1]), "payload.bias must be"),
        (lambda data: b"", "file.magic"),
    ],
)
def test_messages_name_the_field(change, message):
    with pytest.raises(FileFormatError) as caught:
        CompressedModel.from_bytes(change(tiny_model().data))
    assert message in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent.qsz", "/dev/zero"):
        with pytest.raises(FileFormatError):
            CompressedModel.load(path)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.qsz"
    tiny_model("dense").save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(QsimError, match="No space left"):
        tiny_model().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_too_thin_for_its_file_is_refused_when_saved():
    form = random_form("scalar_coded", 1, 4_000_000, 0, np.random.default_rng(0))
    layer = random_layer("wide", form, tiny_model().layers[-1].node.activation, np.random.default_rng(0))
    graph = replace(tiny_model().graph, nodes=(layer.node,), input_shape=(4_000_000,))
    with pytest.raises(FieldError, match="weights in"):
        _ = CompressedModel(graph=graph, layers=(layer,)).data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulator_format": FixedFormat(32, 19)}, "fc1.accumulator_format must be of fraction 20"),
        ({"bias_format": FixedFormat(8, 21)}, "fc1.bias_format must be of fraction at most 20"),
        ({"bias_format": FixedFormat(50, 0)}, "62 bits"),
        ({"output_format": FixedFormat(16, -64)}, "rounding and output fit 62 bits, not '84 bits'"),
        ({"input_format": FixedFormat(50, 8)}, "a product fits 62 bits"),
        ({"outputs": 9}, "fc1.form must be 9 rows by 12 columns"),
        ({"bias_format": FixedFormat(4, 0)}, "fc1.bias must be -8 to 7"),
    ],
)
def test_impossible_layers_are_refused(change, message):
    layer = tiny_model().layers[0]
    with pytest.raises(FieldError) as caught:
        QuantisedLayer(node=replace(layer.node, **change), form=layer.form, bias=layer.bias)
    assert message in str(caught.value)


def test_impossible_models_are_refused():
    model = tiny_model()
    with pytest.raises(FieldError, match="the nodes of the graph, in order"):
        replace(model, layers=model.layers[:1])
    with pytest.raises(FieldError, match=r"model\.notes\.x"):
        replace(model, notes={"x": [1]})
    for notes in ({"x": 1 << 70}, {"x": "\ud800"}):
        with pytest.raises(FieldError, match="64-bit numbers"):
            _ = replace(model, notes=notes).data
    with pytest.raises(FieldError, match="at most 1048576 bytes"):
        _ = replace(model, recipe_text="x" * (1 << 21)).data
