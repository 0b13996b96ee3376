"""Does a machine survive its file, and does a wrong file name the field?"""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.arch.machine_file import from_mapping, load_machine, to_toml
from qsim.arch.presets import MACHINES
from qsim.errors import MachineError


@pytest.mark.parametrize("name", MACHINES)
def test_every_preset_survives_its_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(to_toml(MACHINES[name]), encoding="utf-8")
    assert load_machine(str(path)) == MACHINES[name] == load_machine(name)


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 4096), st.floats(1, 1e12), st.booleans())
def test_any_text_and_number_survives(text: str, pes: int, clock: float, skip: bool) -> None:
    machine = MACHINES["pvq-sram"].replace("description", text).replace("array.pes", pes).replace("clock_hz", clock)
    machine = machine.replace("scan.skip_zeros", skip)
    assert from_mapping(tomllib.loads(to_toml(machine))) == machine


def test_a_file_may_change_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text('base = "sparse-sram"\nname = "deep"\n[array.queue]\ndepth = 32\n', encoding="utf-8")
    expected = MACHINES["sparse-sram"].replace("name", "deep").replace("array.queue.depth", 32)
    assert load_machine(str(path)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "sparse-sram"\nclok_hz = 1e9', r"clok_hz must be a known field, not 'clok_hz'.*did you mean 'clock_hz'"),
        ('base = "sparse-sram"\n[array.queue]\ndeep = 1', r"array\.queue\.deep must be a known field, not 'deep'.*depth"),
        ('base = "sparse-sram"\n[array]\npes = "many"', r"array\.pes must be of type int, not 'many'"),
        ('base = "sparse-sram"\n[array]\npes = true', r"array\.pes must be of type int, not True"),
        ('base = "sparse-sram"\n[array]\nkind = "dens"', r"array\.kind must be one of the legal values, not 'dens'.*did you mean 'dense'"),
        ('base = "sparse-sram"\narray = 4', r"array must be a table, not 4"),
        ('base = "sparce-sram"', r"base must be the name of a preset machine, not 'sparce-sram'.*did you mean 'sparse-sram'"),
        ('name = "x"', r"description must be given, not None"),
        ('base = "sparse-rtl-1"\n[dram]\nburst_bytes = 32', r"dram\.burst_cycles must be given"),
        ('base = "sparse-sram"\n[activations]\nwidth_bits = 64', r"activations\.width_bits must be a known field"),
        ("name = ", r"machine\.toml: not a readable machine file"),
        ('base = "sparse-sram"\n[array.queue]\ndepth = 0', r"queue\.depth must be 1 to 16777216, not 0"),
        ('base = ["sparse-sram"]', r"base must be the name of a preset machine, not \['sparse-sram'\]"),
        ('base = "sparse-sram"\n[array]\nkind = ["sparse"]', r"array\.kind must be one of the legal values, not \['sparse'\]"),
        ('base = "sparse-sram"\nclock_hz = 1979-05-27', r"clock_hz must be of type float"),
        (f'base = "sparse-sram"\n[array]\npes = {"9" * 5000}', r"machine\.toml: not a readable machine file"),
        ("x = " + "[" * 100_000, r"machine\.toml: not a readable machine file \(it is nested too deeply\)"),
    ],
)
def test_a_wrong_file_names_the_field(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MachineError, match=message):
        load_machine(str(path))


def test_an_unknown_name_lists_the_machines() -> None:
    with pytest.raises(
        MachineError, match=r"machine must be a machine's name or a \.toml file, not 'sparse-ram'.*did you mean 'sparse-sram'"
    ):
        load_machine("sparse-ram")
    with pytest.raises(MachineError, match=r"absent\.toml: not a readable machine file"):
        load_machine("absent.toml")
