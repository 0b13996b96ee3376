"""The file of a whole float network whose matrices are quantised: ``.qsn``.

The frame is that of ``.qsz`` (:mod:`qsim.formats.container`) with the magic ``QSN``. The metadata is one list: name, inputs, outputs,
operators ``[name, kind, inputs, outputs, attributes]``, tensors ``[name, shape, type]``, names of the trained constants, holes, source,
passes, matrices ``[constant, part or -1, layer, rows, columns, header, bytes]``, constants ``[name, shape, type]``. The payload is the
streams of the matrices, each as in a ``.qsz``, then the bytes of every constant that is not coded (biases, tables, the weights of what no
machine runs) as they are, least significant byte first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qsim.errors import FieldError, FileFormatError
from qsim.files import write_bytes_atomically
from qsim.formats.coding import decode_weights, encode_weights
from qsim.formats.container import seal, unseal
from qsim.formats.fields import Bytes, Fields
from qsim.formats.layer import Form
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import MAX_FILE_BYTES, most_weights
from qsim.model.network import Array, Attribute, Hole, Network, Operator, TensorType
from qsim.model.operators.kind import placeholder

MAGIC = b"QSN"
MAX_ITEMS = 1 << 16
MAX_AXIS = 1 << 28
TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedMatrix:
    """A matrix of ``rows`` by ``cols``: header and streams of the weights of ``layer``, which lie in ``constant``.

    ``part``: the direction of a recurrent layer, None where the matrix is the whole constant.
    """

    constant: str
    part: int | None
    layer: str
    rows: int
    cols: int
    header: tuple[int, ...]
    payload: bytes

    @classmethod
    def of(cls, constant: str, part: int | None, layer: str, form: Form, options: EncodeOptions) -> "CodedMatrix":
        """Encode ``form``."""
        found = encode_weights(form, options)
        return cls(constant=constant, part=part, layer=layer, rows=form.rows, cols=form.cols, header=found.header, payload=found.payload)

    def decode(self) -> Form:
        """Return the form, the exact inverse of :meth:`of`. Raises :class:`FileFormatError` for what :meth:`of` cannot have written."""
        payload = Bytes(self.payload, f"payload of {self.layer}")
        try:
            form = decode_weights(Fields(self.header, f"metadata of {self.layer}"), payload, self.rows, self.cols)
        except FieldError as error:
            raise FileFormatError(f"the file describes impossible weights of {self.layer}: {error}") from error
        payload.end()
        return form


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkFile:
    """A network and its encoded matrices. The constants of ``network`` that have a matrix here are placeholders or ignored.

    No ``slots``: the file is computed once and kept.
    """

    network: Network
    matrices: tuple[CodedMatrix, ...]

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for matrix in self.matrices:
            if matrix.constant not in self.network.constants:
                raise FieldError(path=f"matrix {matrix.layer}", rule="a constant of the network", value=matrix.constant)
            sizes[matrix.constant] = sizes.get(matrix.constant, 0) + matrix.rows * matrix.cols
        for name, size in sizes.items():
            if self.network.constants[name].size != size:
                raise FieldError(path=f"matrices of {name}", rule=f"of {self.network.constants[name].size} weights", value=size)

    @cached_property
    def data(self) -> bytes:
        """The whole file."""
        coded = {matrix.constant for matrix in self.matrices}
        plain = [value for name, value in self.network.constants.items() if name not in coded]
        payload = [matrix.payload for matrix in self.matrices] + [_bytes_of(value) for value in plain]
        return seal(
            [*_describe(self.network), _describe_matrices(self.matrices), _describe_constants(self.network)], b"".join(payload), MAGIC
        )

    @property
    def file_bytes(self) -> int:
        """The exact size of the file."""
        return len(self.data)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_bytes_atomically(Path(path), self.data)

    @classmethod
    def load(cls, path: str | Path) -> "NetworkFile":
        """Read a file. Raises :class:`FileFormatError` for one that is not exactly what :meth:`save` wrote."""
        try:
            if Path(path).stat().st_size > MAX_FILE_BYTES:
                raise FileFormatError(path=f"size of {path}", rule=f"at most {MAX_FILE_BYTES} bytes", value=Path(path).stat().st_size)
            data = Path(path).read_bytes()
        except OSError as error:
            raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
        try:
            return cls.from_bytes(data)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> "NetworkFile":
        """Read the content of a file, the exact inverse of :attr:`data`; errors as for :meth:`load`. Matrices are decoded on demand."""
        content, payload = unseal(data, MAGIC)
        try:
            return _read(Fields(content, "metadata"), Bytes(payload, "payload"), most_weights(len(data)))
        except FieldError as error:
            raise FileFormatError(f"the file describes an impossible network: {error}") from error


def is_network_file(path: str | Path) -> bool:
    """Whether a file begins as a stored network does; False for one that cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _bytes_of(value: Array) -> bytes:
    return np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")).tobytes()


def _type_of(dtype: np.dtype[np.generic]) -> str:
    text = dtype.str[1:]
    if text not in TYPES:
        raise FieldError(path="constant", rule=f"of a type that a file can hold: {', '.join(TYPES)}", value=str(dtype))
    return text


