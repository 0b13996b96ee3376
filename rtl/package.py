"""The accelerator to take home: Verilog, memory images, registers and a test bench that needs no Python, as one set of files."""

import hashlib
import json
import re
from pathlib import Path

from qsim import __version__
from qsim.arch.architecture import Architecture
from qsim.errors import MachineError
from rtl.bus import Bus
from rtl.emit import emit
from rtl.load import load_layout
from rtl.parameters import ArrayParameters
from rtl.portable import portable
from rtl.register_files import c_header_text, markdown_text, systemrdl_text
from rtl.registers import beat_bytes, data_parts, register_map
from rtl.sequencer import ErrorCode
from rtl.templates import render
from rtl.testbench import TOP, testbench_text
from rtl.uart import Status
from rtl.vectors import Vectors, compared_counters, counter_names, vector_files

MANIFEST = "package.json"
BUILD = "build"  # where run.sh compiles
TEXTS = {
    "accelerator.v": "the hardware",
    "registers.md": "its registers",
    "registers.rdl": "the same in SystemRDL",
    "qsim_accelerator.h": "the same for a driver in C or C++",
    "testbench.v": "the test bench",
    "run.sh": "runs it",
    "load.hex": "the words that load the network",
    "inputs.hex": "inputs",
    "logits.hex": "what must come out",
    "classes.hex": "which output is the largest",
    "counters.hex": "what the counters must be",
    MANIFEST: "what this was made from",
}


def package_files(
    machine: Architecture, *, build_dir: Path, bus: Bus, layers: int = 0, vectors: Vectors | None = None, source: str = ""
) -> dict[str, str]:
    """Return the texts of all files by name, those of the test bench only with ``vectors``.

    ``layers``: the most that a network may have, at least those of ``vectors``; ``source``: what the vectors are from. Verilog is cached
    in ``build_dir``. Equal arguments give equal texts.

    Raises :class:`MachineError` for a machine that the RTL, or the bus, does not have, :class:`qsim.errors.UnsupportedProgram` naming the
    memory that the network does not fit, :class:`MissingExtra` without the tools.
    """
    least = 1 if vectors is None else len(vectors.jobs)
    if layers and layers < least:
        raise MachineError(path="layers", rule=f"at least {least}, those of the network", value=layers)
    p = ArrayParameters.of(machine, layers=layers or least)
    files = {} if vectors is None else vector_files(p, vectors)  # refuses what does not fit before anything is built
    files["accelerator.v"] = _accelerator(p, bus, machine, build_dir)
    if bus.has_registers:
        files |= _registers(p)
    if vectors is not None:
        files["testbench.v"] = testbench_text(p, vectors, files["load.hex"].count("\n") - 1, bus, machine.name)
        files["run.sh"] = render("run.sh.j2")
    files["README.md"] = _readme(p, bus, machine, vectors, files, source)
    files[MANIFEST] = _manifest(p, bus, machine, files, source)
    return files


def _accelerator(p: ArrayParameters, bus: Bus, machine: Architecture, build_dir: Path) -> str:
    path = emit(lambda: bus.accelerator(p), TOP, build_dir.resolve(), f"{bus} {p!r}")
    heading = f"// {TOP}: {machine.name} with bus {bus}, for networks of up to {p.layers} layers. Made by qsim {__version__}.\n\n"
    return heading + portable(path.read_text(), TOP)


def _registers(p: ArrayParameters) -> dict[str, str]:
    registers = register_map(p)
    constants = [("PES", p.pes, "processing elements"), ("NETWORK_LAYERS", p.layers, "most layers of a network")]
    constants += [("LOAD_PARTS", data_parts(p), "most parts of 32 bits of a word that is loaded")]
    return {
        "registers.md": markdown_text(registers),
        "registers.rdl": systemrdl_text(registers),
        "qsim_accelerator.h": c_header_text(registers, constants),
    }


def ports(verilog: str) -> list[tuple[str, int, str]]:
    """Return direction, bits and name of each port of the top module of a package."""
    found = re.search(rf"^module {TOP}\s?\(.*?^endmodule", verilog, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", found[0], flags=re.MULTILINE)
    return [(direction, int(high or 0) + 1, name) for direction, high, name in declared]


def _readme(p: ArrayParameters, bus: Bus, machine: Architecture, vectors: Vectors | None, files: dict[str, str], source: str) -> str:
    layout = load_layout(p)
    return render(
        "README.md.j2",
        p=p,
        bus=bus,
        machine=machine.name,
        version=__version__,
        source=source,
        top=TOP,
        files=[(name, text) for name, text in TEXTS.items() if name in files or name == MANIFEST],
        ports=sorted(ports(files["accelerator.v"]), key=lambda port: port[2]),
        fields={name: (layout[name].offset, layout[name].width) for name in ("unit", "pe", "address", "data")},
        names=counter_names(p),
        errors=[(code.name, code.value) for code in ErrorCode],
        parts=data_parts(p),
        beat_bytes=beat_bytes(p),
        statuses=[(status.name, status.value) for status in Status],
        vectors=vectors is not None,
        inputs=0 if vectors is None else len(vectors.inputs),
        layers=0 if vectors is None else len(vectors.jobs),
        compared=0 if vectors is None else sum(compared_counters(p, vectors)),
    )


def _manifest(p: ArrayParameters, bus: Bus, machine: Architecture, files: dict[str, str], source: str) -> str:
    content = {
        "qsim": __version__,
        "machine": machine.name,
        "machine_hash": machine.hash,
        "bus": str(bus),
        "layers": p.layers,
        "network": source,
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())},
    }
    return json.dumps(content, indent=1) + "\n"
