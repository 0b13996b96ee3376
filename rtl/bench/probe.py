"""The array as a waveform shows it: beside the design its rows of interest (:mod:`rtl.rows`), each under its unit and name."""

import itertools
import re
from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from rtl.array import BroadcastArray
from rtl.bench.clocked import module_ports
from rtl.parameters import ArrayParameters
from rtl.rows import SCOPE, Row, rows_of

DUMP = "dump"
# Signals that have no name in the source, only a number: half of all, and of no use to a reader.
_UNNAMED = re.compile(r"^  (wire|reg) (signed )?(\[\d+:0\] )?\\\$\d+ [^;\n]*;$", flags=re.MULTILINE)
PORTS = ("load", "start", "busy", "cycles", "result", "events")


class ProbedArray(wiring.Component):
    """A :class:`~rtl.array.BroadcastArray` that shows its rows. No latency.

    Parameters
    ----------
    parameters : ArrayParameters

    Members
    -------
    load, start, busy, cycles, result, events
        Of the array.
    rows : ``Out``
        The rows of :func:`~rtl.rows.rows_of`, the first in the low bits.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.array = BroadcastArray(parameters)
        self.shown = rows_of(parameters)
        ports = {name: self.array.signature.members[name] for name in PORTS}
        super().__init__(ports | {"rows": Out(sum(row.width for row in self.shown))})

    def elaborate(self, platform: object) -> Module:
        """Connect the array to the outside and its insides to the rows."""
        m = Module()
        m.submodules.array = array = self.array
        connect(m, flipped(self.load), array.load)
        connect(m, array.result, flipped(self.result))
        m.d.comb += [
            array.start.eq(self.start),
            self.busy.eq(array.busy),
            self.cycles.eq(array.cycles),
            self.events.eq(array.events),
        ]
        values, shown = _observed(array), []
        for row in self.shown:
            value = Signal(Shape(row.width, row.signed), name=f"{row.unit}_{row.name}")
            m.d.comb += value.eq(values[row.unit, row.name])
            shown.append(value)
        m.d.comb += self.rows.eq(Cat(shown))
        return m


def _observed(array: BroadcastArray) -> dict[tuple[str, str], ValueLike]:
    """Return the value of each row by unit and name; what is a number only at times is 0 at others."""
    events, scan, drain = array.events, array.scan, array.drain
    found: dict[tuple[str, str], ValueLike] = {
        ("layer", "busy"): array.busy,
        ("layer", "cycle"): array.cycles,
        ("scan", "active"): scan.active,
        ("scan", "passes_zeros"): scan.passes_zeros,
        ("scan", "offers"): scan.o.valid,
        ("scan", "column"): Mux(scan.o.valid, scan.o.payload.column, 0),
        ("scan", "value"): Mux(scan.o.valid, scan.o.payload.value, 0),
        ("broadcast", "sent"): events.broadcast,
        ("drain", "busy"): events.draining,
        ("drain", "asks"): drain.asked[0].valid,
        ("drain", "row"): Mux(drain.asked[0].valid, drain.asked[0].row, 0),
        ("drain", "result"): events.result,
        ("stall", "queue_full"): events.queue_full,
    }
    for number, (queue, pe) in enumerate(zip(array.queues, array.pes, strict=True)):
        coming = scan.active | queue.o.valid | pe.fetch.busy
        found |= {
            (f"queue{number}", "level"): queue.level,
            (f"pe{number}", "pop"): events.pop[number],
            (f"pe{number}", "pointer"): pe.fetch.busy,
            (f"pe{number}", "issue"): events.issue[number],
            (f"pe{number}", "busy"): events.busy[number],
            (f"pe{number}", "leave"): events.leave[number],
            ("drain", f"output{number}"): Mux(events.result, drain.result.values[number], 0),
            ("stall", f"starved{number}"): coming & ~pe.holds,
        }
    return found


def dumping_verilog(verilog: str, design: str, rows: Sequence[Row], suffix: str) -> str:
    """Return ``verilog`` with a module ``wave`` around its module ``design``: the same ports but ``rows``, which become signals in scopes.

    From ``start`` on it dumps everything to the file ``dump`` with ``suffix``: the loading of the memories, which takes longer than the
    layer, is not in it. Raises ``ValueError`` if there is no such module or it has no clock.
    """
    ports = module_ports(verilog, design)
    others = [port for port in ports if port[2] != "rows"]
    lines = [
        f"module {SCOPE}({', '.join(name for _, _, name in others)});",
        *(f"  {direction} {width}{name};" for direction, width, name in others),
        f"  wire [{sum(row.width for row in rows) - 1}:0] rows;",
        f"  {design} rtl ({', '.join(f'.{name}({name})' for _, _, name in ports)});",
        *_scopes(rows),
        f'  always @(posedge start) begin $dumpfile("{DUMP}{suffix}"); $dumpvars; end',
        "endmodule",
    ]
    return "\n".join([_UNNAMED.sub(r"  /*verilator tracing_off*/\n\g<0>\n  /*verilator tracing_on*/", verilog), *lines, ""])


def _scopes(rows: Sequence[Row]) -> list[str]:
    """Return Verilog that names the slices of ``rows``, unit by unit."""
    starts = dict(zip(rows, itertools.accumulate((row.width for row in rows), initial=0), strict=False))
    lines = []
    for unit, members in itertools.groupby(rows, key=lambda row: row.unit):
        lines.append(f"  if (1) begin : {unit}")
        for row in members:
            kind = f"wire {'signed ' if row.signed else ''}{f'[{row.width - 1}:0] ' if row.width > 1 else ''}"
            lines.append(f"    {kind}{row.name} = rows[{starts[row]} +: {row.width}];")
        lines.append("  end")
    return lines
