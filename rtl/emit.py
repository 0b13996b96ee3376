"""Verilog from Amaranth: the one place that makes it.

Amaranth writes RTLIL in pure Python; the native Yosys of the ``pyosys`` wheel turns it into Verilog. Yosys runs in a process of its
own, because its counter for generated names is global: only a fresh process gives the same text for the same design.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from qsim.errors import MissingExtra, QsimError
from qsim.files import write_text_atomically
from qsim.formats import fixed

_PASSES = (
    "read_rtlil {source}",
    "proc -nomux -norom",
    "memory_collect",
    "attrmap -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding",
    "attrmap -modattr -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding",
    "write_verilog -norename {target}",
)
# Yosys gives each combinational process a register so that it runs at time 0. GTKWave refuses a dump with colons in a name.
_GENERATED = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$(\d+) ?")
_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def rtlil_text(component: object, name: str) -> str:
    """Return the RTLIL of ``component`` (with a ``signature``) as top module ``name``; equal designs give equal text."""
    try:
        from amaranth.back import rtlil
    except ImportError as error:
        raise MissingExtra("rtl", "making Verilog") from error
    return rtlil.convert(component, name=name, emit_src=False)


def content_hash(text: str) -> str:
    """Return a hash of ``text`` and of the Yosys that will read it: 16 hexadecimal digits."""
    return hashlib.sha256(f"pyosys {metadata.version('pyosys')}\n{text}".encode()).hexdigest()[:16]


def run_yosys(commands: Sequence[str], folder: Path) -> str:
    """Run Yosys commands in ``folder`` and return what Yosys said.

    Raises :class:`MissingExtra` without Yosys, :class:`QsimError` with Yosys' last lines if a command fails.
    """
    if find_spec("pyosys") is None:
        raise MissingExtra("rtl", "running Yosys")
    done = subprocess.run(  # fixed program, arguments from this package
        [sys.executable, "-c", _YOSYS, *commands], cwd=folder, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise QsimError(f"yosys failed: {' '.join(said.split()[-60:])}")
    return said


def verilog_text(rtlil: str) -> str:
    """Return the Verilog of an RTLIL design.

    Raises :class:`QsimError` with Yosys' last lines if it refuses the design.
    """
    with tempfile.TemporaryDirectory(prefix="qsim-emit-") as folder:
        source, target = Path(folder, "design.il"), Path(folder, "design.v")
        source.write_text(rtlil)
        run_yosys([text.format(source="design.il", target="design.v") for text in _PASSES], Path(folder))
        return _GENERATED.sub(r"process_\1_runs", target.read_text())


def source_hash(key: str) -> str:
    """Return a hash of ``key`` and of everything the RTL of this package is made from: 16 hexadecimal digits."""
    here = Path(__file__).parent
    parts = [f"{name} {metadata.version(name)}" for name in ("amaranth", "pyosys")]
    parts += [path.name + path.read_text() for path in (Path(fixed.__file__), *sorted(here.rglob("*.py")))]
    return hashlib.sha256("\n".join([key, *parts]).encode()).hexdigest()[:16]


def emit(make: Callable[[], object], name: str, folder: Path, key: str, around: Callable[[str, str], str] | None = None) -> Path:
    """Write the Verilog of the component that ``make`` returns below ``folder`` and return its path; ``around`` adds to the text of a named
    module.

    The path is ``folder/<name>-<content hash>/<name>.v``, so the folder names the design. ``key`` stands for the arguments in ``make``:
    with a key and sources seen before, the path is looked up and nothing is made.
    """
    index = folder / "index" / f"{name}-{source_hash(key)}"
    if index.exists() and (known := folder / index.read_text() / f"{name}.v").exists():
        return known
    rtlil = rtlil_text(make(), name)
    path = folder / f"{name}-{content_hash(rtlil)}" / f"{name}.v"
    if around is not None or not path.exists():
        text = verilog_text(rtlil)
        write_text_atomically(path, text if around is None else around(text, name))
    write_text_atomically(index, path.parent.name)
    return path
