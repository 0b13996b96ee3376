"""Whether forms are valid once constructed, unchangeable, and stand for the weights they say."""

import numpy as np
import pytest
from hypothesis import given

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import CompressedLayer, Dense, Pyramid, ScalarCoded, Stream, StreamKind, VectorCoded
from tests.formats.forms import S16, any_form, scalar_coded

U16 = FixedFormat(16, 12, signed=False)


@given(any_form)
def test_reconstruction_has_the_shape_and_lies_in_the_weight_format(form):
    weights = form.reconstruct()
    assert weights.shape == (form.rows, form.cols)
    assert weights.dtype == np.int64
    assert weights.min() >= form.weight_format.minimum
    assert weights.max() <= form.weight_format.maximum


@given(scalar_coded(5, 7))
def test_scalar_coded_looks_every_weight_up(form):
    for row, col in np.ndindex(5, 7):
        kept = form.mask is None or form.mask[row, col]
        assert form.reconstruct()[row, col] == (form.codebook[form.codes[row, col]] if kept else 0)


def test_vector_coded_sums_its_stages():
    form = VectorCoded(
        indices=[[0, 1, 1, 0], [1, 0, 1, 0]],
        codebooks=[[[1, 2], [3, 4]], [[10, 20], [30, 40]]],
        rows=2,
        cols=4,
        weight_format=S16,
    )
    assert form.reconstruct().tolist() == [[31, 42, 13, 24], [33, 44, 11, 22]]


@pytest.mark.parametrize(("pulse", "text"), [(0, "s2.0"), (1, "s2.0"), (2, "s3.0"), (-2, "s2.0"), (-3, "s3.0"), (7, "s4.0"), (-8, "s4.0")])
def test_pulse_format_is_the_narrowest(pulse, text):
    assert str(Pyramid(pulses=[[pulse]], scales=[1], scale_format=U16).weight_format) == text


def test_arrays_are_read_only_and_not_shared_with_the_caller():
    values = np.zeros((2, 2), dtype=np.int64)
    form = Dense(values=values, weight_format=S16)
    values[0, 0] = 7
    assert form.values[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        form.values[0, 0] = 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(values=[[40000]], weight_format=S16), "dense.values must be -32768 to 32767, not 40000"),
        (lambda: Dense(values=[[0.5]], weight_format=S16), "dense.values must be an array of integers"),
        (lambda: Dense(values=[1], weight_format=S16), "dense.values must be an array with 2 axes"),
        (lambda: Dense(values=[[1]], weight_format=FixedFormat(25, 0)), "at most 24 bits wide"),
        (lambda: ScalarCoded(codes=[[2]], codebook=[1, 2], weight_format=S16), "scalar_coded.codes must be 0 to 1, not 2"),
        (lambda: ScalarCoded(codes=[[-1]], codebook=[1], weight_format=S16), "scalar_coded.codes must be 0 to 65535, not -1"),
        (lambda: ScalarCoded(codes=[[0]], codebook=[], weight_format=S16), "scalar_coded.codebook must be 1 to 65536 values"),
        (lambda: ScalarCoded(codes=[[1]], codebook=[1, 2], weight_format=S16, mask=[[False]]), "0 where the mask is false"),
        (lambda: ScalarCoded(codes=[[0]], codebook=[1], weight_format=S16, mask=[[True, False]]), "scalar_coded.mask must be of shape"),
        (lambda: Pyramid(pulses=[[1]], scales=[1], scale_format=S16), "pyramid.scale_format must be unsigned"),
        (lambda: Pyramid(pulses=[[1]], scales=[1, 2], scale_format=U16), "pyramid.scales must be of shape"),
        (lambda: VectorCoded(indices=[[0]], codebooks=[[[1, 2]]], rows=1, cols=3, weight_format=S16), "a multiple of d = 2"),
        # Nine times 2**61 - 1 is 2**61 - 9 in 64 bits, and would pass for a weight of 62.
        (lambda: VectorCoded(indices=[[0]] * 9, codebooks=[[[2**61 - 1]]] * 9, rows=1, cols=1, weight_format=FixedFormat(62, 0)), "fits"),
        (
            lambda: VectorCoded(indices=[[0], [0]], codebooks=[[[30000]], [[30000]]], rows=1, cols=1, weight_format=S16),
            "sum of stages",
        ),
        (lambda: Stream(name="x", kind=StreamKind.INDEX, bits=9, payload=b"\0"), "stream x must be 2 bytes for 9 bits"),
    ],
)
def test_impossible_objects_are_refused(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert message in str(caught.value)


def test_layer_bits_are_the_sum_of_its_streams():
    streams = [Stream(name=str(bits), kind=StreamKind.WEIGHT, bits=bits, payload=bytes((bits + 7) // 8)) for bits in (0, 3, 9)]
    layer = CompressedLayer(header=(), streams=tuple(streams))
    assert (layer.bits, len(layer.payload), layer.bytes_of(StreamKind.WEIGHT), layer.bytes_of(StreamKind.BIAS)) == (12, 3, 3, 0)