def _describe(network: Network) -> list[object]:
    operators = [[op.name, op.kind, list(op.inputs), list(op.outputs), _plain(op.attributes)] for op in network.operators]
    tensors = [[name, list(kind.shape), _type_of(kind.dtype)] for name, kind in network.tensors.items()]
    holes = [[hole.operator, hole.kind, hole.reason, list(hole.constants), int(hole.behind)] for hole in network.holes]
    names = [network.name, list(network.inputs), list(network.outputs)]
    return [*names, operators, tensors, sorted(network.weights), holes, network.source, list(network.passes)]


def _plain(attributes: Mapping[str, Attribute]) -> list[list[object]]:
    return [[name, list(value) if isinstance(value, tuple) else value] for name, value in attributes.items()]


def _describe_matrices(matrices: Sequence[CodedMatrix]) -> list[object]:
    return [
        [item.constant, -1 if item.part is None else item.part, item.layer, item.rows, item.cols, list(item.header), len(item.payload)]
        for item in matrices
    ]


def _describe_constants(network: Network) -> list[object]:
    return [[name, list(value.shape), _type_of(value.dtype)] for name, value in network.constants.items()]


def _read(metadata: Fields, payload: Bytes, most: int) -> NetworkFile:
    name, inputs, outputs = metadata.text("name"), _texts(metadata, "inputs"), _texts(metadata, "outputs")
    operators = tuple(_operator(item) for item in _items(metadata, "operators"))
    tensors = dict(_tensor(item) for item in _items(metadata, "tensors"))
    weights = frozenset(_texts(metadata, "weights"))
    holes = tuple(_hole(item) for item in _items(metadata, "holes"))
    source, passes = metadata.text("source"), _texts(metadata, "passes")
    matrices = tuple(_matrix(item, payload, most) for item in _items(metadata, "matrices"))
    if sum(matrix.rows * matrix.cols for matrix in matrices) > most:
        raise FieldError(path="matrices", rule=f"at most {most} weights for a file of this size", value="more")
    coded = {matrix.constant for matrix in matrices}
    constants = {}
    for key, kind in (_tensor(item) for item in _items(metadata, "constants")):
        constants[key] = placeholder(kind.shape, kind.dtype) if key in coded else _constant(key, kind, payload)
    metadata.end()
    payload.end()
    network = Network(
        name=name, inputs=inputs, outputs=outputs, operators=operators, constants=constants, tensors=tensors, source=source, passes=passes,
        holes=holes, weights=weights,
    )  # fmt: skip
    return NetworkFile(network=network, matrices=matrices)


def _items(fields: Fields, name: str) -> list[Fields]:
    found = fields.fields(name)
    if found.left > MAX_ITEMS:
        raise FileFormatError(path=found.path, rule=f"at most {MAX_ITEMS} items", value=found.left)
    return [found.fields(str(place)) for place in range(found.left)]


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    found = fields.fields(name)
    return tuple(found.text(str(place)) for place in range(found.left))


def _operator(item: Fields) -> Operator:
    name, kind, inputs, outputs = item.text("name"), item.text("kind"), _texts(item, "inputs"), _texts(item, "outputs")
    attributes: dict[str, Attribute] = {}
    for pair in _items(item, "attributes"):
        key = pair.text("name")
        attributes[key] = pair.attribute("value")
        pair.end()
    item.end()
    return Operator(name=name, kind=kind, inputs=inputs, outputs=outputs, attributes=attributes)


def _tensor(item: Fields) -> tuple[str, TensorType]:
    name, sizes = item.text("name"), item.fields("shape")
    shape = tuple(sizes.integer("size", 0, MAX_AXIS) for _ in range(min(sizes.left, 16)))
    sizes.end()
    text = item.text("type")
    if text not in TYPES:
        raise FileFormatError(path=f"{item.path}.type", rule="a known type", value=text, legal=TYPES)
    item.end()
    return name, TensorType(shape, np.dtype(f"<{text}"))


def _hole(item: Fields) -> Hole:
    texts = item.text("operator"), item.text("kind"), item.text("reason")
    constants, behind = _texts(item, "constants"), bool(item.integer("behind", 0, 1))
    item.end()
    return Hole(operator=texts[0], kind=texts[1], reason=texts[2], constants=constants, behind=behind)


def _matrix(item: Fields, payload: Bytes, most: int) -> CodedMatrix:
    constant, part, layer = item.text("constant"), item.integer("part", -1, 1), item.text("layer")
    rows, cols = item.integer("rows", 1, most), item.integer("cols", 1, most)
    numbers = item.fields("header")
    header = tuple(numbers.integer("number", -64, 1 << 40) for _ in range(numbers.left))
    streams = payload.take(layer, item.integer("bytes", 0, payload.left))
    item.end()
    found = None if part < 0 else part
    return CodedMatrix(constant=constant, part=found, layer=layer, rows=rows, cols=cols, header=header, payload=streams)


def _constant(name: str, kind: TensorType, payload: Bytes) -> Array:
    raw = payload.take(name, math.prod(kind.shape) * kind.dtype.itemsize)
    return np.frombuffer(raw, dtype=kind.dtype).reshape(kind.shape)
