"""Asks whether the waveforms of the RTL and of the simulator show the same layer: every row in every cycle, and views that fit both."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qsim.arch import presets
from qsim.arch.architecture import Architecture
from qsim.array_job import array_job
from qsim.errors import QsimError
from qsim.model.compressed import QuantisedLayer
from qsim.sim import event
from qsim.sim.lower import lower
from qsim.sim.semantics import run_layer
from qsim.verify import PLACES
from qsim.wave import simulated_rows, wave_files
from rtl.parameters import ArrayParameters
from rtl.rows import Row, rows_of
from rtl.wave import TICKS, Dumped, dump
from tests.rtl.cases import Case, Maker, cases_for, coded_layer
from tests.rtl.machines import MACHINES
from tests.rtl.waves import SMALL, signals, values

pytestmark = pytest.mark.rtl


def busy_case() -> Case:
    """All weights of even columns in PE 0, runs of zero activations: its queue fills, the other PE starves, rows of zeros pass."""
    make = Maker(SMALL, np.random.default_rng(11))
    weights = make.weights(11, 61, 0.8)
    weights[1::2, ::2] = 0
    inputs = make.inputs(1, 61, 0.8)
    inputs[:, 20:41] = 0
    inputs[:, 55:] = 0
    return Case(coded_layer(SMALL, weights, make.bias(11), up=-8, relu=False), inputs)


@dataclass(frozen=True)
class Shown:
    """A layer's waveforms in a folder, and what they are of."""

    layer: QuantisedLayer
    inputs: np.ndarray
    rows: tuple[Row, ...]
    dumped: Dumped
    files: dict[str, Path]

    def of(self, dump_name: str) -> dict[tuple[str, str], np.ndarray]:
        """Return every row of a dump from cycle -1 to the one after the layer."""
        found = signals(self.files[dump_name])
        return {(row.unit, row.name): values(found[".".join(row.path)], self.dumped.start, self.dumped.cycles, TICKS) for row in self.rows}


def show(machine: Architecture, case: Case, build_dir: Path, target: Path) -> Shown:
    """Write the waveforms of a case's first input."""
    given = case.inputs[:1]
    dumped = dump(machine, array_job(case.layer, machine, given), build_dir, target)
    rows = rows_of(ArrayParameters.of(machine))
    files = wave_files(target, rows, simulated_rows(case.layer, machine, given[0]), dumped, target.read_bytes())
    for path, content in files.items():
        path.write_bytes(content)
    return Shown(case.layer, given, rows, dumped, {path.name: path for path in files})


@pytest.fixture(scope="module")
def shown(build_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return show(SMALL, busy_case(), build_dir, tmp_path_factory.mktemp("wave") / "layer.vcd")


def test_every_row_is_the_same_in_every_cycle(shown: Shown) -> None:
    rtl, simulator = shown.of("layer.vcd"), shown.of("layer.sim.vcd")
    for name, row in rtl.items():
        np.testing.assert_array_equal(row, simulator[name], err_msg=".".join(name))
    assert all(row.any() for row in rtl.values()), "a row is of no use for the comparison: nothing happens in it"
    assert rtl["queue0", "level"].max() == SMALL.array.queue.depth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("2 dense PEs", ".vcd"),
        ("2 dense PEs, every column", ".vcd"),
        ("2 codebook PEs", ".vcd"),
        ("2 pvq PEs", ".vcd"),
        ("3 narrow PEs", ".fst"),
    ],
)
def test_every_row_is_the_same_for_every_kind_of_pe(name: str, suffix: str, build_dir: Path, tmp_path: Path) -> None:
    cases = cases_for(MACHINES[name], seed=5)
    for case_name in ("typical", "bursty", "edges 3"):  # a simulation each: an input of zeros, everything happens, no weights
        case = cases[case_name]
        result = show(MACHINES[name], case, build_dir, tmp_path / f"layer{suffix}")
        rtl, simulator = result.of(f"layer{suffix}"), result.of("layer.sim.vcd")
        for row, found in rtl.items():
            np.testing.assert_array_equal(found, simulator[row], err_msg=f"{case_name}, {'.'.join(row)}")


