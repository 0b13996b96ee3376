"""Question: is a finished file reused for exactly what it was made from, and for nothing else?"""

import gzip
from pathlib import Path

import pytest

from qsim.build import build
from qsim.errors import QsimError
from qsim.model.compressed import CompressedModel
from qsim.progress import silent
from workloads.mnist import DIGESTS, SHIPPED
from workloads.weights import SHIPPED as CHECKPOINTS

RECIPE = 'name = "plain"\n[quantise]\nmethod = "fixed"\n[finetune]\nepochs = 0\n'
COUNT = 48  # images of each file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe and ``data``, the first images of the shipped files."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "data").mkdir()
    for name in DIGESTS:
        raw = gzip.decompress((SHIPPED / f"{name}.gz").read_bytes())
        header, item = (16, 784) if "images" in name else (8, 1)
        content = raw[:4] + COUNT.to_bytes(4, "big") + raw[8 : header + COUNT * item]
        (tmp_path / "data" / name).write_bytes(content)
    return tmp_path


def make(folder: Path, weights: Path | None = None) -> tuple[bool, CompressedModel]:
    built = build(
        "lenet-300-100",
        str(folder / "recipe.toml"),
        cache=folder / "cache",
        data=folder / "data",
        weights=weights,
        progress=silent,
    )
    return built.reused, CompressedModel.load(built.path)


def test_the_same_again_is_reused(folder: Path) -> None:
    assert [make(folder)[0], make(folder)[0]] == [False, True]


@pytest.mark.parametrize("name", DIGESTS)
def test_other_data_is_another_file_and_so_is_another_test_set_whose_error_the_file_notes(folder: Path, name: str) -> None:
    before = make(folder)[1]
    content = (folder / "data" / name).read_bytes()
    (folder / "data" / name).write_bytes(content[:-1] + bytes([(content[-1] + 1) % 10]))
    reused, after = make(folder)
    assert not reused
    if name == "t10k-labels-idx1-ubyte":
        step = abs(float(str(after.notes["float_test_error"])) - float(str(before.notes["float_test_error"])))
        assert step == pytest.approx(100 / COUNT, abs=1e-3)  # one label of COUNT is wrong now, or right


def test_the_same_weights_under_another_name_are_named_so(folder: Path) -> None:
    raw = (CHECKPOINTS / "lenet_300_100.safetensors").read_bytes()
    for name in ("mine.safetensors", "yours.safetensors"):
        (folder / name).write_bytes(raw)
        reused, model = make(folder, folder / name)
        assert (reused, model.weight_source) == (False, name)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "nul\\u0000"])
def test_a_recipe_whose_name_is_no_file_name_is_refused(folder: Path, name: str) -> None:
    (folder / "recipe.toml").write_text(RECIPE.replace("plain", name))
    with pytest.raises(QsimError, match="name must be a file's name"):
        make(folder)
    assert not (folder / "cache").exists()


def test_a_build_that_was_stopped_goes_on_and_leaves_no_journal(folder: Path) -> None:
    prune = '[prune]\nmethod = "gradual"\ndensity = 0.5\nepochs = 3\nbatch = 16\n'
    (folder / "recipe.toml").write_text(RECIPE + prune)
    calls: list[tuple[str, int, int]] = []

    def stop(stage: str, done: int, total: int) -> None:
        calls.append((stage, done, total))
        if len(calls) == 2:
            raise KeyboardInterrupt

    def again() -> None:
        build("lenet-300-100", str(folder / "recipe.toml"), cache=folder / "cache", data=folder / "data", progress=stop)

    with pytest.raises(KeyboardInterrupt):
        again()
    assert len(list(folder.glob("cache/*/unfinished"))) == 1
    again()
    assert calls[:3] == [("prune", 1, 3), ("prune", 2, 3), ("prune", 3, 3)]
    assert not list(folder.glob("cache/*/unfinished"))
