"""Where the bytes of a file of a whole network go: streams of the matrices, constants as they are, header."""

from dataclasses import dataclass
from functools import cached_property

from qsim.encode.sizes import kept_weights
from qsim.errors import FileFormatError
from qsim.formats.coding import encode_weights
from qsim.formats.layer import CompressedLayer, StreamKind
from qsim.formats.symbols import EncodeOptions
from qsim.model.network_file import CodedMatrix, NetworkFile
from qsim.progress import Progress, silent

CONSTANTS = "constant"  # beside the kinds of streams: what no matrix is in


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSize:
    """One matrix of a file: ``kept`` of ``rows * cols`` weights are stored; ``form`` is what they became."""

    layer: str
    constant: str
    form: str
    rows: int
    cols: int
    kept: int
    encoded: CompressedLayer

    @property
    def weights(self) -> int:
        """Elements of the matrix."""
        return self.rows * self.cols

    @property
    def bytes(self) -> int:
        """Bytes of all its streams."""
        return len(self.encoded.payload)


@dataclass(frozen=True, kw_only=True)
class NetworkSizes:
    """The sizes of ``file``, every byte of it counted once."""

    file: NetworkFile
    matrices: tuple[MatrixSize, ...]

    @cached_property
    def constants(self) -> tuple[tuple[str, int], ...]:
        """Names and bytes of the constants that are stored as they are, the largest first."""
        coded = {matrix.constant for matrix in self.file.matrices}
        sizes = [(name, value.size * value.dtype.itemsize) for name, value in self.file.network.constants.items() if name not in coded]
        return tuple(sorted(sizes, key=lambda item: -item[1]))

    @property
    def bytes_by_kind(self) -> dict[str, int]:
        """The file's bytes by what they are spent on; the sum is exactly the size of the file."""
        split = {str(kind): sum(matrix.encoded.bytes_of(kind) for matrix in self.matrices) for kind in StreamKind if kind != "bias"}
        split[CONSTANTS] = sum(size for _, size in self.constants)
        split[str(StreamKind.HEADER)] += self.file.file_bytes - sum(split.values())
        return split


def network_sizes(file: NetworkFile, progress: Progress = silent) -> NetworkSizes:
    """Decode every matrix of a file and count its streams.

    Raises :class:`FileFormatError` for a matrix that is not coded as :meth:`CodedMatrix.of` codes it: its bytes would be a guess.
    """
    found = []
    for number, matrix in enumerate(file.matrices, 1):
        found.append(_size(matrix))
        progress("decode", number, len(file.matrices))
    return NetworkSizes(file=file, matrices=tuple(found))


def _size(matrix: CodedMatrix) -> MatrixSize:
    form = matrix.decode()
    encoded = encode_weights(form, EncodeOptions())
    if (encoded.header, encoded.payload) != (matrix.header, matrix.payload):
        raise FileFormatError(path=f"matrix {matrix.layer}", rule="coded in the fewest bits, as qsim writes it", value="another code")
    return MatrixSize(
        layer=matrix.layer, constant=matrix.constant, form=type(form).__name__, rows=matrix.rows, cols=matrix.cols,
        kept=kept_weights(form), encoded=encoded,
    )  # fmt: skip
