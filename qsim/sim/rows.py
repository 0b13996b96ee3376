"""A simulated layer cycle by cycle: what every unit of the array does, for people to look at beside the waveform of the RTL.

The rows and their meaning: docs/waveforms.md. All follow from the cycles of the transfers by the rules of docs/timing.md.
"""

import numpy as np
import numpy.typing as npt

from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.sim.program import Program
from qsim.sim.simulated import Simulated, Timeline

Rows = dict[tuple[str, str], IntArray]


def layer_rows(program: Program, simulated: Simulated, columns: IntArray, values: IntArray, outputs: IntArray) -> Rows:
    """Return the value of each row, by unit and name, in every cycle of the layer and the one after it [cycles + 1].

    ``columns``, ``values`` [N]: of the items; ``outputs`` [rows]: of the layer. Raises :class:`UnsupportedProgram` without a timeline.
    """
    timeline = simulated.timeline
    if timeline is None:
        raise UnsupportedProgram("rows: the layer must be simulated with timeline=True")
    cells = _Cells(simulated.cycles + 1)
    rows: Rows = {
        ("layer", "busy"): cells.during([0], [simulated.cycles]),
        ("layer", "cycle"): np.arange(cells.count),
    }
    rows |= _scan(cells, program, simulated, timeline, columns, values)
    for pe in range(program.pes):
        rows |= _pe(cells, pe, timeline, rows["scan", "active"])
    return rows | _drain(cells, program, simulated, outputs)


class _Cells:
    """``count`` cycles."""

    def __init__(self, count: int) -> None:
        self.count = count

    def during(self, first: npt.ArrayLike, after: npt.ArrayLike, value: IntArray | int = 1) -> IntArray:
        """Add ``value`` in the cycles of each span, from ``first`` to before ``after``."""
        steps = np.zeros(self.count + 1, dtype=np.int64)
        np.add.at(steps, np.asarray(first, dtype=np.int64), value)
        np.subtract.at(steps, np.asarray(after, dtype=np.int64), value)
        return np.cumsum(steps)[: self.count]

    def at(self, cycles: IntArray, value: IntArray | int = 1) -> IntArray:
        """Add ``value`` in each of ``cycles``."""
        return self.during(cycles, cycles + 1, value)


def _scan(cells: _Cells, program: Program, simulated: Simulated, timeline: Timeline, columns: IntArray, values: IntArray) -> Rows:
    """An item is offered from the cycle in which it is found to its broadcast; all-zero rows pass before it."""
    sent = timeline.broadcast
    left = np.r_[program.timing.scan_start_latency - 1, sent]  # when the scan was free again
    found = left[:-1] + 1 + program.scan_empty
    return {
        ("scan", "active"): cells.during([0], [simulated.scan_end + 1]),
        ("scan", "passes_zeros"): cells.during(left + 1, left + 1 + np.r_[program.scan_empty, program.scan_tail]),
        ("scan", "offers"): cells.during(found, sent + 1),
        ("scan", "column"): cells.during(found, sent + 1, columns),
        ("scan", "value"): cells.during(found, sent + 1, values),
        ("broadcast", "sent"): cells.at(sent),
        ("stall", "queue_full"): cells.during(found, sent),
    }


def _pe(cells: _Cells, pe: int, timeline: Timeline, scanning: IntArray) -> Rows:
    pop, issue, leave = timeline.pop[pe], timeline.issue[pe], timeline.leave[pe]
    level = cells.during(timeline.broadcast + 1, pop + 1)
    pointer, busy = cells.during(pop + 1, issue + 1), cells.during(issue + 1, leave + 1)
    coming = (scanning | level | pointer) != 0
    return {
        (f"queue{pe}", "level"): level,
        (f"pe{pe}", "pop"): cells.at(pop),
        (f"pe{pe}", "pointer"): pointer,
        (f"pe{pe}", "issue"): cells.at(issue),
        (f"pe{pe}", "busy"): busy,
        (f"pe{pe}", "leave"): cells.at(leave),
        ("stall", f"starved{pe}"): (coming & (busy == 0)).astype(np.int64),
    }


def _drain(cells: _Cells, program: Program, simulated: Simulated, outputs: IntArray) -> Rows:
    start = simulated.barrier + program.timing.drain_start_latency
    numbers = np.arange(program.drain_rows)
    asked, given = start + numbers, start + numbers + program.timing.drain_latency
    rows: Rows = {
        ("drain", "busy"): cells.during([start], [simulated.drained]),
        ("drain", "asks"): cells.at(asked),
        ("drain", "row"): cells.at(asked, numbers),
        ("drain", "result"): cells.at(given),
    }
    for pe in range(program.pes):
        own = outputs[pe :: program.pes]
        rows["drain", f"output{pe}"] = cells.at(given[: len(own)], own)
    return rows
