"""Is the shipped data the genuine set, and is every other file either read exactly or refused with a reason?"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from qsim.errors import DataError
from workloads.mnist import DIGESTS, SHIPPED, load_mnist, load_test, read_idx


def idx(array: np.ndarray) -> bytes:
    """Write an IDX file of unsigned bytes as its format description says."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_folder(folder: Path, train: int = 24, test: int = 5, packed: bool = True) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    arrays: dict[str, np.ndarray] = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = random.integers(0, 10, count)
    for name, array in arrays.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return arrays


def test_shipped_set_has_the_published_counts_and_digests() -> None:
    data = load_mnist()
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    # Class counts of the test set as published with the database.
    assert np.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    for name, digest in DIGESTS.items():
        raw = gzip.decompress((SHIPPED / f"{name}.gz").read_bytes())
        assert hashlib.md5(raw).hexdigest() == digest


def test_validation_is_the_end_of_the_training_file() -> None:
    data = load_mnist()
    images = read_idx(SHIPPED / "train-images-idx3-ubyte", 3)
    assert np.array_equal(data.validation.images, images[55_000:].reshape(5_000, 784))
    assert np.array_equal(data.train.images[-1], images[54_999].reshape(784))


def test_mean_and_deviation_are_those_the_workload_states() -> None:
    images = read_idx(SHIPPED / "train-images-idx3-ubyte", 3) / 255.0
    assert abs(images.mean() - 0.13066) < 5e-6
    assert abs(images.std() - 0.30811) < 5e-6


@pytest.mark.parametrize("packed", [True, False])
def test_own_folder_is_read_exactly(tmp_path: Path, packed: bool) -> None:
    arrays = write_folder(tmp_path, packed=packed)
    data = load_mnist(tmp_path)
    assert (len(data.train), len(data.validation)) == (22, 2)
    assert np.array_equal(data.test.images, arrays["t10k-images-idx3-ubyte"].reshape(5, 784))
    assert np.array_equal(load_test(tmp_path).labels, arrays["t10k-labels-idx1-ubyte"])
    assert not data.train.images.flags.writeable


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("t10k-images-idx3-ubyte", lambda raw: raw[:-1], "length must be"),
        ("t10k-images-idx3-ubyte", lambda raw: raw + b"\0", "length must be"),
        ("t10k-images-idx3-ubyte", lambda raw: b"\x00\x00\x09\x03" + raw[4:], "magic number must be 00000803"),
        ("t10k-images-idx3-ubyte", lambda raw: raw[:9], "header must be 16 bytes"),
        ("t10k-images-idx3-ubyte", lambda raw: b"", "magic number"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:-1] + b"\x0a", "labels must be 0 to 9, not 10"),
        ("t10k-labels-idx1-ubyte", lambda raw: idx(np.zeros(4)), "5 labels, one an image"),
        ("t10k-images-idx3-ubyte", lambda raw: idx(np.zeros((5, 27, 28))), r"image shape must be \(28, 28\)"),
        ("t10k-images-idx3-ubyte", lambda raw: idx(np.zeros((0, 28, 28))), "image count must be at least 1"),
    ],
)  # fmt: skip
def test_bad_file_is_refused(tmp_path: Path, name: str, spoil: object, message: str) -> None:
    write_folder(tmp_path, packed=False)
    path = tmp_path / name
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]  # parametrised lambdas are typed as object
    with pytest.raises(DataError, match=message):
        load_mnist(tmp_path)


def test_truncated_and_foreign_gzip_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for raw in (whole[:-20], b"not gzip at all"):
        path.write_bytes(raw)
        with pytest.raises(DataError, match="cannot be read"):
            load_test(tmp_path)


def test_digest_is_checked_when_given(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(idx(np.arange(3)))
    digest = hashlib.md5(idx(np.arange(3))).hexdigest()
    assert read_idx(tmp_path / "labels", 1, digest).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="not the genuine file"):
        read_idx(tmp_path / "labels", 1, "0" * 32)
