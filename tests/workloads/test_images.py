"""Are pictures read as they lie in the files, and is a wrong folder one clear error?"""

import numpy as np
import pytest
from PIL import Image

from qsim.errors import DataError
from workloads.images import SCALES, load_pictures


def cifar(folder, count: int = 4) -> np.ndarray:
    """Write a test set of ``count`` pictures and return its records."""
    records = np.random.default_rng(0).integers(0, 256, (count, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    folder.mkdir(exist_ok=True)
    (folder / "test_batch.bin").write_bytes(records.tobytes())
    return records


def test_cifar_is_planes_of_red_green_and_blue(tmp_path) -> None:
    records = cifar(tmp_path)
    found = load_pictures(tmp_path, (32, 32), (3, 1))
    assert found.labels.tolist() == [3, 1]
    assert found.pictures[1, 2, 5, 7] == records[1, 1 + 2 * 1024 + 5 * 32 + 7]
    value = found.scale.apply(found.pictures[0])[0, 1, 0, 0]
    assert value == pytest.approx((records[3, 1 + 1024] / 255 - 0.4822) / 0.2435, abs=1e-6)


def test_folders_are_classes_in_order_of_their_names(tmp_path) -> None:
    """A picture of one colour stays so; the middle of a wide one is cut out."""
    for name, colour in (("n02", (10, 20, 30)), ("n01", (250, 0, 0))):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 64), colour).save(tmp_path / name / "a.png")
    wide = np.zeros((64, 192, 3), dtype=np.uint8)
    wide[:, 64:128] = 200
    Image.fromarray(wide).save(tmp_path / "n02" / "b.png")
    found = load_pictures(tmp_path, (28, 28), range(3))
    assert (found.classes, found.labels.tolist(), found.scale) == (2, [0, 1, 1], SCALES["imagenet"])
    assert found.pictures.shape == (3, 3, 28, 28)
    assert found.pictures[1, :, 3, 3].tolist() == [10, 20, 30]
    assert np.all(found.pictures[2, :, :, 2:-2] == 200)


def test_wrong_folders_are_named(tmp_path) -> None:
    cifar(tmp_path / "good")
    cases = [("good", (224, 224), (0,), "32 x 32"), ("good", (32, 32), (4,), "within 0:4"), ("none", (32, 32), (0,), "a folder")]
    for name, content in (("short", bytes(3072)), ("label", bytes([10]) + bytes(3072))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_batch.bin").write_bytes(content)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "test_batch").write_bytes(b"")
    (tmp_path / "text" / "class").mkdir(parents=True)
    (tmp_path / "text" / "class" / "a.png").write_text("no picture")
    (tmp_path / "bare").mkdir()
    cases += [("short", (32, 32), (0,), "multiple of 3073"), ("label", (32, 32), (0,), "0 to 9"), ("pickled", (32, 32), (0,), "pickled")]
    cases += [("text", (32, 32), (0,), "no picture"), ("bare", (32, 32), (0,), "holds neither")]
    for name, side, chosen, words in cases:
        with pytest.raises(DataError, match=words):
            load_pictures(tmp_path / name, side, chosen)
