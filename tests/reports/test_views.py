"""Whether the rows behind the figures hold exactly what the results hold."""

from dataclasses import replace

import pytest

from qsim.errors import DataError
from qsim.results import Source
from reports.views import component_joules, label_runs, layer_views, machines_of, time_by_class, unit_class
from tests.reports.sample import PES, sample_runs

RUNS = sample_runs()


def test_components_add_up_to_the_total() -> None:
    for run in RUNS:
        assert sum(component_joules(run).values()) == pytest.approx(run.energy.total_pj * 1e-12)


def test_leakage_is_absent_where_it_is_not_known() -> None:
    assert "Leakage" in component_joules(RUNS[0])
    assert "Leakage" not in component_joules(sample_runs("han2015-45nm")[0])


def test_layers_add_up_to_the_run() -> None:
    for run in RUNS:
        layers = layer_views(run)
        assert sum(layer.cycles for layer in layers) == pytest.approx(run.cycles)
        assert sum(layer.seconds for layer in layers) == pytest.approx(run.seconds)
        assert sum(layer.joules for layer in layers) == pytest.approx(run.energy.dynamic_pj * 1e-12)


def test_traffic_by_hand() -> None:
    """The first layer of the dense sample reads 784 x 300 weights of 16 bits from DRAM: 470,400 bytes, 14,700 bursts of 32."""
    layer = layer_views(RUNS[0])[0]
    assert layer.dram_bytes == layer.moved_bytes == 784 * 300 * 2
    on_chip = layer_views(RUNS[3])[0]
    assert on_chip.dram_bytes == 0 and on_chip.moved_bytes > 0


def test_unit_cycles_are_conserved() -> None:
    for run in RUNS:
        total = sum(layer.cycles for inputs in run.layers for layer in inputs)
        times = time_by_class(run)
        assert sum(times["pe"].values()) == PES * total
        assert sum(times["scan"].values()) == total


@pytest.mark.parametrize(
    ("unit", "kind"),
    [("pe.12", "pe"), ("pe[3]", "pe"), ("pe12", "pe"), ("pe_7", "pe"), ("scan", "scan"), ("dram.weights", "dram.weights"), ("7", "7")],
)
def test_unit_classes(unit: str, kind: str) -> None:
    assert unit_class(unit) == kind


def test_labels_are_distinct_and_no_longer_than_needed() -> None:
    first = RUNS[0]
    other_recipe = replace(first, recipe=Source(name="other", hash="0"))
    assert label_runs(RUNS) == [run.architecture.name for run in RUNS]
    assert label_runs([first, other_recipe]) == ["sample-dense-dram, sample-dense", "sample-dense-dram, other"]
    assert len(set(label_runs([first, first, first]))) == 3


def test_the_baseline_comes_first() -> None:
    assert machines_of(RUNS, None)[0].label == "sample-dense-dram"
    machines = machines_of(RUNS, "sample-codebook-dram")
    assert machines[0].label == "sample-codebook-dram" and [machine.number for machine in machines] == [0, 1, 2, 3]
    with pytest.raises(DataError, match="did you mean 'sample-dense-dram'"):
        machines_of(RUNS, "sample-dens-dram")
    with pytest.raises(DataError, match="at least one run"):
        machines_of([], None)
