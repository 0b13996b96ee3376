"""Run whole networks on the built accelerator: from plain integers to logits, classes and the counters of every layer."""

import itertools
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Architecture
from qsim.errors import QsimError, UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.formats.layer import CompressedLayer
from rtl.bench.clocked import CLOCKED, clocked_verilog
from rtl.bench.shell import STREAM_WORDS, RunShell
from rtl.counters import COUNTER_BITS, OF_PES, TOTALS
from rtl.emit import emit
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.loader import StreamLimits
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.stream_image import StreamImage
from rtl.toolchain import build_model, run_bench

TOP = "run_shell"
QUICK_CYCLES = 1_000_000  # for fewer it takes longer to compile a fast model than to run one that is compiled in a hurry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkRun:
    """What the accelerator did with each input.

    ``logits`` [inputs, outputs]; ``best`` [inputs]: index of the largest; ``counters``: by name (:func:`rtl.counters.counters_layout`)
    [inputs, layers], of PEs [inputs, layers, pes], each of that layer alone, but for ``setup`` and ``loading``, which came
    before the layer;
    ``clocks``: of the whole simulation, loading included; ``cpu_seconds``: what the simulator's process took for them, its start included.
    """

    logits: IntArray
    best: IntArray
    counters: dict[str, IntArray]
    clocks: int
    cpu_seconds: float


