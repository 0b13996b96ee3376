"""The MNIST digits: read the shipped set, or a folder of the user's own in the same IDX format.

An IDX file is a big-endian header, two zero bytes, element type (8: unsigned byte), number of dimensions, one
32-bit size for each, then the elements (Y. LeCun, "The IDX file format"). Files may be plain or gzipped.

The test set serves one purpose, the figure reported at the end: every choice is made on the validation split, which
is the last twelfth of the training file (5,000 of 60,000 images).
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.errors import DataError

SHIPPED = Path(__file__).parent / "data"
SIDE = 28
CLASSES = 10
VALIDATION_PART = 12  # one twelfth of the training file: 5,000 of 60,000

# MD5 of the uncompressed files.
DIGESTS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """``images`` uint8 [n, 784], row by row, 0 black to 255 white; ``labels`` int64 [n], 0 to 9. Read-only."""

    images: ByteArray
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(path="labels", rule=f"as many as the {len(self.images)} images", value=len(self.labels))
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> "Split":
        """Return the items ``start`` to ``stop`` as views."""
        return Split(images=self.images[start:stop], labels=self.labels[start:stop])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mnist:
    """The three splits, and where they came from."""

    train: Split
    validation: Split
    test: Split
    source: str


def read_idx(path: Path, dimensions: int, digest: str | None = None) -> ByteArray:
    """Return the array in the IDX file ``path`` (or ``path`` + ".gz"), which must have ``dimensions`` dimensions.

    Raises :class:`DataError` where the file is missing, truncated, of another type or shape, or, if a ``digest`` is
    given, where the MD5 of its uncompressed bytes differs.
    """
    raw = _read(path)
    if digest is not None and hashlib.md5(raw, usedforsecurity=False).hexdigest() != digest:
        raise DataError(f"{path} is not the genuine file: its MD5 digest differs from {digest}")
    start = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    if raw[:4] != magic:
        raise DataError(path=f"{path} magic number", rule=f"{magic.hex()} (unsigned bytes, {dimensions} dimensions)", value=raw[:4].hex())
    if len(raw) < start:
        raise DataError(path=f"{path} header", rule=f"{start} bytes", value=len(raw))
    shape = tuple(int(size) for size in np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4))
    expected = start + int(np.prod([int(size) for size in shape], dtype=object))
    if len(raw) != expected:
        raise DataError(path=f"{path} length", rule=f"{expected} bytes as its header says", value=len(raw))
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def _read(path: Path) -> bytes:
    packed = path.with_name(path.name + ".gz")
    try:
        if path.is_file():
            return path.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise DataError(f"neither {path} nor {packed.name} beside it exists") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed} cannot be read: {error}") from error


def load_mnist(folder: Path | None = None) -> Mnist:
    """Return the digits of ``folder``, or the shipped set, whose digests are checked.

    A folder needs the four IDX files under their usual names, 28 x 28 images, labels 0 to 9; any number of items.
    """
    root = SHIPPED if folder is None else folder
    train, test = (_load_pair(root, part, check=folder is None) for part in ("train", "t10k"))
    kept = len(train) - len(train) // VALIDATION_PART
    return Mnist(
        train=train.part(0, kept),
        validation=train.part(kept, len(train)),
        test=test,
        source="MNIST" if folder is None else str(folder),
    )


def load_test(folder: Path | None = None) -> Split:
    """Return only the test split, with the checks of :func:`load_mnist`."""
    return _load_pair(SHIPPED if folder is None else folder, "t10k", check=folder is None)


def _load_pair(root: Path, part: str, check: bool) -> Split:
    names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    images, labels = (read_idx(root / name, rank, DIGESTS[name] if check else None) for name, rank in zip(names, (3, 1), strict=True))
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(path=f"{root / names[0]} image shape", rule=f"({SIDE}, {SIDE})", value=images.shape[1:])
    least = VALIDATION_PART if part == "train" else 1
    if len(images) < least:
        raise DataError(path=f"{root / names[0]} image count", rule=f"at least {least}", value=len(images))
    if labels.size and int(labels.max()) >= CLASSES:
        raise DataError(path=f"{root / names[1]} labels", rule=f"0 to {CLASSES - 1}", value=int(labels.max()))
    if len(images) != len(labels):
        raise DataError(path=str(root / names[1]), rule=f"{len(images)} labels, one an image", value=len(labels))
    return Split(images=images.reshape(len(images), SIDE * SIDE), labels=labels.astype(np.int64))
