"""A layer's run as a waveform: the array under Verilator, every signal in every cycle, in VCD or FST."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsim.arch.architecture import Architecture
from qsim.files import write_bytes_atomically
from qsim.formats.fixed import IntArray
from rtl.bench.probe import DUMP, ProbedArray, dumping_verilog
from rtl.bench.wave_bench import PERIOD
from rtl.emit import emit
from rtl.image import ImagePacker
from rtl.job import ArrayJob, check_job
from rtl.parameters import ArrayParameters
from rtl.rows import SCOPE, rows_of
from rtl.toolchain import build_model, run_bench
from rtl.verify import most_cycles

TICKS = PERIOD  # of a dump, a cycle: one tick is a nanosecond


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dumped:
    """What a dump shows: ``outputs`` [rows]; ``cycles`` of the layer; ``start``, the tick at which cycle 0 begins."""

    outputs: IntArray
    cycles: int
    start: int


def build_wave(machine: Architecture, build_dir: Path, suffix: str) -> Path:
    """Build the model of ``machine``'s array that dumps to a file with ``suffix`` (``.vcd``, ``.fst``), or find it; return its folder.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`MissingExtra` without the ``rtl`` extra.
    """
    p = ArrayParameters.of(machine)
    top = f"probed_{suffix[1:]}"
    rows = rows_of(p)

    def around(text: str, name: str) -> str:
        return dumping_verilog(text, name, rows, suffix)

    verilog = emit(lambda: ProbedArray(p), top, build_dir.resolve(), repr(p), around)
    return build_model(verilog, SCOPE, dump=suffix)


def dump(machine: Architecture, job: ArrayJob, build_dir: Path, target: Path) -> Dumped:
    """Run the only input of ``job`` on ``machine``'s array and write its waveform to ``target``, whole or not at all.

    Raises as :func:`rtl.verify.run_array`.
    """
    p = ArrayParameters.of(machine)
    check_job(p, job, "job")
    packer = ImagePacker(p, every_column=not machine.scan.skip_zeros)
    vectors = {
        "words": np.concatenate([packer.layer_words(job), packer.activation_words(job.activations[0])]),
        "rows": -(-job.rows // p.pes),
        "output_bits": p.activation_bits,
        "limit": most_cycles(p, job),
    }
    model = build_wave(machine, build_dir, target.suffix)
    with tempfile.TemporaryDirectory(prefix="qsim-wave-") as folder:
        work = Path(folder)
        source, found = work / "vectors.npz", work / "results.npz"
        np.savez(source, **vectors)
        run_bench(model, SCOPE, "rtl.bench.wave_bench", {"QSIM_VECTORS": str(source), "QSIM_RESULTS": str(found)}, work)
        with np.load(found) as results:
            write_bytes_atomically(target, (work / f"{DUMP}{target.suffix}").read_bytes())
            return Dumped(outputs=results["outputs"].ravel()[: job.rows], cycles=int(results["cycles"]), start=int(results["start"]))
