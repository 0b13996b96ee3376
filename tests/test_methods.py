"""Does the comparison of methods measure every point, choose the Pareto points rightly and draw them?"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from qsim.arch.presets import MACHINES
from qsim.compress.quantizers import QUANTIZERS
from qsim.energy.loader import load_technology
from qsim.methods import STEPS, Base, MethodBench, Step, bench_methods, recipe_of
from qsim.peers import compare_peers
from qsim.progress import Progress, silent
from reports.pareto import PALETTE, picture
from workloads.mnist import load_mnist

FEW = (
    Step(method="hierarchical", settings="entries = 8", base=Base.DENSE, machine="codebook-dram"),
    Step(method="uniform", settings="entries = 15", base=Base.PRUNED, machine="sparse-sram"),
)


@cache
def found() -> MethodBench:
    full = load_mnist()
    few = replace(full, train=full.train.part(0, 2_000), validation=full.validation.part(0, 500), test=full.test.part(0, 500))
    return bench_methods(
        "lenet-300-100", few, technology="han2015-45nm", images=(0,), steps=FEW, finetune_epochs=0, prune_epochs=2, progress=silent
    )


def test_every_method_is_compared_and_every_step_is_a_recipe_for_a_machine() -> None:
    assert {step.method for step in STEPS} == set(QUANTIZERS)
    for step in STEPS:
        assert isinstance(recipe_of(step, 1, 0).quantise, QUANTIZERS[step.method])
        assert step.machine in MACHINES


def test_points_hold_what_was_measured() -> None:
    dense, pruned = found().points
    assert dense.bits_per_weight == pytest.approx(8 * dense.bytes / 266_200)
    assert dense.ratio == pytest.approx(4 * 266_610 / dense.bytes)
    assert 2.5 < dense.bits_per_weight < 3.1  # eight centroids
    assert pruned.bytes < dense.bytes / 3  # 8 % of the weights
    assert pruned.bytes_context < pruned.bytes
    assert pruned.cycles < dense.cycles
    assert all(0 < point.test_error < 15 and point.energy_pj > 0 for point in (dense, pruned))


def test_pareto_points_are_those_that_none_beats_in_both() -> None:
    first = found().points[0]
    sizes = ((10, 3.0), (20, 2.0), (30, 2.5), (20, 2.2), (40, 1.0), (9, 9.0))
    points = tuple(replace(first, bytes=size, test_error=error) for size, error in sizes)
    best = replace(found(), points=points).pareto()
    assert [(point.bytes, point.test_error) for point in best] == [(9, 9.0), (10, 3.0), (20, 2.0), (40, 1.0)]


def test_peers_work_on_the_same_weights() -> None:
    full = load_mnist()
    few = replace(full, train=full.train.part(0, 2_000), validation=full.validation.part(0, 500), test=full.test.part(0, 500))
    rows = bench_methods(
        "lenet-300-100", few, technology="han2015-45nm", images=(0,), steps=(), prune_epochs=1, peers=True, progress=silent
    ).peers
    assert {row.peer for row in rows} == {"scikit-learn", "faiss-cpu", "constriction", "torchao", "nncodec"}
    assert all(row.installed for row in rows), "the environment of the tests has them"
    for row in rows:
        if row.task == "k-means":
            assert row.ours <= row.theirs * 1.001, "the optimum of one dimension, within a thousandth"
        if row.settings == "static ANS; context":
            assert row.ours < row.theirs, "neighbours tell more than probabilities"
    eight, four, two = (row for row in rows if row.peer == "torchao")
    assert abs(eight.theirs - eight.ours) < 1.0 and two.theirs > four.theirs


def test_a_peer_that_is_not_there_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsim.peers.PEERS", {"no_such_module": ("no-such-peer", None)})
    (row,) = compare_peers(None, silent)  # type: ignore[arg-type]  # nothing is read where no peer runs
    assert not row.installed and row.settings == "not installed: pip install 'qsim-hw[peers]'"


def test_a_run_that_was_killed_goes_on_to_the_same_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = load_mnist()
    few = replace(full, train=full.train.part(0, 1_000), validation=full.validation.part(0, 200), test=full.test.part(0, 200))

    def run(progress: Progress, unfinished: Path | None = None) -> MethodBench:
        return bench_methods(
            "lenet-300-100", few, technology="han2015-45nm", images=(0,), steps=FEW, finetune_epochs=0, prune_epochs=1,
            unfinished=unfinished, progress=progress,
        )  # fmt: skip

    def killed(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("methods", 1):
            raise KeyboardInterrupt

    def pruned_again(stage: str, done: int, total: int) -> None:
        assert stage != "prune"

    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "unfinished")
    assert (tmp_path / "unfinished").exists()
    again = run(pruned_again, tmp_path / "unfinished")
    assert (tmp_path / "unfinished").exists(), "whoever writes the result down removes it"
    monkeypatch.setattr("qsim.methods.load_technology", lambda name: replace(load_technology(name), description="other prices"))
    with pytest.raises(AssertionError):
        run(pruned_again, tmp_path / "unfinished")
    monkeypatch.undo()
    whole = run(silent)
    assert [replace(point, seconds=0.0) for point in again.points] == [replace(point, seconds=0.0) for point in whole.points]


def test_every_method_has_a_colour_of_its_own() -> None:
    assert len(set(PALETTE)) == len(PALETTE) >= len(QUANTIZERS)


def test_the_picture_is_drawn() -> None:
    files = picture(found())
    assert set(files) == {"pareto.svg", "pareto.png"}
    assert b"hierarchical" in files["pareto.svg"]
