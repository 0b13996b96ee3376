"""Verilog for other people's tools: names without escapes, memories that begin in a loop, and a start that every simulator sees."""

import itertools
import re

MOST_STEPS = 4096  # of a loop: Quartus takes no more than 5,000

_MODULE = re.compile(r"^module \\?(\S+?) ?\(", flags=re.MULTILINE)
_TRIGGER = re.compile(r"\bprocess_\d+_runs\b")  # as :mod:`rtl.emit` names them
_START = re.compile(r"^  reg process_\d+_runs = 0;\n", flags=re.MULTILINE)
_INITIAL = re.compile(r"^  initial begin\n((?:    \S+ ?\[\d+\] = \S+;\n)+)  end\n", flags=re.MULTILINE)
_WORD = re.compile(r"    (\S+) ?\[(\d+)\] = (\S+);")
_SINGLE = re.compile(r"^  always @\*\n    (.+ = .+;)\n", flags=re.MULTILINE)
STARTED = "has_started"
# Yosys wakes every "always @*" by a register that is set when time begins. Whether that is before or after the blocks begin to wait is
# for the simulator to choose (Icarus 11 chooses before, and what depends on nothing else stays unknown), so it is set once more.
_WAKE = f"""  reg {STARTED} = 0;
`ifndef VERILATOR
`ifndef SYNTHESIS
  // synthesis translate_off
  initial #0 {STARTED} = 1;
  // synthesis translate_on
`endif
`endif
"""


def portable(verilog: str, top: str) -> str:
    """Return ``verilog``, as Yosys wrote it, with top module ``top``, so that any Verilog-2001 tool reads it alike.

    Every module is named ``<top>_<place>``, without escapes, so that it meets no module of the design that it goes into; memories of
    equal words begin in loops; what depends on no input is computed at the start of the simulation.
    """
    return _looped(_woken(_named(verilog, top)))


def _named(verilog: str, top: str) -> str:
    modules = _MODULE.findall(verilog)
    plain = {name: re.sub(r"\W+", "_", re.sub(r"\$\d+", "", name)) for name in modules}
    names = list(plain.values())
    for name, short in plain.items():
        if names.count(short) > 1:  # the numbers that Amaranth gives keep them apart
            plain[name] = re.sub(r"\W+", "_", name)
    assert top in plain.values()
    escaped = re.compile(r"\\(" + "|".join(re.escape(name) for name in sorted(modules, key=len, reverse=True)) + r") ")
    return escaped.sub(lambda found: f"{plain[found[1]]} ", verilog)


def _woken(verilog: str) -> str:
    return "".join(_woken_module(text) for text in re.split(r"(?<=^endmodule\n)", verilog, flags=re.MULTILINE))


def _woken_module(verilog: str) -> str:
    text, singles = _SINGLE.subn(rf"  always @* begin\n    if ({STARTED}) begin end\n    \1\n  end\n", verilog)
    text, starts = _START.subn(lambda _: _WAKE, text)
    if singles and not starts:
        text = re.sub(r"^(module [^;]*;\n)", lambda found: found[1] + _WAKE, text, count=1, flags=re.MULTILINE)
    return _TRIGGER.sub(STARTED, text)


def _looped(verilog: str) -> str:
    return _INITIAL.sub(lambda found: _loops(_WORD.findall(found[1])) or found[0], verilog)


def _loops(words: list[tuple[str, str, str]]) -> str | None:
    """Return an initial block that sets ``words`` (name, place, value), None where loops would not be shorter."""
    name = words[0][0]
    places = [int(place) for _, place, _ in words]
    if places != list(range(len(words))) or {word[0] for word in words} != {name}:
        return None
    runs: list[tuple[int, int, str]] = []
    for value, group in itertools.groupby(words, key=lambda word: word[2]):
        numbers = [int(place) for _, place, _ in group]
        runs += [(start, min(start + MOST_STEPS, numbers[-1] + 1), value) for start in range(numbers[0], numbers[-1] + 1, MOST_STEPS)]
    if 2 * len(runs) > len(words):
        return None
    label = re.sub(r"\W+", "_", f"begin_{name}")
    loops = [f"    for (at = {start}; at < {end}; at = at + 1) {name} [at] = {value};" for start, end, value in runs]
    return "\n".join([f"  initial begin : {label}", "    integer at;", *loops, "  end", ""])