def build_network(machine: Architecture, jobs: Sequence[ArrayJob], build_dir: Path, *, streamed: bool = False, quick: bool = False) -> Path:
    """Build the accelerator of ``machine`` for networks of the sizes of ``jobs``, or find it; return its folder. ``streamed``: one that
    reads weights from a stream; ``quick``: one for few cycles, built in less time.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`MissingExtra` without the ``rtl`` extra.
    """
    p = ArrayParameters.of(machine, layers=len(jobs), streamed=streamed)
    rows = -(-(jobs[0].pointers.shape[1] - 1) // p.row_width)
    verilog = emit(lambda: RunShell(p), TOP, build_dir.resolve(), f"{p!r} {rows}", around=partial(clocked_verilog, rows=rows))
    return build_model(verilog, CLOCKED, clocked=True, quick=quick)


def run_network(
    machine: Architecture, jobs: Sequence[ArrayJob], inputs: IntArray, build_dir: Path, *, streams: Sequence[CompressedLayer] = ()
) -> NetworkRun:
    """Run ``inputs`` [n, columns] through the layers ``jobs`` (their own activations are not used) on ``machine``, in one simulation.

    With ``streams``, all the layers as a file holds them, by column, no weights are preloaded: they come compressed, anew for every input.

    Raises :class:`UnsupportedProgram` if the network does not fit, :class:`QsimError` if a run ends with an error code.
    """
    p = ArrayParameters.of(machine, layers=len(jobs), streamed=bool(streams))
    packer = ImagePacker(p, every_column=not machine.scan.skip_zeros)
    words = packer.network_words(jobs)
    for number, (before, after) in enumerate(itertools.pairwise(jobs), 1):
        if after.pointers.shape[1] - 1 != before.rows:
            raise UnsupportedProgram(path=f"layers[{number}].columns", rule=f"{before.rows}", value=after.pointers.shape[1] - 1)
    vectors = {"words": words, "runs": len(inputs), "limit": (1 + p.streamed) * (most_clocks(jobs) + p.local_rows)}
    vectors |= {"weights": _packets(p, jobs, streams)} if streams else {}
    quick = len(inputs) * sum(_cycles(job) for job in jobs) < QUICK_CYCLES
    model = build_network(machine, jobs, build_dir, streamed=p.streamed, quick=quick)
    with tempfile.TemporaryDirectory(prefix="qsim-rtl-") as folder:
        work = Path(folder)
        vectors_file, rows, results, clocks = (work / name for name in ("vectors.npz", "inputs.bin", "results.txt", "clocks.txt"))
        np.savez(vectors_file, **vectors)
        rows.write_bytes(_rows(packer, inputs))
        begun = _seconds_of_children()
        environment = {"QSIM_VECTORS": str(vectors_file), "QSIM_CLOCKS": str(clocks)}
        run_bench(model, CLOCKED, "rtl.bench.network_bench", environment, work, (f"+inputs={rows}", f"+results={results}"))
        used = _seconds_of_children() - begun
        return _collect(p, jobs, len(inputs), results.read_text().split("\n"), int(clocks.read_text()), used)


def _rows(packer: ImagePacker, inputs: IntArray) -> bytes:
    """Return the activation rows of all inputs, the highest byte of each first."""
    size = -(-packer.parameters.row_width * packer.parameters.activation_bits // 8)
    return b"".join(row.to_bytes(size, "big") for given in inputs for row in packer.activation_rows(given))


def _packets(p: ArrayParameters, jobs: Sequence[ArrayJob], streams: Sequence[CompressedLayer]) -> npt.NDArray[np.uint64]:
    """Return the words of all layers, with bit 32 set on the last one of each."""
    limits, words = StreamLimits(code_bits=p.code_bits), []
    for job, layer in zip(jobs, streams, strict=True):
        image = StreamImage.of(layer, job.rows, job.pointers.shape[1] - 1, limits)
        if job.codebook is None or not np.array_equal(image.codebook, job.codebook):
            raise UnsupportedProgram(path="streams", rule="the layers of the jobs, in the same codebook", value="others")
        packet = image.packet()
        words += [*packet[:-1], packet[-1] | 1 << 32]
    if len(words) > STREAM_WORDS:
        raise UnsupportedProgram(path="streams", rule=f"at most {STREAM_WORDS} words", value=len(words))
    return np.array(words, dtype=np.uint64)


def most_clocks(jobs: Sequence[ArrayJob]) -> int:
    """Return clocks that a run does not reach, even if no two PEs ever worked at once: a model that still runs then never ends."""
    return sum(4 * (int(np.maximum(1, np.abs(job.codes)).sum()) + job.pointers.size + job.rows) + 1000 for job in jobs)


def _cycles(job: ArrayJob) -> int:
    """Return about how many cycles a layer takes at most."""
    entries = np.maximum(1, np.abs(job.codes)) if job.scales is not None else np.ones_like(job.codes)
    return int(entries.sum()) // len(job.pointers) + job.pointers.shape[1] + job.rows


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _collect(p: ArrayParameters, jobs: Sequence[ArrayJob], runs: int, lines: Sequence[str], clocks: int, cpu_seconds: float) -> NetworkRun:
    """Read what the model wrote (``rtl/templates/clocked.v.j2``)."""
    ends = [line.split()[1:] for line in lines if line.startswith("e")]
    failed = [number for number, (error, _) in enumerate(ends) if int(error, 16)]
    if failed:
        raise QsimError(f"input {failed[0]}: the accelerator ended with {ErrorCode(int(ends[failed[0]][0], 16)).name}")
    if len(ends) < runs:
        raise QsimError(f"input {len(ends)}: the accelerator did not end")
    outputs, counters = (_hexadecimal([line[2:] for line in lines if line.startswith(kind)]) for kind in "oc")
    return NetworkRun(
        logits=signed_values(outputs, p.activation_bits, p.row_width).reshape(len(ends), -1)[:, : jobs[-1].rows],
        best=np.array([int(best, 16) for _, best in ends], dtype=np.int64),
        counters=counters_of_layers(p, counters.view(f"<u{COUNTER_BITS // 8}").astype(np.int64).reshape(len(ends), len(jobs), -1)),
        clocks=clocks,
        cpu_seconds=cpu_seconds,
    )


def _hexadecimal(lines: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return hexadecimal numbers of one length as rows of bytes, the lowest first."""
    padded = "".join(line.zfill(len(line) + len(line) % 2) for line in lines)
    found = np.frombuffer(bytes.fromhex(padded), dtype=np.uint8).reshape(len(lines), -1)
    return np.ascontiguousarray(found[:, ::-1])


def signed_values(packed: npt.NDArray[np.uint8], width: int, count: int) -> IntArray:
    """Return the first ``count`` signed values of ``width`` bits in each row of bytes, the first in the low bits: [rows, count]."""
    bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : count * width].reshape(len(packed), count, width)
    powers = 1 << np.arange(width)
    powers[-1] = -powers[-1]
    return bits.astype(np.int64) @ powers


def counters_of_layers(p: ArrayParameters, words: IntArray) -> dict[str, IntArray]:
    """Return by name what each layer added to the counters, which run on from layer to layer.

    ``words`` [inputs, layers, words], at the end of each layer, are in the order of :func:`~rtl.counters.counters_layout`.
    """
    each = np.diff(words, axis=1, prepend=0)
    found = {name: each[:, :, at] for at, name in enumerate(TOTALS)}
    for at, name in enumerate(OF_PES):
        start = len(TOTALS) + at * p.pes
        found[name] = each[:, :, start : start + p.pes]
    if p.streamed:
        found["loading"] = each[:, :, len(TOTALS) + len(OF_PES) * p.pes]
    return found
