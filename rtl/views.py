"""What a waveform viewer shows at first: the rows by unit, for GTKWave (``.gtkw``) and Surfer (``.sucl``)."""

import io
import itertools
import math
from collections.abc import Sequence

from qsim.errors import MissingExtra
from rtl.rows import Row

PIXELS = 560  # of the wave pane of GTKWave's window as it opens
PIXELS_A_FRAME = 200  # zoom 0 shows one tick in so many (GTKWave 3.3: pixelsperframe)
CYCLES = 140  # at first at most so many are in it: more and one cycle cannot be told from the next
STALLS = "stall"


def gtkwave_view(dump: str, rows: Sequence[Row], start: int, end: int, ticks: int) -> str:
    """Return a GTKWave save file for the file ``dump``: the rows in groups, from tick ``start`` as far as ``end`` or ``CYCLES``, with
    ``ticks`` a cycle.

    Raises :class:`MissingExtra` without pyvcd.
    """
    try:
        from vcd.gtkw import GTKWColor, GTKWSave
    except ImportError as error:
        raise MissingExtra("rtl", "writing a waveform's view") from error
    text = io.StringIO()
    save = GTKWSave(text)
    save.dumpfile(dump, abspath=False)
    save.timestart(start)
    save.zoom_markers(-math.log2(min(end - start, CYCLES * ticks) * PIXELS_A_FRAME / PIXELS), start)
    for unit, members in itertools.groupby(rows, key=lambda row: row.unit):
        with save.group(unit):
            for row in members:
                bits = f"[{row.width - 1}:0]" if row.width > 1 else ""
                kind = "bin" if row.width == 1 else "signed" if row.signed else "dec"
                color = GTKWColor.red if unit == STALLS else GTKWColor.normal
                save.trace(".".join(row.path) + bits, datafmt=kind, color=color)
    return text.getvalue()


def surfer_view(rows: Sequence[Row]) -> str:
    """Return a Surfer command file: the rows, a divider before each unit."""
    lines = []
    for unit, members in itertools.groupby(rows, key=lambda row: row.unit):
        lines += [f"divider_add {unit}", *(f"variable_add {'.'.join(row.path)}" for row in members)]
    return "\n".join([*lines, "zoom_fit", ""])
