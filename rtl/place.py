"""Place and route by nextpnr, judged by its report: frequency, what is used of the device, and the critical path by module."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from qsim.errors import QsimError
from qsim.progress import Progress
from rtl.boards.device import Device, Resource

# A missed frequency is a result here, not a failure.
_OPTIONS = ("--timing-allow-fail", "--freq", "100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Netlist:
    """A synthesised design: its file, how many ``cells`` of each kind, and the paths of our ``modules`` in it."""

    path: Path
    cells: Mapping[str, int]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPart:
    """A piece of the critical path within one of our modules: nanoseconds in cells and in the wires to them, and how many cells."""

    module: str
    logic_ns: float
    routing_ns: float
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What nextpnr reports."""

    used: dict[Resource, int]
    available: dict[Resource, int]
    fmax_mhz: float
    critical_path: tuple[PathPart, ...]
    seconds: float


def place_and_route(netlist: Netlist, device: Device, seed: int, build_dir: Path, progress: Progress) -> Placed:
    """Place and route a netlist that lies in ``build_dir``.

    Raises :class:`QsimError` with nextpnr's own errors if it does not fit or cannot be routed.
    """
    tool, *arguments = device.placer
    stage, begun = f"nextpnr {metadata.version(tool.replace('_', '-'))}: {device.description}", time.monotonic()
    progress(stage, 0, 1)
    with tempfile.TemporaryDirectory(prefix="placing-", dir=build_dir) as folder:
        report = Path(folder, "report.json")
        start = f"import sys, {tool}; sys.exit({tool}.{tool.replace('yowasp', 'run', 1)}(sys.argv[1:]))"
        # Paths below the current folder: the WebAssembly program does not see all others.
        files = ["--json", str(netlist.path.relative_to(build_dir)), "--report", str(report.relative_to(build_dir))]
        command = [sys.executable, "-c", start, *arguments, *_OPTIONS, "--seed", str(seed), *files]
        done = subprocess.run(command, cwd=build_dir, capture_output=True, text=True, check=False)
        if done.returncode or not report.exists():
            lines = (done.stdout + done.stderr).splitlines()
            errors = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
            raise QsimError(f"nextpnr could not place and route for {device.name}: {' '.join(errors)}")
        facts = json.loads(report.read_text(encoding="utf-8"))
    progress(stage, 1, 1)
    amounts = {device.placed[cell]: entry for cell, entry in facts["utilization"].items() if cell in device.placed}
    return Placed(
        used={resource: entry["used"] for resource, entry in amounts.items()},
        available={resource: entry["available"] for resource, entry in amounts.items()},
        fmax_mhz=round(min(clock["achieved"] for clock in facts["fmax"].values()), 2),
        critical_path=critical_path(facts["critical_paths"], netlist.modules),
        seconds=round(time.monotonic() - begun, 1),
    )


def critical_path(paths: Sequence[Mapping[str, Any]], modules: Sequence[str]) -> tuple[PathPart, ...]:
    """Return the longest register-to-register path of nextpnr's report, one part for each of our modules that it passes."""
    clocked = [path["path"] for path in paths if path["from"].startswith("posedge") and path["to"].startswith("posedge")]
    parts: list[PathPart] = []
    for step in max(clocked, key=lambda steps: sum(step["delay"] for step in steps), default=[]):
        module, wire = _module(step["to"]["cell"], modules), step["type"] == "routing"
        if not parts or parts[-1].module != module:
            parts.append(PathPart(module=module, logic_ns=0.0, routing_ns=0.0, cells=0))
        part = parts[-1]
        parts[-1] = replace(
            part,
            logic_ns=round(part.logic_ns + (0 if wire else step["delay"]), 3),
            routing_ns=round(part.routing_ns + (step["delay"] if wire else 0), 3),
            cells=part.cells + (not wire and step["type"] != "setup"),
        )
    return tuple(parts)


def _module(cell: str, modules: Sequence[str]) -> str:
    """Return the module that a cell belongs to; nextpnr names it after its module and the net it drives."""
    return without_numbers(max((module for module in modules if cell.startswith(f"{module}.")), key=len, default="shell"))


def without_numbers(name: str) -> str:
    """Return a name without the numbers that Yosys adds to names that occur twice."""
    return re.sub(r"\$\d+", "", name)
