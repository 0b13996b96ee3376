"""Whether the first screen says what was saved and what it cost, and does not boast where nothing was."""

from dataclasses import replace

import pytest

from qsim.errors import DataError
from reports.headline import headline
from reports.provenance import index_ranges, remarks
from reports.views import machines_of
from tests.reports.sample import sample_runs

RUNS = sample_runs()


def test_numbers_are_the_runs() -> None:
    result = headline(machines_of(RUNS, None))
    best = RUNS[3]
    assert result.machine == "sample-sparse-sram"
    assert [tile.value for tile in result.tiles] == [best.ratio, 1.71, best.energy.total_pj / 1e12, best.seconds]
    assert f"{RUNS[0].energy.total_pj / best.energy.total_pj:.1f} times less energy" in result.sentence
    assert "cacti-45nm" in result.sentence
    assert "+0.09 points on 10,000 test images" in result.tiles[1].detail


def test_a_worse_machine_is_called_worse() -> None:
    result = headline(machines_of([RUNS[3], RUNS[0]], None))
    assert "times more energy" in result.sentence
    assert "more energy than sample-sparse-sram" in result.tiles[2].detail
    assert "slower than sample-sparse-sram" in result.tiles[3].detail


def test_one_machine_and_no_accuracy() -> None:
    result = headline(machines_of([replace(RUNS[0], quality=None)], None))
    assert result.tiles[1].text == "not measured" and result.tiles[1].value is None
    assert "the baseline" in result.tiles[2].detail


def test_another_machine_can_be_spoken_of() -> None:
    machines = machines_of(RUNS, None)
    assert headline(machines, "sample-codebook-dram").tiles[0].value == RUNS[1].ratio
    with pytest.raises(DataError, match="highlight"):
        headline(machines, "abacus")


def test_remarks_name_what_is_made_up_or_missing() -> None:
    made_up = replace(RUNS[1], weight_source="SYNTHETIC weights: normal, seed 3; activations: density 0.5 stated")
    han = sample_runs("han2015-45nm")[2]
    found = "\n".join(remarks(machines_of([RUNS[0], made_up, han], None)))
    assert "Synthetic weights, not trained ones: sample-codebook-dram." in found
    assert "han2015-45nm gives no leakage" in found
    assert "different technologies" in found
    trained_on_noise = replace(RUNS[0], weight_source="weights of w.pth; activations: inference on SYNTHETIC input, random, seed 3")
    assert remarks(machines_of([trained_on_noise], None)) == remarks(machines_of(RUNS, None)) == []


def test_index_ranges() -> None:
    assert index_ranges((0, 1, 2, 5, 7, 8)) == "0–2, 5, 7–8"
    assert index_ranges(range(0, 40, 2)).endswith("14 and 12 more")
    assert index_ranges(()) == ""