def test_the_rows_are_the_transfers_and_outputs(shown: Shown) -> None:
    lowered = lower(shown.layer, SMALL)
    timeline = event.simulate(lowered.program(shown.inputs[0]), timeline=True).timeline
    rtl = shown.of("layer.vcd")

    def cycles(unit: str, name: str) -> np.ndarray:
        return np.flatnonzero(rtl[unit, name]) - 1

    np.testing.assert_array_equal(cycles("broadcast", "sent"), timeline.broadcast)
    for pe in range(SMALL.array.pes):
        for place in PLACES[1:]:
            np.testing.assert_array_equal(cycles(f"pe{pe}", place), getattr(timeline, place)[pe], err_msg=place)
    sent = cycles("broadcast", "sent") + 1
    np.testing.assert_array_equal(rtl["scan", "column"][sent], np.flatnonzero(shown.inputs[0]))
    outputs = np.stack([rtl["drain", f"output{pe}"][cycles("drain", "result") + 1] for pe in range(SMALL.array.pes)], axis=1)
    expected = run_layer(shown.layer, shown.inputs)[0]
    assert len(set(expected.tolist())) > 2, "outputs that are all saturated prove little"
    np.testing.assert_array_equal(outputs.ravel()[: len(expected)].astype(np.uint16).astype(np.int16), expected)


def test_a_cycle_can_be_read_off_the_time(shown: Shown) -> None:
    assert shown.dumped.start % 1000 == 0
    cycle = shown.of("layer.sim.vcd")["layer", "cycle"]
    np.testing.assert_array_equal(cycle, np.r_[0, np.arange(shown.dumped.cycles + 1)])


@pytest.mark.parametrize("name", ["layer", "layer.sim"])
def test_views_name_what_the_dump_has(shown: Shown, name: str) -> None:
    text = shown.files[f"{name}.gtkw"].read_text()
    named = re.findall(r"^(wave\.[\w.]+)(?:\[\d+:0\])?$", text, flags=re.MULTILINE)
    assert f'[dumpfile] "{name}.vcd"' in text
    assert named == [".".join(row.path) for row in shown.rows]
    assert set(named) <= set(signals(shown.files[f"{name}.vcd"]))
    surfer = re.findall(r"^variable_add (\S+)$", shown.files[f"{name}.sucl"].read_text(), flags=re.MULTILINE)
    assert surfer == named


def test_both_views_show_the_same_rows_in_the_same_order(shown: Shown) -> None:
    rtl, simulator = (shown.files[f"{name}.gtkw"].read_text() for name in ("layer", "layer.sim"))
    assert rtl.replace("layer.vcd", "layer.sim.vcd") == simulator
    groups = re.findall(r"^-(\w+)$", rtl, flags=re.MULTILINE)[::2]
    assert groups == ["layer", "scan", "broadcast", "queue0", "queue1", "pe0", "pe1", "drain", "stall"]


def test_the_view_shows_the_layer_in_the_window_as_it_opens(shown: Shown) -> None:
    # GTKWave 3.3 draws 200 pixels for 2 ** -zoom ticks (its pixelsperframe), and opens with 560 pixels for the waves.
    found = re.search(r"^\*(-?[\d.]+) ", shown.files["layer.gtkw"].read_text(), flags=re.MULTILINE)
    assert found
    stamps = [int(line[1:]) for line in shown.files["layer.sim.vcd"].read_text().splitlines() if re.fullmatch(r"#\d+", line)]
    cycles = min((stamps[-1] - stamps[0]) // 10, 140)
    assert 560 / 200 * 2 ** -float(found[1]) == pytest.approx(10 * cycles, rel=0.05)


def test_the_inside_of_the_design_is_there_too(shown: Shown) -> None:
    names = signals(shown.files["layer.vcd"])
    assert "wave.rtl.array.queue0.level" in names
    assert not [name for name in names if re.search(r"\.\$\d+$", name)], "signals without a name"


def test_nothing_is_written_for_a_layer_that_cannot_run(tmp_path: Path) -> None:
    case = busy_case()
    with pytest.raises(QsimError, match="pointers must be of 4 PEs, not 2"):
        dump(presets.MACHINES["sparse-rtl-4"], array_job(case.layer, SMALL, case.inputs), tmp_path / "build", tmp_path / "layer.vcd")
    assert not list(tmp_path.iterdir())
