"""One layer with one input as waveforms: the RTL's run, signal by signal, and the simulator's, in the same rows at the same times.

Six files: the RTL's dump, the simulator's timeline, and for each a view for GTKWave and one for Surfer.
"""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.errors import MissingExtra, QsimError, UnsupportedProgram
from qsim.files import write_bytes_atomically
from qsim.formats.fixed import IntArray
from qsim.model.compressed import CompressedModel
from qsim.progress import Progress, silent
from qsim.sim import event
from qsim.sim.lower import lower
from qsim.sim.rows import Rows, layer_rows
from qsim.sim.semantics import infer
from qsim.verify import array_job
from rtl.rows import Row, rows_of
from rtl.toolchain import DUMP_SUFFIXES
from rtl.views import gtkwave_view, surfer_view
from rtl.wave import TICKS, dump

STAGE = "RTL waveform under Verilator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """The files: ``rtl`` and ``simulator``, dumps; ``views`` of both. ``start``: the tick of cycle 0; ``cycles`` of the layer in RTL and in SimPy."""

    rtl: Path
    simulator: Path
    views: tuple[Path, ...]
    start: int
    cycles_rtl: int
    cycles_event: int


def check_wave_file(target: Path) -> None:
    """Raise :class:`QsimError` unless a waveform can be written to a file of this name."""
    if target.suffix not in DUMP_SUFFIXES:
        raise QsimError(path="--wave", rule="a file of a known suffix", value=target.name, legal=DUMP_SUFFIXES)


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
    """Run the network's ``inputs`` [features] through ``layer`` in RTL and in SimPy and write both as waveforms, ``target`` the RTL's.

    A file is written whole or not at all, and none before both have run. Raises :class:`UnsupportedProgram` if there is no such layer or
    it does not fit the machine, :class:`MissingExtra` without the RTL tools.
    """
    check_wave_file(target)
    names = [node.name for node in model.graph.nodes]
    if layer not in names:
        raise UnsupportedProgram(path="layers", rule="layers of the network", value=layer, legal=names)
    index = names.index(layer)
    given = infer(model, inputs[None, :]).inputs[index]
    rows = rows_of(ArrayParameters.of(machine))
