# amaranth: UnusedElaboratable=no
"""Asks whether memories become block RAM and multipliers DSPs, whether synthesis is cached and clear about mistakes, and (slow) whether
the arrays reach their frequencies.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from qsim.arch.presets import MACHINES
from qsim.errors import MissingExtra, QsimError
from rtl.boards import DEVICES
from rtl.boards.device import Resource
from rtl.place import Netlist, PathPart, critical_path, place_and_route, without_numbers
from rtl.synth import Synthesis, synthesise

ONE_PE = MACHINES["sparse-up5k"].replace("array.pes", 1).replace("activations.bytes", 2048)
WEIGHTS, LANE = "array.pe0.reader.weights", "array.drain.lane0"
MEMORIES = {"array.scan.activations", "array.pe0.fetch.even", "array.pe0.fetch.odd", "array.pe0.accumulator.sums", f"{LANE}.biases"}


@pytest.fixture(scope="module")
def synth_dir(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("synth")


def homes(device: str, folder: Path, kind: str) -> set[str]:
    """Return the modules that cells of a kind stand for, in the netlist of one PE made for a device."""
    found = synthesise(ONE_PE, device, build_dir=folder, place=False)
    cells = json.loads((folder / found.netlist / "design.json").read_text())["modules"]["shell"]["cells"]
    names = [without_numbers(name) for name, cell in cells.items() if cell["type"] == kind]
    return {max((home for home in MEMORIES | {WEIGHTS} if name.startswith(f"{home}.")), default=name) for name in names}


def test_ecp5_holds_memories_in_block_ram_and_multiplies_in_dsps(synth_dir: Path) -> None:
    found = synthesise(ONE_PE, "ecp5-25k", build_dir=synth_dir, place=False)
    assert homes("ecp5-25k", synth_dir, "DP16KD") == MEMORIES | {WEIGHTS}
    # 32 KiB of weights in blocks of 2 KiB; every other memory of this machine fits one block.
    assert found.used["block RAMs"] == 16 + len(MEMORIES)
    assert found.used["DSPs"] == found.pes
    # Pointers, weights and activations as flip-flops would be 290,000.
    assert found.used["flip-flops"] < 2000
    assert found.fmax_mhz is None


def test_up5k_holds_weights_in_single_port_ram(synth_dir: Path) -> None:
    found = synthesise(ONE_PE, "up5k", build_dir=synth_dir, place=False)
    assert homes("up5k", synth_dir, "SB_SPRAM256KA") == {WEIGHTS}
    assert homes("up5k", synth_dir, "SB_RAM40_4K") >= MEMORIES
    assert WEIGHTS not in homes("up5k", synth_dir, "SB_RAM40_4K")
    assert found.used["single-port RAMs"] == found.pes
    assert found.used["DSPs"] == found.pes


def test_a_result_is_looked_up(synth_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synthesise(ONE_PE, "ecp5-25k", build_dir=synth_dir, place=False)
    stages: list[tuple[str, int]] = []
    monkeypatch.setattr("rtl.synth.run_yosys", None)
    renamed = ONE_PE.replace("name", "another name")
    again = synthesise(
        renamed, "ecp5-25k", build_dir=synth_dir, place=False, progress=lambda stage, done, total: stages.append((stage, done))
    )
    assert again == dataclasses.replace(first, machine="another name")
    assert stages == []


def test_the_shell_is_counted(synth_dir: Path) -> None:
    found = synthesise(ONE_PE, "ecp5-25k", build_dir=synth_dir, place=False)
    # busy, 32 bits of cycles, valid, 8 bits of row and one output of 16 bits go out; start and the load bus come in.
    assert found.shell_registers > 1 + 32 + 1 + 8 + 16 + 1
    assert found.shell_registers < found.used["flip-flops"]
    assert found.used["pins"] == 4


@pytest.mark.parametrize(
    ("device", "told"),
    [("ecp5-25", r"no such device 'ecp5-25' \(did you mean 'ecp5-25k'\?\); devices: ecp5-25k, .*xc7"), ("xyz", "no such device 'xyz'; ")],
)
def test_an_unknown_device_is_told_with_the_nearest(device: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(QsimError, match=told):
        synthesise(ONE_PE, device, build_dir=tmp_path)


def test_what_does_not_fit_is_told_with_what_there_is() -> None:
    used = {Resource.LUTS: 5280, Resource.BLOCK_RAMS: 36, Resource.DSPS: 9}
    with pytest.raises(QsimError) as found:
        DEVICES["up5k"].require_room(used)
    assert str(found.value).endswith(
        "does not fit up5k (Lattice iCE40UP5K-SG48): it takes 9 DSPs and there are 8; it takes 36 block RAMs and there are 30"
    )


def test_missing_tools_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEVICES, "up5k", dataclasses.replace(DEVICES["up5k"], placer=("no_such_nextpnr",)))
    with pytest.raises(MissingExtra, match=r"qsim-hw\[synth\]"):
        synthesise(ONE_PE, "up5k", build_dir=tmp_path)


def test_cells_are_counted_by_the_beginning_of_their_names() -> None:
    assert DEVICES["up5k"].used({"SB_DFFESR": 3, "SB_DFF": 2, "SB_LUT4": 7, "$scopeinfo": 4, "SB_CARRY": 9}) == {
        Resource.LUTS: 7,
        Resource.FLIP_FLOPS: 5,
        Resource.DSPS: 0,
        Resource.BLOCK_RAMS: 0,
        Resource.LARGE_RAMS: 0,
        Resource.PINS: 0,
    }


def _step(kind: str, delay: float, cell: str) -> dict[str, Any]:
    return {"type": kind, "delay": delay, "from": {"cell": "?"}, "to": {"cell": cell}}


def test_the_critical_path_is_told_in_modules() -> None:
    steps = [
        _step("clk-to-q", 0.5, "array.pe0$7.reader.start_FF"),
        _step("routing", 1.0, "array.pe0$7.reader.last_LUT4"),
        _step("logic", 0.25, "array.pe0$7.reader.last_LUT4"),
        _step("routing", 2.0, "array.queue0.level_FF"),
        _step("setup", 0.125, "array.queue0.level_FF"),
    ]
    paths = [
        {"from": "<async>", "to": "posedge clk", "path": [_step("routing", 9.0, "array.x")]},
        {"from": "posedge clk", "to": "posedge clk", "path": steps},
    ]
    assert critical_path(paths, ("array", "array.pe0$7", "array.pe0$7.reader", "array.queue0")) == (
        PathPart(module="array.pe0.reader", logic_ns=0.75, routing_ns=1.0, cells=2),
        PathPart(module="array.queue0", logic_ns=0.125, routing_ns=2.0, cells=0),
    )
    assert critical_path([], ()) == ()


def test_what_nextpnr_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "design.json").write_text("{}")
    netlist = Netlist(path=tmp_path / "design.json", cells={}, modules=())
    with pytest.raises(QsimError, match=r"nextpnr could not place and route for up5k: ERROR: .*modules"):
        place_and_route(netlist, DEVICES["up5k"], 1, tmp_path, lambda stage, done, total: None)


def _placed(machine: str, device: str, folder: Path) -> Synthesis:
    found = synthesise(MACHINES[machine], device, build_dir=folder)
    assert found.fmax_mhz is not None
    assert found.critical_path
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("machine", "device", "mhz"), [("sparse-up5k", "up5k", 36), ("sparse-rtl-16", "ecp5-85k", 95)])
def test_the_array_reaches_its_frequency(machine: str, device: str, mhz: float, synth_dir: Path) -> None:
    assert (_placed(machine, device, synth_dir).fmax_mhz or 0) >= mhz


@pytest.mark.slow
def test_a_machine_too_large_is_refused_before_it_is_placed(synth_dir: Path) -> None:
    with pytest.raises(QsimError, match=r"does not fit hx8k \(Lattice iCE40HX8K-CT256\): .* block RAMs and there are 32"):
        synthesise(MACHINES["sparse-rtl-1"], "hx8k", build_dir=synth_dir)
