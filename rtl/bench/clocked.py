"""A clock inside the model: Verilog around a design, so that no call from Python or its interface is needed for a clock edge."""

import re

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


def clocked_verilog(verilog: str, design: str) -> str:
    """Return ``verilog`` with a module ``clocked`` around its module ``design``: the same ports, ``clk`` an output with a period of 2 ns.

    Raises ``ValueError`` if there is no such module or it has no clock.
    """
    ports = module_ports(verilog, design)
    others = [port for port in ports if port[2] != "clk"]
    lines = [
        f"module {CLOCKED}({', '.join(['clk', *(name for _, _, name in others)])});",
        "  output reg clk = 0;",
        "  always #1 clk = ~clk;",
        *(f"  {direction} {width}{name};" for direction, width, name in others),
        f"  {design} inner ({', '.join(f'.{name}({name})' for _, _, name in ports)});",
        "endmodule",
    ]
    return "\n".join([verilog, *lines, ""])
