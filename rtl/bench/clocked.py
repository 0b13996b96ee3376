"""A clock inside the model, inputs and results in files: Verilog around a design, so that no call from Python is needed while it runs."""

import re

from rtl.templates import render

CLOCKED = "clocked"


def module_ports(verilog: str, design: str) -> list[tuple[str, str, str]]:
    """Return direction, range (``"[7:0] "`` or nothing) and name of each port of the module ``design`` of ``verilog``.

    Raises ``ValueError`` if there is no such module or it has no input ``clk``.
    """
    found = re.search(rf"^module {design}\(.*?^endmodule", verilog, flags=re.MULTILINE | re.DOTALL)
    ports = re.findall(r"^  (input|output) (\[\d+:0\] )?(\w+);", found[0], flags=re.MULTILINE) if found else []
    if ("input", "", "clk") not in ports:
        raise ValueError(f"verilog must have a module {design!r} with an input 'clk'")
    return ports


def clocked_verilog(verilog: str, design: str, rows: int) -> str:
    """Return ``verilog`` with a module ``clocked`` around its module ``design``, a :class:`~rtl.bench.shell.RunShell`, that makes a clock
    with a period of 2 ns, feeds ``rows`` rows a run from a file and writes what comes out to another.

    Ports of the design that it does not know are its own too, among them those of the load bus. Raises ``ValueError`` if there is no such
    module or it has no clock.
    """
    ports = {name: (direction, size) for direction, size, name in module_ports(verilog, design)}
    row_bits, counter_bits, error_bits = (_width(ports[name][1]) for name in ("row__values", "counters", "error"))
    known = (
        "clk",
        "start",
        "ready",
        "done",
        "layer_done",
        "counters",
        "error",
        "best",
        *(name for name in ports if name.startswith(_STREAMS)),
    )
    text = render(
        "clocked.v.j2",
        top=CLOCKED,
        design=design,
        rows=rows,
        row_bits=row_bits,
        row_bytes=-(-row_bits // 8),
        counter_bits=counter_bits,
        error_bits=error_bits,
        passed=[{"name": name, "direction": port[0], "range": port[1]} for name, port in ports.items() if name not in known],
    )
    return verilog + text


_KNOWN = ("clk", "start", "ready", "done", "layer_done", "counters", "error", "best")
_STREAMS = ("row__", "result__")


def _width(size: str) -> int:
    return int(size[1 : size.index(":")]) + 1 if size else 1
