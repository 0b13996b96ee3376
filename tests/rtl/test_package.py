"""Asks whether the folder of ``qsim rtl`` works without us: does its test bench pass in other people's simulators, does it fail for a
network that is wrong in one bit, and do registers, SystemRDL and C header say what the hardware's own table says?
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from systemrdl import RDLCompiler
from systemrdl.node import FieldNode, RegNode

from qsim.arch.presets import MACHINES as PRESETS
from qsim.errors import MachineError, QsimError, UnsupportedProgram
from qsim.package import network_vectors, write_package
from rtl.bus import Bus
from rtl.emit import rtlil_text, run_yosys, verilog_text
from rtl.load import Unit, load_layout
from rtl.package import MANIFEST, TOP, package_files
from rtl.parameters import ArrayParameters
from rtl.portable import STARTED, portable
from rtl.register import Access
from rtl.registers import register_map
from rtl.stream import Queue
from rtl.toolchain import timing_environment
from rtl.vectors import Vectors, compared_counters, counter_names
from tests.rtl.lenet import compressed as compress_quickly
from tests.rtl.networks import MACHINE, network
from workloads.mnist import load_test

pytestmark = pytest.mark.rtl

# Icarus where it is installed: it is stricter about unknown values, and the bench is compiled as Verilog-2005 there.
BARE = "icarus" if shutil.which("iverilog") else "verilator"
PARAMETERS = ArrayParameters.of(MACHINE, layers=3)
REGISTERS = register_map(PARAMETERS)


@dataclass(frozen=True)
class Package:
    """A written package whose test bench was compiled and run: ``done``."""

    folder: Path
    simulator: str
    done: subprocess.CompletedProcess[str]

    def run_with(self, name: str, change: Callable[[list[str]], list[str]], work: Path) -> subprocess.CompletedProcess[str]:
        """Run the test bench, compiled before, with other words in one file."""
        for path in self.folder.glob("*.hex"):
            shutil.copy(path, work)
        comment, *words = (work / name).read_text().splitlines()
        (work / name).write_text("\n".join([comment, *change(words), ""]))
        program = str(self.folder / "build" / "verilator" / "testbench")
        commands = {"verilator": [program], "icarus": ["vvp", "-n", str(self.folder / "build" / "testbench.vvp")]}
        return _run(commands[self.simulator], work, dict(os.environ))


def quick_environment() -> dict[str, str]:
    """Verilator's, for fewer and quicker runs of the compiler: the simulation itself takes no time."""
    environment = timing_environment()
    flags = environment["MAKEFLAGS"].replace("OPT_FAST=-O3", "OPT_FAST=-O0").replace("OPT_GLOBAL=-O2", "OPT_GLOBAL=-O0")
    return environment | {"MAKEFLAGS": f"{flags} VM_PARALLEL_BUILDS=0"}


def compiled(folder: Path, simulator: str) -> Package:
    """Compile the test bench, unless it was, and run it."""
    environment = quick_environment() if simulator == "verilator" else dict(os.environ)
    return Package(folder, simulator, _run(["./run.sh", simulator], folder, environment))


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    given = network()
    return network_vectors(given.layers, MACHINE, given.values[0])


def written(vectors: Vectors, bus: str, simulator: str, build_dir: Path) -> Package:
    """Write a package to where the one of the last test run is; equal texts stay, and with them what was compiled."""
    folder = build_dir / f"package-{bus}"
    files = package_files(MACHINE, build_dir=build_dir, bus=Bus(bus), vectors=vectors, source="test")
    if not (folder / MANIFEST).exists() or (folder / MANIFEST).read_text() != files[MANIFEST]:
        write_package(folder, MACHINE, build_dir=build_dir, bus=Bus(bus), vectors=vectors, source="test")
    return compiled(folder, simulator)


@pytest.fixture(scope="module")
def with_axi(vectors: Vectors, build_dir: Path) -> Package:
    return written(vectors, "axi", "verilator", build_dir)


@pytest.fixture(scope="module")
def bare(vectors: Vectors, build_dir: Path) -> Package:
    return written(vectors, "none", BARE, build_dir)


@pytest.fixture(params=["with_axi", "bare"])
def package(request: pytest.FixtureRequest) -> Package:
    return request.getfixturevalue(request.param)


