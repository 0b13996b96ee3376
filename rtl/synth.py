"""Synthesis, place and route: what an array or a whole accelerator takes of an FPGA and how fast it is there.

Amaranth writes RTLIL, the native Yosys of the ``pyosys`` wheel synthesises it, nextpnr (from the ``yowasp-nextpnr-*`` wheels) places and
routes it. The result of each is kept by content: the design, the device, the versions of the tools and the seed.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import cattrs

from qsim.arch.architecture import Architecture
from qsim.errors import MissingExtra
from qsim.files import write_text_atomically
from qsim.progress import Progress, silent
from rtl.array import BroadcastArray
from rtl.boards import DEVICES
from rtl.boards.device import Device, Resource, find_device
from rtl.emit import rtlil_text, run_yosys
from rtl.parameters import ArrayParameters
from rtl.place import Netlist, PathPart, place_and_route
from rtl.shell import PINS, ScanShell
from rtl.top import Accelerator

TOP = "shell"
SCHEMA = 2
# Weights are loaded before they are read: without start values Yosys may use memories that have none (iCE40 UltraPlus).
# What is to be kept stands at signals; registers are merged or not by what stands at their cells.
_PASSES = (
    "read_rtlil design.il",
    "delete t:$meminit_v2 r:MEMID=*weights %i",
    "setattr -set keep 1 a:keep=1 %ci1:+$dff[Q] t:$dff %i",
    "{synthesis} -top {top} -json design.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """What a machine takes of a device.

    ``layers``: of the networks that the accelerator runs alone, 0 for the array only; ``used`` and ``available`` by resource;
    ``shell_registers``: flip-flops of the scan shell, included in ``used``; ``fmax_mhz`` and ``critical_path``: of the placed and routed
    design, None and empty without; ``seconds``: of each stage when it was run; ``versions``: of the tools; ``netlist``: its folder;
    ``key``: content hash of everything that decides the result.
    """

    machine: str
    device: str
    pes: int
    layers: int
    used: dict[str, int]
    available: dict[str, int]
    shell_registers: int
    seed: int
    fmax_mhz: float | None = None
    critical_path: tuple[PathPart, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    netlist: str
    key: str
    schema: int = SCHEMA


def synthesise(
    machine: Architecture,
    device_name: str,
    *,
    build_dir: Path,
    layers: int = 0,
    seed: int = 1,
    place: bool = True,
    progress: Progress = silent,
) -> Synthesis:
    """Synthesise ``machine``'s array for a device and, with ``place``, place and route it; results are kept in ``build_dir``. With
    ``layers`` the whole accelerator, for networks of up to as many layers.

    Raises :class:`QsimError` for an unknown device or a machine that does not fit it, :class:`MachineError` if the RTL does not have this
    machine, :class:`MissingExtra` without the tools.
    """
    device, build_dir = find_device(device_name, DEVICES), build_dir.resolve()
    place = place and bool(device.placer)
    _require_tools(device, place)
    shell = _shell(machine, layers)
    design = rtlil_text(shell, TOP)
    versions = _versions(device, place)
    key = _hash(str(SCHEMA), design, repr(device), repr(versions), str(seed), *_PASSES)
    report = build_dir / f"{device.name}-{key}.json"
    if report.exists():
        known = cattrs.structure(json.loads(report.read_text(encoding="utf-8")), Synthesis)
        return replace(known, machine=machine.name)
    netlist, seconds = make_netlist(design, device, build_dir, progress)
    used = device.used(netlist.cells) | {Resource.PINS: PINS}
    device.require_room(used)
    result = Synthesis(
        machine=machine.name,
        device=device.name,
        pes=machine.array.pes,
        layers=layers,
        used=_plain(used),
        available=_plain(device.available),
        shell_registers=shell.registers,
        seed=seed,
        seconds={"synthesis": seconds},
        versions=versions,
        netlist=netlist.path.parent.name,
        key=key,
    )
    if place:
        placed = place_and_route(netlist, device, seed, build_dir, progress)
        result = replace(
            result,
            used=result.used | _plain(placed.used),
            available=result.available | _plain(placed.available),
            fmax_mhz=placed.fmax_mhz,
            critical_path=placed.critical_path,
            seconds=result.seconds | {"place and route": placed.seconds},
        )
    write_text_atomically(report, json.dumps(cattrs.unstructure(result), indent=1))
    return result


def _shell(machine: Architecture, layers: int) -> ScanShell:
    parameters = ArrayParameters.of(machine, layers)
    # The events are there to be observed in simulation.
    if layers:
        return ScanShell(Accelerator(parameters), "accelerator", ("events",))
    return ScanShell(BroadcastArray(parameters), "array", ("events", "unload", "clear"))


def _require_tools(device: Device, place: bool) -> None:
    if find_spec("pyosys") is None or find_spec("amaranth") is None or (place and find_spec(device.placer[0]) is None):
        raise MissingExtra("synth", f"synthesis for {device.name}")


def _versions(device: Device, place: bool) -> dict[str, str]:
    tools = ["amaranth", "pyosys"] + ([device.placer[0].replace("_", "-")] if place else [])
    return {tool: metadata.version(tool) for tool in tools}


def make_netlist(design: str, device: Device, build_dir: Path, progress: Progress) -> tuple[Netlist, float]:
    """Synthesise a design or find its netlist; return it and the seconds it took when it was made."""
    folder = build_dir / f"netlist-{_hash(design, device.synthesis, metadata.version('pyosys'), *_PASSES)}"
    index = folder / "cells.json"
    if not index.exists():
        stage, begun = f"Yosys {metadata.version('pyosys')}: {device.synthesis}", time.monotonic()
        progress(stage, 0, 1)
        write_text_atomically(folder / "design.il", design)
        run_yosys([text.format(synthesis=device.synthesis, top=TOP) for text in _PASSES], folder)
        cells = json.loads((folder / "design.json").read_text(encoding="utf-8"))["modules"][TOP]["cells"]
        counts = Counter(cell["type"] for cell in cells.values())
        modules = sorted(name for name, cell in cells.items() if cell["type"] == "$scopeinfo")
        facts = {"cells": counts, "modules": modules, "seconds": round(time.monotonic() - begun, 1)}
        write_text_atomically(index, json.dumps(facts))
        progress(stage, 1, 1)
    facts = json.loads(index.read_text(encoding="utf-8"))
    return Netlist(path=folder / "design.json", cells=facts["cells"], modules=tuple(facts["modules"])), facts["seconds"]


def _plain(amounts: Mapping[Resource, int]) -> dict[str, int]:
    return {str(resource): count for resource, count in amounts.items()}


def _hash(*texts: str) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
