"""Random forms of every kind for property tests."""

import numpy as np
from hypothesis import strategies as st

from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Dense, Form, Pyramid, ScalarCoded, VectorCoded

S16 = FixedFormat(16, 12)
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def dense(draw, rows: int, cols: int) -> Dense:
    rng, width = draw(generators), draw(st.integers(2, 16))
    values = rng.integers(-(1 << (width - 1)), 1 << (width - 1), (rows, cols))
    values[rng.random((rows, cols)) > draw(st.sampled_from([0, 0.1, 0.5, 1]))] = 0
    return Dense(values=values, weight_format=FixedFormat(width, 3))


@st.composite
def scalar_coded(draw, rows: int, cols: int) -> ScalarCoded:
    rng, size = draw(generators), draw(st.integers(1, 40))
    codes = np.minimum(rng.integers(0, size, (rows, cols)), rng.integers(0, size, (rows, cols)))
    mask = None
    if draw(st.booleans()):
        mask = rng.random((rows, cols)) < draw(st.sampled_from([0, 0.03, 0.3, 1]))
        codes[~mask] = 0
    return ScalarCoded(codes=codes, codebook=rng.integers(-(1 << 15), 1 << 15, size), weight_format=S16, mask=mask)


@st.composite
def pyramid(draw, rows: int, cols: int) -> Pyramid:
    rng = draw(generators)
    pulses = rng.integers(-3, 4, (rows, cols)) * (rng.random((rows, cols)) < draw(st.sampled_from([0, 0.1, 1])))
    return Pyramid(pulses=pulses, scales=rng.integers(0, 1 << 16, rows), scale_format=FixedFormat(16, 12, signed=False))


@st.composite
def vector_coded(draw, rows: int, cols: int) -> VectorCoded:
    rng, stages, size = draw(generators), draw(st.integers(1, 3)), draw(st.integers(1, 20))
    length = draw(st.sampled_from([d for d in range(1, cols + 1) if cols % d == 0]))
    segments = draw(st.sampled_from([s for s in range(1, cols // length + 1) if (cols // length) % s == 0]))
    return VectorCoded(
        indices=rng.integers(0, size, (stages, rows * cols // length)),
        codebooks=rng.integers(-1000, 1000, (stages, segments * size, length)),
        rows=rows,
        cols=cols,
        weight_format=S16,
        segments=segments,
    )


def forms(rows: int, cols: int) -> st.SearchStrategy[Form]:
    return st.one_of(dense(rows, cols), scalar_coded(rows, cols), pyramid(rows, cols), vector_coded(rows, cols))


shapes = st.tuples(st.integers(1, 13), st.integers(1, 24))
any_form = shapes.flatmap(lambda shape: forms(*shape))