def test_the_bench_passes_and_counts_what_it_compared(package: Package, vectors: Vectors) -> None:
    done = package.done
    assert done.returncode == 0, done.stdout + done.stderr
    inputs, outputs, layers = len(vectors.inputs), vectors.logits.shape[1], len(vectors.jobs)
    counters = sum(name != "setup" for name in counter_names(PARAMETERS))
    assert compared_counters(PARAMETERS, vectors).count(True) == counters
    comparisons = inputs * (2 + outputs + layers * counters)
    assert done.stdout.startswith(f"PASS: {inputs} inputs, {comparisons} comparisons, ")


def flip_weight(words: list[str]) -> list[str]:
    """Flip the low bit of the code of the first entry of PE 0."""
    layout, digits = load_layout(PARAMETERS), len(words[0])
    for at, text in enumerate(words):
        word = int(text, 16)
        if (word >> layout["unit"].offset) & 15 == Unit.WEIGHTS.value:
            return [*words[:at], f"{word ^ 1 << layout['data'].offset:0{digits}x}", *words[at + 1 :]]
    raise AssertionError("no word of weights")


def flip_last(words: list[str]) -> list[str]:
    return [*words[:-1], f"{int(words[-1], 16) ^ 1:0{len(words[-1])}x}"]


WRONG: tuple[tuple[str, Callable[[list[str]], list[str]], str], ...] = (
    ("load.hex", flip_weight, r"first difference: input \d+"),
    ("load.hex", lambda words: words[:-1], r"(first difference: input \d+|no end after \d+ clocks)"),
    ("logits.hex", flip_last, r"first difference: input 4: logit 6 is -?\d+, expected -?\d+"),
    ("classes.hex", flip_last, r"first difference: input 4: class 0 is \d+, expected \d+"),
    ("counters.hex", flip_last, r"first difference: input 4, layer 2: pe_starved\[2\] is \d+, expected \d+"),
)


