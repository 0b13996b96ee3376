"""The forms in which a layer's weights are stored, and the streams of bits they become.

A form is what a quantizer decides: which integer, index or pulse stands for every weight. It is a closed union,
:data:`Form`; all four members know their shape, their ``weight_format`` and how to give the integer weights back.

=============  ==================================================================================================
form           the integer weight in row i, column j
=============  ==================================================================================================
Dense          ``values[i, j]``
ScalarCoded    ``codebook[codes[i, j]]`` where ``mask[i, j]`` (or without a mask), else 0
Pyramid        ``pulses[i, j]``; the row's output is multiplied by ``scales[i]`` once, at the drain
VectorCoded    ``sum over stages s of codebooks[s, g * k + indices[s, v], j % d]`` with ``v = i * (cols // d) + j // d`` and g the
               segment of column j
=============  ==================================================================================================

A row is one output, a column is the weights of one input activation.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.formats.arrays import check_range, check_shape, read_only
from qsim.formats.bits import width_of
from qsim.formats.fixed import MAX_WIDTH, FixedFormat, IntArray

CodeArray = npt.NDArray[np.uint16]
BoolArray = npt.NDArray[np.bool_]
MAX_CODEBOOK = 1 << 16
MAX_WEIGHT_WIDTH = 24  # of a dense weight; the coders keep a histogram with a place for every value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """Every weight as its own integer: ``values`` [rows, cols] in ``weight_format``, held in 32 bits."""

    values: npt.NDArray[np.integer]
    weight_format: FixedFormat

    def __post_init__(self) -> None:
        _freeze(self, "values", np.int32, 2, "dense.values")
        if self.weight_format.width > MAX_WEIGHT_WIDTH:
            raise FieldError(path="dense.weight_format", rule=f"at most {MAX_WEIGHT_WIDTH} bits wide", value=str(self.weight_format))
        check_range(self.values, self.weight_format.minimum, self.weight_format.maximum, "dense.values")

    @property
    def rows(self) -> int:
        """Number of outputs."""
        return int(self.values.shape[0])

    @property
    def cols(self) -> int:
        """Number of inputs."""
        return int(self.values.shape[1])

    def reconstruct(self) -> IntArray:
        """Return the integer weights, int64 [rows, cols]."""
        return self.values.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarCoded:
    """Weights that share the few values of a codebook.

    ``codes`` [rows, cols] index ``codebook`` [k], integers in ``weight_format``. Where ``mask`` [rows, cols] is false the
    weight is pruned: its value is 0 and its code must be 0. The codebook need not contain 0.
    """

    codes: CodeArray
    codebook: IntArray
    weight_format: FixedFormat
    mask: BoolArray | None = None

    def __post_init__(self) -> None:
        _freeze(self, "codes", np.uint16, 2, "scalar_coded.codes")
        _freeze(self, "codebook", np.int64, 1, "scalar_coded.codebook")
        size = len(self.codebook)
        if not 1 <= size <= MAX_CODEBOOK:
            raise FieldError(path="scalar_coded.codebook", rule=f"1 to {MAX_CODEBOOK} values", value=size)
        check_range(self.codebook, self.weight_format.minimum, self.weight_format.maximum, "scalar_coded.codebook")
        check_range(self.codes, 0, size - 1, "scalar_coded.codes")
        if self.mask is not None:
            _freeze(self, "mask", np.bool_, 2, "scalar_coded.mask")
            check_shape(self.mask, self.codes.shape, "scalar_coded.mask")
            if np.any(self.codes, where=~self.mask):
                raise FieldError(path="scalar_coded.codes", rule="0 where the mask is false", value="another code")

    @property
    def rows(self) -> int:
        """Number of outputs."""
        return int(self.codes.shape[0])

    @property
    def cols(self) -> int:
        """Number of inputs."""
        return int(self.codes.shape[1])

    def reconstruct(self) -> IntArray:
        """Return the integer weights, int64 [rows, cols]."""
        weights: IntArray = self.codebook[self.codes]
        if self.mask is not None:
            weights[~self.mask] = 0
        return weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pyramid:
    """Each row a point of a pyramid lattice: signed integer ``pulses`` [rows, cols] and one scale a row.

    ``scales`` [rows] are integers in the unsigned ``scale_format``. The multiply-free product sums pulses; the scale is
    applied once for each output. See Liguori, arXiv:1704.02681.
    """

    pulses: npt.NDArray[np.integer]
    scales: IntArray
    scale_format: FixedFormat

    def __post_init__(self) -> None:
        _freeze(self, "pulses", np.int32, 2, "pyramid.pulses")
        _freeze(self, "scales", np.int64, 1, "pyramid.scales")
        if self.scale_format.signed:
            raise FieldError(path="pyramid.scale_format", rule="unsigned", value=str(self.scale_format))
        check_shape(self.scales, (self.rows,), "pyramid.scales")
        check_range(self.scales, self.scale_format.minimum, self.scale_format.maximum, "pyramid.scales")
        check_range(self.pulses, -(1 << 15), (1 << 15) - 1, "pyramid.pulses")

    @property
    def rows(self) -> int:
        """Number of outputs."""
        return int(self.pulses.shape[0])

    @property
    def cols(self) -> int:
        """Number of inputs."""
        return int(self.pulses.shape[1])

    @property
    def weight_format(self) -> FixedFormat:
        """The narrowest signed integer format (fraction 0) that holds every pulse."""
        largest = max(int(self.pulses.max(initial=0)), -int(self.pulses.min(initial=0)) - 1)
        return FixedFormat(max(2, largest.bit_length() + 1), 0)

    def reconstruct(self) -> IntArray:
        """Return the pulses, int64 [rows, cols]; the scale of a row is not applied."""
        return self.pulses.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VectorCoded:
    """Vectors of ``d`` neighbouring weights of a row, each a sum of one codebook vector a stage.

    ``indices`` [stages, rows * cols // d] below k and ``codebooks`` [stages, segments * k, d], integers in ``weight_format``. One
    stage is vector quantisation, more are residual quantisation. With more than one of ``segments``, which cut the columns into equal
    parts, each has its own k vectors: product quantisation. ``cols`` must be a multiple of ``d * segments`` and every sum must lie in the
    range of ``weight_format``.
    """

    indices: CodeArray
    codebooks: IntArray
    rows: int
    cols: int
    weight_format: FixedFormat
    segments: int = 1

    def __post_init__(self) -> None:
        _freeze(self, "indices", np.uint16, 2, "vector_coded.indices")
        _freeze(self, "codebooks", np.int64, 3, "vector_coded.codebooks")
        stages, size, width = self.codebooks.shape
        if stages < 1 or not 1 <= size <= MAX_CODEBOOK or width < 1:
            rule = f"stages >= 1, 1 to {MAX_CODEBOOK} vectors, d >= 1"
            raise FieldError(path="vector_coded.codebooks", rule=rule, value=[stages, size, width])
        if self.segments < 1 or size % self.segments:
            raise FieldError(path="vector_coded.segments", rule=f"a divisor of the {size} vectors of a stage", value=self.segments)
        if self.rows < 0 or self.cols < 0 or self.cols % (width * self.segments):
            rule = f"a multiple of d = {width}" + (f" times {self.segments} segments" if self.segments > 1 else "")
            raise FieldError(path="vector_coded.cols", rule=rule, value=self.cols)
        check_shape(self.indices, (stages, self.rows * self.cols // width), "vector_coded.indices")
        check_range(self.indices, 0, size // self.segments - 1, "vector_coded.indices")
        low, high = self.weight_format.minimum, self.weight_format.maximum
        check_range(self.codebooks, low, high, "vector_coded.codebooks")
        if self.weight_format.width + width_of(stages) > MAX_WIDTH:
            rule = f"narrow enough that a sum of {stages} stages fits {MAX_WIDTH} bits"
            raise FieldError(path="vector_coded.weight_format", rule=rule, value=str(self.weight_format))
        check_range(self.reconstruct(), low, high, "vector_coded (sum of stages)")

    def reconstruct(self) -> IntArray:
        """Return the integer weights, int64 [rows, cols]."""
        weights = np.zeros((self.indices.shape[1], self.codebooks.shape[2]), dtype=np.int64)
        per_row = self.cols // self.codebooks.shape[2]
        segment = np.arange(self.indices.shape[1]) % max(1, per_row) // max(1, per_row // self.segments)
        for stage, codebook in zip(self.indices, self.codebooks, strict=True):
            weights += codebook[segment * (len(codebook) // self.segments) + stage]
        return weights.reshape(self.rows, self.cols)


Form = Dense | ScalarCoded | Pyramid | VectorCoded


class StreamKind(StrEnum):
    """What the bits of a stream are spent on."""

    WEIGHT = "weight"
    INDEX = "index"
    CODEBOOK = "codebook"
    TABLE = "table"
    HEADER = "header"
    BIAS = "bias"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """``bits`` bits of one kind, most significant bit first, zero padded to whole bytes in ``payload``.

    ``symbols`` is how many symbols they hold and ``entropy_bits`` what an ideal coder that knows the histogram of those
    symbols (and nothing else) would need for all of them together.
    """

    name: str
    kind: StreamKind
    bits: int
    payload: bytes
    symbols: int = 0
    entropy_bits: float = 0.0

    def __post_init__(self) -> None:
        if len(self.payload) != (self.bits + 7) // 8:
            rule = f"{(self.bits + 7) // 8} bytes for {self.bits} bits"
            raise FieldError(path=f"stream {self.name}", rule=rule, value=len(self.payload))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedLayer:
    """A layer as it stands in a file: ``header`` numbers that say how to read the ``streams``, in file order."""

    header: tuple[int, ...]
    streams: tuple[Stream, ...]

    @property
    def bits(self) -> int:
        """Exact bits of all streams, without the padding to whole bytes."""
        return sum(stream.bits for stream in self.streams)

    @property
    def payload(self) -> bytes:
        """All streams, each padded to whole bytes."""
        return b"".join(stream.payload for stream in self.streams)

    def bytes_of(self, kind: StreamKind) -> int:
        """Whole bytes, padding included, of the streams of one kind."""
        return sum(len(stream.payload) for stream in self.streams if stream.kind is kind)


def _freeze(form: Any, name: str, dtype: npt.DTypeLike, dimensions: int, path: str) -> None:
    object.__setattr__(form, name, read_only(getattr(form, name), dtype, dimensions, path))
