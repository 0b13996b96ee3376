"""Labelled pictures for networks: the binary CIFAR-10, and folders of pictures with a folder a class, as ImageNet is laid out.

CIFAR-10 (A. Krizhevsky, 2009), binary version: records of 3,073 bytes, a label and 1,024 red, green and blue pixels each; the test set is
``test_batch.bin``. The version for Python is pickled and therefore not read. Values are divided by 255, then normalised per channel;
deviations are those of all training pixels. Pictures of folders are scaled (bilinear) so that their shorter side is 256/224 of the
network's and cut to its middle, and normalised with the means and deviations that torchvision's classifiers were trained with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.errors import DataError, MissingExtra

RECORD = 1 + 3 * 32 * 32
CIFAR_CLASSES = 10
CIFAR_TEST = "test_batch.bin"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How pixels become activations: ``(value / 255 - mean) / deviation`` of red, green and blue."""

    name: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def apply(self, picture: Bytes) -> npt.NDArray[np.float32]:
        """Return a picture [3, height, width] as the input of a network [1, 3, height, width]."""
        mean, deviation = (np.array(values, dtype=np.float32).reshape(3, 1, 1) for values in (self.mean, self.deviation))
        return ((picture.astype(np.float32) / np.float32(255) - mean) / deviation)[None]

    def __str__(self) -> str:
        return f"normalised {self.name}: mean {self.mean}, deviation {self.deviation}"


SCALES = {
    "cifar-10": Scale(name="cifar-10", mean=(0.4914, 0.4822, 0.4465), deviation=(0.2470, 0.2435, 0.2616)),
    "imagenet": Scale(name="imagenet", mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPictures:
    """``pictures`` [n, 3, height, width] with the ``labels`` [n] of ``classes`` classes; ``source`` says where from."""

    pictures: Bytes
    labels: npt.NDArray[np.int64]
    classes: int
    scale: Scale
    source: str


def load_pictures(folder: Path, side: tuple[int, int], chosen: Sequence[int]) -> LabelledPictures:
    """Return the pictures ``chosen`` by number of the test set in ``folder`` at the size that a network takes.

    Raises :class:`DataError` for a folder of another kind, a damaged file, pictures of another size or too few of them.
    """
    if not folder.is_dir():
        raise DataError(path="--data", rule="a folder", value=str(folder))
    if (folder / CIFAR_TEST).is_file():
        return _cifar(folder / CIFAR_TEST, side, chosen)
    if any(folder.glob("test_batch")) or any(folder.glob("data_batch_?")):
        raise DataError(f"{folder} is CIFAR-10 for Python, which is pickled: take the binary version (cifar-10-batches-bin)")
    return _folders(folder, side, chosen)


def read_cifar(path: Path) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Return pictures [n, 3, 32, 32] and labels [n] of one file of the binary version."""
    try:
        raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not raw.size or raw.size % RECORD:
        raise DataError(path=f"size of {path.name}", rule=f"a multiple of {RECORD} bytes", value=raw.size)
    records = raw.reshape(-1, RECORD)
    if int(records[:, 0].max()) >= CIFAR_CLASSES:
        raise DataError(path=f"labels of {path.name}", rule=f"0 to {CIFAR_CLASSES - 1}", value=int(records[:, 0].max()))
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _cifar(path: Path, side: tuple[int, int], chosen: Sequence[int]) -> LabelledPictures:
    if side != (32, 32):
        raise DataError(path="--data", rule=f"pictures for an input of {side[0]} x {side[1]}", value="CIFAR-10 of 32 x 32")
    pictures, labels = read_cifar(path)
    _check_range(chosen, len(labels), path)
    part = list(chosen)
    return LabelledPictures(
        pictures=pictures[part], labels=labels[part], classes=CIFAR_CLASSES, scale=SCALES["cifar-10"], source=f"CIFAR-10 {path.name}"
    )


def _folders(folder: Path, side: tuple[int, int], chosen: Sequence[int]) -> LabelledPictures:
    """Classes are the folders in order of their names, as torchvision counts them."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in _files(folder / name)]
    if not files:
        raise DataError(f"{folder} holds neither {CIFAR_TEST} nor folders of pictures ({', '.join(SUFFIXES)})")
    _check_range(chosen, len(files), folder)
    found = [files[place] for place in chosen]
    return LabelledPictures(
        pictures=np.stack([read_picture(path, side) for path, _ in found]),
        labels=np.array([label for _, label in found], dtype=np.int64),
        classes=len(classes),
        scale=SCALES["imagenet"],
        source=f"folders of {folder.name}",
    )


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def read_picture(path: Path, side: tuple[int, int]) -> Bytes:
    """Return the middle of a picture [3, height, width], scaled as the module's description says."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("images", "reading pictures") from None
    height, width = side
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no picture that can be read: {error}") from error
    share = max(height, width) * 256 / 224 / min(picture.size)
    scaled = picture.resize(
        (max(width, round(picture.width * share)), max(height, round(picture.height * share))), Image.Resampling.BILINEAR
    )
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    cut = scaled.crop((left, top, left + width, top + height))
    return np.asarray(cut, dtype=np.uint8).transpose(2, 0, 1)


def _check_range(chosen: Sequence[int], count: int, path: Path) -> None:
    for place in chosen:
        if not 0 <= place < count:
            raise DataError(path="--images", rule=f"within 0:{count}, the pictures in {path}", value=place)