@pytest.mark.parametrize(("name", "change", "first"), WRONG, ids=["weight", "missing word", "logit", "class", "counter"])
def test_one_wrong_bit_fails(package: Package, name: str, change: Callable[[list[str]], list[str]], first: str, tmp_path: Path) -> None:
    done = package.run_with(name, change, tmp_path)
    assert "PASS" not in done.stdout
    assert re.search(rf"^{first}", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^FAIL: \d+ of \d+ comparisons differ, \d+ were not made$", done.stdout, re.MULTILINE), done.stdout
    if package.simulator == "verilator":  # compiled with $fatal
        assert done.returncode != 0


def test_the_script_fails_where_the_bench_does(bare: Package, tmp_path: Path) -> None:
    shutil.copytree(bare.folder, tmp_path / "copy")
    (tmp_path / "copy" / "classes.hex").write_text("0000\n")
    done = _run(["./run.sh", "other"], tmp_path / "copy", dict(os.environ))
    assert (done.returncode, done.stderr) == (2, "the simulator must be icarus or verilator, not other\n")
    done = compiled(tmp_path / "copy", bare.simulator).done
    assert done.returncode == 1 and "FAIL" in done.stdout


def test_systemrdl_says_what_the_table_says(with_axi: Package) -> None:
    compiler = RDLCompiler()
    compiler.compile_file(str(with_axi.folder / "registers.rdl"))
    top = compiler.elaborate().top
    nodes = [node for node in top.descendants(unroll=True) if isinstance(node, RegNode)]
    expected = {offset: register for register in REGISTERS for offset in register.offsets()}
    assert sorted(node.absolute_address for node in nodes) == sorted(expected)
    for node in nodes:
        register = expected[node.absolute_address]
        fields = [child for child in node.children() if isinstance(child, FieldNode)]
        assert (node.inst_name, node.size) == (register.name, 4)
        assert [(field.inst_name, field.low, field.high) for field in fields] == [(f.name, f.low, f.high) for f in register.fields]
        for field, wanted in zip(fields, register.fields, strict=True):
            assert field.is_sw_readable == wanted.readable and field.is_sw_writable == wanted.writable
            assert field.get_property("reset") in (wanted.reset, None if wanted.access in (Access.READ, Access.WRITE) else wanted.reset)
            codes = field.get_property("encode")
            assert tuple((code.name, code.value) for code in codes or ()) == wanted.values


def test_markdown_has_every_register_and_field(with_axi: Package) -> None:
    text = (with_axi.folder / "registers.md").read_text()
    for register in REGISTERS:
        assert re.search(rf"^\| 0x{register.offset:X}( \+ [^|]*)? \| \[`?{register.name}`?\]", text, re.MULTILINE), register.name
        section = text.split(f"## {register.name}\n")[1].split("\n## ")[0]
        for field in register.fields:
            bits = f"{field.high}:{field.low}" if field.width > 1 else f"{field.low}"
            assert f"| {bits} | {field.name} |" in section


@pytest.mark.parametrize("compiler", [("gcc", "-std=c99", "-pedantic", "-xc"), ("g++", "-std=c++11", "-xc++")])
def test_the_header_compiles_and_has_every_offset_and_mask(with_axi: Package, compiler: tuple[str, ...], tmp_path: Path) -> None:
    lines, expected = [], []
    for register in REGISTERS:
        last = ", ".join(f"{each.count - 1}" for each in register.dimensions)
        lines.append(f"QSIM_{register.name}{f'({last})' if last else ''}")
        expected.append(register.offsets()[-1])
        for field in register.fields:
            lines += [f"QSIM_{register.name}_{field.name.upper()}_{part}" for part in ("SHIFT", "MASK")]
            expected += [field.low, ((1 << field.width) - 1) << field.low]
            lines += [f"QSIM_{register.name}_{field.name.upper()}_{name.upper()}" for name, _ in field.values]
            expected += [value for _, value in field.values]
    calls = "\n".join(f'printf("%lu\\n", (unsigned long)({line}));' for line in lines)
    source, program = tmp_path / "host.c", tmp_path / "host"
    source.write_text(f'#include <stdio.h>\n#include "qsim_accelerator.h"\nint main(void) {{\n{calls}\nreturn 0; }}\n')
    warnings = ("-Wall", "-Wextra", "-Werror", f"-I{with_axi.folder}")
    subprocess.run([*compiler, *warnings, str(source), "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.split()
    assert [int(word) for word in printed] == expected


def test_every_module_is_named_after_the_accelerator(bare: Package) -> None:
    text = (bare.folder / "accelerator.v").read_text()
    modules = re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)
    assert TOP in modules and len(set(modules)) == len(modules) > 10
    assert all(re.fullmatch(rf"{TOP}(_\w+)?", name) for name in modules)
    # Nothing waits for a change that never comes.
    blocks = re.findall(r"always @\*.*\n.*", text)
    assert blocks and all(STARTED in block for block in blocks)
    assert 0 < text.count(f"reg {STARTED} = 0;") == text.count(f"initial #0 {STARTED} = 1;")


def test_a_synthesis_tool_takes_it(bare: Package) -> None:
    """No loop, no signal with two drivers or none, and memories are still memories."""
    passes = ["read_verilog -DSYNTHESIS accelerator.v", f"hierarchy -check -top {TOP}", "proc", "memory_collect", "check -assert", "stat"]
    said = run_yosys(passes, bare.folder)
    assert "Warning" not in said
    # Weights, two banks of pointers, biases or sums of each PE are the least.
    assert int(re.findall(r"(\d+) +\$mem_v2", said)[-1]) >= 4 * MACHINE.array.pes


@pytest.mark.parametrize("bus", ["none", "axi"])
def test_reset_is_enough(bus: str, bare: Package, with_axi: Package, tmp_path: Path) -> None:
    """Without any start value, as on an ASIC, every number is right whatever registers and memories begin with: Verilator draws it."""
    given = {"none": bare, "axi": with_axi}[bus].folder
    text, memories = re.subn(r"  initial begin : begin_\w+\n(.*\n)*?  end\n", "", (given / "accelerator.v").read_text())
    text, registers = re.subn(rf"^(  reg (?!{STARTED})[^=;\n]*?) += \d+'[^;\n]*;", r"\1 ;", text, flags=re.MULTILINE)
    assert memories > 10 and registers > 100
    for path in (*given.glob("*.hex"), given / "testbench.v"):
        shutil.copy(path, tmp_path)
    (tmp_path / "accelerator.v").write_text(text)
    options = ["--binary", "--timing", "-Wno-fatal", "-Wno-lint", "--x-initial", "unique", "--top-module", "testbench", "-o", "testbench"]
    built = _run(["verilator", *options, "testbench.v", "accelerator.v"], tmp_path, quick_environment())
    assert built.returncode == 0, built.stderr
    for seed in range(1, 4):
        done = _run(["obj_dir/testbench", "+verilator+rand+reset+2", f"+verilator+seed+{seed}"], tmp_path, dict(os.environ))
        assert done.stdout.startswith("PASS"), done.stdout


def test_the_verilator_of_the_python_environment_is_found(bare: Package, tmp_path: Path) -> None:
    """Only ``verilator-cli`` is on the path, as after `make setup`: it is called, and told which compiler's flags to use."""
    stub = tmp_path / "bin" / "verilator-cli"
    stub.parent.mkdir()
    program = "build/verilator/testbench"
    stub.write_text(
        f"#!/bin/sh\nmkdir -p build/verilator\nprintf '#!/bin/sh\\necho PASS: %s\\n' \"$MAKEFLAGS\" >{program}\nchmod +x {program}\n"
    )
    stub.chmod(0o755)
    (tmp_path / "run.sh").write_text((bare.folder / "run.sh").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "run.sh").chmod(0o755)
    done = _run(["./run.sh"], tmp_path, {"PATH": f"{stub.parent}:/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert "CFG_CXXFLAGS_COROUTINES=-fcoroutines" in done.stdout


@pytest.mark.slow
def test_behind_a_uart(build_dir: Path) -> None:
    given = network()
    vectors = network_vectors(given.layers, MACHINE, given.values[0][:2])
    folder = build_dir / "package-uart"
    write_package(folder, MACHINE, build_dir=build_dir, bus=Bus("uart", 4), vectors=vectors)
    assert compiled(folder, "verilator").done.stdout.startswith("PASS: 2 inputs, ")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bus"), [("sparse", "axi"), ("dense", "none"), ("codebook", "none"), ("pvq", "axi")])
def test_real_networks(kind: str, bus: str, build_dir: Path) -> None:
    """LeNet-300-100 on 8 PEs of every kind, four digits of MNIST."""
    machine, images = PRESETS[f"{kind}-rtl-8"], load_test().images[:4].astype(np.int64)
    vectors = network_vectors(compress_quickly(kind).layers, machine, images)
    folder = build_dir / f"package-{kind}"
    write_package(folder, machine, build_dir=build_dir, bus=Bus(bus), vectors=vectors)
    assert compiled(folder, "verilator").done.stdout.startswith("PASS: 4 inputs, ")


def test_memories_begin_as_before() -> None:
    verilog = verilog_text(rtlil_text(Queue(8, 100), "top"))
    explicit = {int(at): value for at, value in re.findall(r"^    \S+ ?\[(\d+)\] = (\S+);", verilog, re.MULTILINE)}
    loops = re.findall(r"for \(at = (\d+); at < (\d+); at = at \+ 1\) \S+ \[at\] = (\S+);", portable(verilog, "top"))
    found = {at: value for start, end, value in loops for at in range(int(start), int(end))}
    assert len(explicit) >= 98 and found == explicit


def test_the_manifest_has_the_hash_of_every_file(with_axi: Package) -> None:
    listed = json.loads((with_axi.folder / MANIFEST).read_text())["sha256"]
    files = {path.name: path for path in with_axi.folder.iterdir() if path.name not in ("build", MANIFEST)}
    assert listed == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_what_does_not_fit_is_refused_before_anything_is_written(vectors: Vectors, build_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(QsimError, match="bus must be a bus of the accelerator, not 'spi'; legal values: axi, uart, none"):
        Bus("spi")
    with pytest.raises(MachineError, match="divisor must be 4 to "):
        Bus("uart", 3)
    with pytest.raises(MachineError, match="layers must be at least 3, those of the network, not 2"):
        write_package(out, MACHINE, build_dir=build_dir, bus=Bus("none"), layers=2, vectors=vectors)
    with pytest.raises(UnsupportedProgram, match="presets with RTL that this network fits: "):
        network_vectors(network().layers, MACHINE.replace("weights.bytes", 20), network().values[0])
    assert not out.exists()


def test_only_an_earlier_package_is_replaced(vectors: Vectors, build_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for _ in range(2):
        write_package(out, MACHINE, build_dir=build_dir, bus=Bus("none"), vectors=vectors)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(QsimError, match=r"not 'one with notes\.txt'"):
        write_package(out, MACHINE, build_dir=build_dir, bus=Bus("none"), vectors=vectors)
    assert (out / "notes.txt").exists() and (out / "accelerator.v").exists()


def test_vectors_of_other_shapes_are_refused(vectors: Vectors) -> None:
    content = {name: getattr(vectors, name) for name in ("jobs", "every_column", "inputs", "logits", "classes", "counters")}
    for fields, message in (
        ({"logits": vectors.logits[:, :3]}, "vectors.logits must be of shape"),
        ({"counters": {}}, "vectors.counters must be cycles and others"),
        ({"counters": vectors.counters | {"speed": np.zeros((5, 3))}}, "vectors.counters must be cycles and others"),
    ):
        with pytest.raises(UnsupportedProgram, match=message):
            Vectors(**content | fields)
