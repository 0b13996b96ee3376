"""Asks whether ``qsim verify --wave`` writes what it says for any digit and layer, and names what it cannot write."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.machine_file import to_toml
from rtl.parameters import ArrayParameters
from rtl.rows import rows_of
from tests.cli.conftest import Command
from tests.rtl.waves import SMALL, signals, values

FILES = ("seven.gtkw", "seven.sim.gtkw", "seven.sim.sucl", "seven.sim.vcd", "seven.sucl", "seven.vcd")
ONE_LAYER = "--layers must be one layer of the network with --wave"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(to_toml(SMALL))
    return path


@pytest.mark.rtl
def test_a_digit_s_layer_in_rtl_and_simulator(qsim: Command, workplace: Path, machine: Path, request: pytest.FixtureRequest) -> None:
    folder = machine.parent / "waves"
    build = ("--build", request.config.cache.mkdir("rtl"))
    chosen = ("--layers", "ip3", "--images", "7", "--wave", folder / "seven.vcd")
    code, out, err = qsim("verify", workplace / "quick.qsz", "-m", machine, *chosen, *build, "--json")
    assert code == 0, err
    assert json.loads(out)[0]["agree"]
    assert tuple(sorted(path.name for path in folder.iterdir())) == FILES
    assert all(name in err.replace("\n", "") for name in FILES)
    start, ticks = (int(word.replace(",", "")) for word in re.findall(r"cycle 0 at ([\d,]+) ns, (\d+) ns a cycle", err)[0])
    rtl, simulator = signals(folder / "seven.vcd"), signals(folder / "seven.sim.vcd")
    cycles = json.loads(out)[0]["cycles_rtl"]
    for row in rows_of(ArrayParameters.of(SMALL)):
        name = ".".join(row.path)
        both = (values(found[name], start, cycles, ticks) for found in (rtl, simulator))
        np.testing.assert_array_equal(*both, err_msg=name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layers", "ip3", "--wave", "x.vcdd"), "--wave must be a file name with a known suffix, not 'x.vcdd'; legal values: .vcd, .fst"),
        (("--wave", "x.vcd"), f"{ONE_LAYER}, not 'ip1,ip2,ip3'; legal values: ip1, ip2, ip3"),
        (("--layers", "ip4", "--wave", "x.vcd"), f"{ONE_LAYER}, not 'ip4'; legal values: ip1, ip2, ip3"),
        (("--layers", "ip3", "--images", "1,2", "--wave", "x.vcd"), "--images must be one image with --wave, not '1,2'"),
        (("--layers", "ip3", "--images", "10000", "--wave", "x.vcd"), "--images must be 0 to 9999, not '10000'"),
        (("--whole", "--layers", "ip3"), "--layers must be absent with --whole, not 'ip3'"),
        (("--whole", "--wave", "x.vcd"), "--wave must be absent with --whole, not 'x.vcd'"),
        (("--streamed",), "--streamed must be absent without --whole, not 'given'"),
        (("--whole", "--streamed"), "options.by_column must be set to stream weights (qsim compress --by-column), not False"),
        (("--layers", "ip4"), "layers must be layers of the network, not 'ip4'; legal values: ip1, ip2, ip3"),
    ],
)
def test_what_cannot_be_shown_is_named(qsim: Command, workplace: Path, words: tuple[str, ...], message: str) -> None:
    code, out, err = qsim("verify", workplace / "quick.qsz", *words)
    assert (code, out) == (2, "")
    assert message in err
