"""One layer with one input as waveforms: the RTL's run, signal by signal, and the simulator's, in the same rows at the same times.

Six files: the RTL's dump, the simulator's timeline, and for each a view for GTKWave and one for Surfer.
"""

import importlib.util
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.array_job import array_job
from qsim.errors import MissingExtra, UnsupportedProgram
from qsim.files import write_bytes_atomically
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.progress import Progress, silent
from qsim.sim import event
from qsim.sim.lower import lower
from qsim.sim.rows import Rows, layer_rows
from qsim.sim.semantics import infer, run_layer
from rtl.parameters import ArrayParameters
from rtl.rows import Row, rows_of
from rtl.views import gtkwave_view, surfer_view
from rtl.wave import TICKS, Dumped, dump

STAGE = "RTL waveform under Verilator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """What was written: ``files``, the RTL's dump first, the simulator's second, then the views of each; the nanosecond ``start`` at which
    cycle 0 begins in both, ``ticks`` nanoseconds a cycle; ``cycles`` of the layer.
    """

    files: tuple[Path, ...]
    start: int
    ticks: int
    cycles: int


def write_waves(
    model: CompressedModel,
    machine: Architecture,
    layer: str,
    inputs: IntArray,
    target: Path,
    *,
    build_dir: Path,
    progress: Progress = silent,
) -> Waves:
    """Run the network's ``inputs`` [features] through ``layer`` in RTL and in SimPy and write both as waveforms, the RTL to
    ``target`` (``.vcd`` or ``.fst``).

    A file is written whole or not at all, and none before both have run. Raises :class:`UnsupportedProgram` if there is no such layer or
    it does not fit the machine, :class:`MissingExtra` without the RTL tools.
    """
    names = [node.name for node in model.graph.weighted]
    if layer not in names:
        raise UnsupportedProgram(path="layers", rule="layers of the network", value=layer, legal=names)
    if importlib.util.find_spec("vcd") is None:
        raise MissingExtra("rtl", "writing waveforms")
    index = names.index(layer)
    given = infer(model, inputs[None, :]).inputs[index]
    rows = rows_of(ArrayParameters.of(machine))
    progress(STAGE, 0, 2)
    with tempfile.TemporaryDirectory(prefix="qsim-wave-") as folder:
        part = Path(folder, target.name)
        dumped = dump(machine, array_job(model.layers[index], machine, given), build_dir, part)
        progress(STAGE, 1, 2)
        shown = simulated_rows(model.layers[index], machine, given[0])
        files = wave_files(target, rows, shown, dumped, part.read_bytes())
    for path, data in files.items():
        write_bytes_atomically(path, data)
    progress(STAGE, 2, 2)
    return Waves(files=tuple(files), start=dumped.start, ticks=TICKS, cycles=dumped.cycles)


def simulated_rows(layer: QuantisedLayer, machine: Architecture, given: IntArray) -> Rows:
    """Return the rows of ``layer`` with the input ``given`` [cols] by the event engine."""
    lowered = lower(layer, machine)
    program, columns = lowered.program(given), lowered.columns(given)
    outputs = run_layer(layer, given[None, :])[0]
    return layer_rows(program, event.simulate(program, timeline=True), columns, given[columns], outputs)


def wave_files(target: Path, rows: Sequence[Row], shown: Rows, dumped: Dumped, dump_bytes: bytes) -> dict[Path, bytes]:
    """Return the content of each file; both dumps open at cycle 0 and show as much."""
    timeline = target.with_suffix(".sim.vcd")
    files = {target: dump_bytes, timeline: timeline_vcd(rows, shown, dumped.start).encode()}
    for path in tuple(files):
        view = gtkwave_view(path.name, rows, dumped.start, dumped.start + TICKS * dumped.cycles, TICKS)
        files[path.with_suffix(".gtkw")] = view.encode()
        files[path.with_suffix(".sucl")] = surfer_view(rows).encode()
    return files


def timeline_vcd(rows: Sequence[Row], shown: Rows, start: int) -> str:
    """Return a VCD file of ``rows`` whose cycle 0 begins at tick ``start``, the cycle before it and the one after the layer included."""
    from vcd import VCDWriter

    text = io.StringIO()
    changes: list[tuple[int, int, int]] = []
    with VCDWriter(text, timescale="1 ns", date="", version="qsim", init_timestamp=start - TICKS) as writer:
        variables = [writer.register_var(row.path[:-1], row.label, "wire", row.width, init=0) for row in rows]
        for number, row in enumerate(rows):
            values = shown[row.unit, row.name]
            places = np.flatnonzero(np.diff(values, prepend=0))
            changes += [(place, number, value) for place, value in zip(places.tolist(), values[places].tolist(), strict=True)]
        for place, number, value in sorted(changes):
            writer.change(variables[number], start + TICKS * place, value)
        writer.close(start + TICKS * len(shown["layer", "cycle"]))
    return text.getvalue()
