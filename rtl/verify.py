"""Run layers on the built array: from plain integers to outputs and the cycle of every item.

A model is built once for each machine and kept by content; one simulation runs any number of layers and inputs on it.
Nothing here knows the simulators of ``qsim.sim``: that their cycles are equal is for the caller to find out.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape
from amaranth.lib import data

from qsim.arch.architecture import Architecture, PEKind
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from rtl.array import BroadcastArray, events_layout
from rtl.emit import emit
from rtl.load import Unit, load_layout
from rtl.parameters import MAX_BIAS_SHIFT, MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT, ArrayParameters
from rtl.toolchain import build_model, run_bench

TOP = "array"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayJob:
    """One layer and its inputs, in integers.

    ``rows``: outputs; ``pointers`` [pes, columns + 1]: where each column begins in each PE's memory; ``codes``: the entries of PE 0,
    then of PE 1, and so on, ``pointers[p, -1]`` of each. What an entry is depends on the PE: the weight (dense), its place in the
    codebook (codebook, sparse) or its pulse (pvq). None where the PE has none: ``gaps`` of the entries, ``codebook`` [<= 2**code_bits],
    ``scales`` [rows]. ``bias`` [rows], shifted left by ``bias_shift`` to the fraction of the sums; ``shift``: from the sums to the
    outputs, to the right, or to the left if negative; ``relu``; ``activations`` [inputs, columns]. ``accumulator_bits`` and
    ``output_bits``, where sums and outputs saturate, are fixed in hardware: they are here to be checked.
    """

    rows: int
    pointers: IntArray
    codes: IntArray
    gaps: IntArray | None = None
    codebook: IntArray | None = None
    scales: IntArray | None = None
    bias: IntArray
    bias_shift: int
    shift: int
    relu: bool
    activations: IntArray
    accumulator_bits: int
    output_bits: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemCycles:
    """In which cycle each item passed each place, as docs/timing.md names them: ``broadcast`` [N] (A), ``pop`` (B), ``issue`` (I) and
    ``leave`` (I + s), all [pes, N].
    """

    broadcast: IntArray
    pop: IntArray
    issue: IntArray
    leave: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayRun:
    """What the array did with a job: ``outputs`` [inputs, rows], ``cycles`` [inputs] and, if recorded, ``items`` for each input."""

    outputs: IntArray
    cycles: IntArray
    items: tuple[ItemCycles, ...]


def build_array(machine: Architecture, build_dir: Path) -> Path:
    """Build the model of ``machine``'s array below ``build_dir``, or find it there; return its folder.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`MissingExtra` without the ``rtl`` extra.
    """
    parameters = ArrayParameters.of(machine)
    return build_model(emit(lambda: BroadcastArray(parameters), TOP, build_dir.resolve(), repr(parameters)), TOP)


def run_array(machine: Architecture, jobs: list[ArrayJob], build_dir: Path, record: bool = True) -> list[ArrayRun]:
    """Run every input of every job on ``machine``'s array, in one simulation.

    Without ``record`` the simulator runs without Python between start and drain, and the runs have no ``items``.

    Raises :class:`MachineError` if the RTL does not have this machine, :class:`UnsupportedProgram` if a job does not fit it.
    """
    parameters = ArrayParameters.of(machine)
    for number, job in enumerate(jobs):
        _check(parameters, job, f"jobs[{number}]")
    model = build_array(machine, build_dir)
    packer = _Packer(parameters, every_column=not machine.scan.skip_zeros)
    vectors: dict[str, npt.ArrayLike] = {"jobs": len(jobs), "record": record, "output_bits": parameters.activation_bits}
    for number, job in enumerate(jobs):
        vectors[f"words_{number}"] = packer.layer_words(job)
        vectors[f"inputs_{number}"] = np.stack([packer.activation_words(row) for row in job.activations])
        vectors[f"rows_{number}"] = -(-job.rows // parameters.pes)
        # Even if no two PEs ever worked at once it would take less: a model that is still running then never ends.
        entry_cycles = int(np.maximum(1, np.abs(job.codes)).sum()) if parameters.kind is PEKind.PVQ else len(job.codes)
        vectors[f"limit_{number}"] = 1000 + 4 * (entry_cycles + job.pointers.size + job.rows)
    with tempfile.TemporaryDirectory(prefix="qsim-rtl-") as folder:
        work = Path(folder)
        source, target = work / "vectors.npz", work / "results.npz"
        np.savez(source, **{name: np.asarray(value) for name, value in vectors.items()})
        run_bench(model, TOP, "rtl.bench.array_bench", {"QSIM_VECTORS": str(source), "QSIM_RESULTS": str(target)}, work)
        with np.load(target) as results:
            return [_collect(parameters, job, number, results, record) for number, job in enumerate(jobs)]


def _check(parameters: ArrayParameters, job: ArrayJob, path: str) -> None:
    p = parameters
    columns = job.pointers.shape[1] - 1
    rules = (
        ("rows", 1 <= job.rows <= p.pes * p.local_rows, f"1 to {p.pes * p.local_rows}", job.rows),
        ("pointers", len(job.pointers) == p.pes, f"of {p.pes} PEs", len(job.pointers)),
        ("columns", 1 <= columns <= p.columns, f"1 to {p.columns}", columns),
        ("activations", job.activations.shape[1:] == (columns,), f"of shape [inputs, {columns}]", job.activations.shape),
        ("activations", _fits(job.activations, p.activation_bits), f"of {p.activation_bits} bits", "larger values"),
        ("entries", job.pointers.max() <= p.weight_rows * p.entries_per_row, "small enough for the weight memory", int(job.pointers.max())),
        ("accumulator_bits", job.accumulator_bits == p.accumulator_bits, f"{p.accumulator_bits}, the PE's", job.accumulator_bits),
        ("output_bits", job.output_bits == p.activation_bits, f"{p.activation_bits}, the array's", job.output_bits),
        *_entry_rules(p, job),
        ("bias", job.bias.shape == (job.rows,), f"of shape [{job.rows}]", job.bias.shape),
        ("bias", _fits(job.bias, p.bias_bits), f"of {p.bias_bits} bits", "larger values"),
        ("bias_shift", 0 <= job.bias_shift <= MAX_BIAS_SHIFT, f"0 to {MAX_BIAS_SHIFT}", job.bias_shift),
        ("shift", -MAX_LEFT_SHIFT <= job.shift <= MAX_RIGHT_SHIFT, f"{-MAX_LEFT_SHIFT} to {MAX_RIGHT_SHIFT}", job.shift),
    )
    for name, good, rule, value in rules:
        if not good:
            raise UnsupportedProgram(path=f"{path}.{name}", rule=rule, value=value)


def _entry_rules(p: ArrayParameters, job: ArrayJob) -> Iterator[tuple[str, bool, str, object]]:
    """Yield the rules about what entries are, which depend on the PE."""
    for name, values, wanted in (
        ("gaps", job.gaps, p.has_gaps),
        ("codebook", job.codebook, p.kind in (PEKind.CODEBOOK, PEKind.SPARSE)),
        ("scales", job.scales, p.has_scales),
    ):
        yield name, (values is not None) == wanted, f"{'given' if wanted else 'None'} for {p.kind} PEs", "the opposite"
    if not p.has_gaps:
        owned = (job.rows - np.arange(p.pes) + p.pes - 1) // p.pes
        regular = np.array_equal(job.pointers, owned[:, None] * np.arange(job.pointers.shape[1]))
        yield "pointers", regular, "those of columns that hold every row", "others"
    if job.codebook is not None:
        yield "codebook", len(job.codebook) <= 1 << p.code_bits, f"of at most {1 << p.code_bits} values", len(job.codebook)
        yield "codebook", _fits(job.codebook, p.weight_bits), f"of {p.weight_bits} bits", "larger values"
    else:
        bits = p.weight_bits if p.kind is PEKind.DENSE else p.code_bits
        yield "codes", _fits(job.codes, bits), f"of {bits} bits", "larger values"
    if job.scales is not None:
        yield "scales", job.scales.shape == (job.rows,), f"of shape [{job.rows}]", job.scales.shape
        good = bool(np.all((job.scales >= 0) & (job.scales < 1 << p.scale_bits)))
        yield "scales", good, f"of {p.scale_bits} bits without a sign", "other values"


def _fits(values: IntArray, bits: int) -> bool:
    limit = 1 << (bits - 1)
    return bool(np.all((values >= -limit) & (values < limit)))


@dataclass(frozen=True, slots=True)
class _Packer:
    """Makes words of the load bus, as rows of bytes, low byte first."""

    parameters: ArrayParameters
    every_column: bool

    def words(self, unit: Unit, values: list[int], pe: int = 0) -> list[int]:
        """Return the words that write ``values`` to addresses 0, 1, ... of a unit."""
        layout = load_layout(self.parameters)
        fixed = (unit.value << layout["unit"].offset) | (pe << layout["pe"].offset)
        address, place = layout["address"].offset, layout["data"].offset
        return [fixed | (number << address) | (value << place) for number, value in enumerate(values)]

    def layer_words(self, job: ArrayJob) -> npt.NDArray[np.uint8]:
        """Return every word of a layer but its activations."""
        p = self.parameters
        columns = job.pointers.shape[1] - 1
        layer = _pack(
            p.layer,
            scan_rows=-(-columns // p.row_width),
            columns=columns,
            drain_rows=-(-job.rows // p.pes),
            full_pes=(job.rows - 1) % p.pes + 1,
            bias_shift=job.bias_shift,
            left=max(0, -job.shift),
            right=max(0, job.shift),
            relu=int(job.relu),
            every_column=int(self.every_column),
        )
        words = self.words(Unit.LAYER, [layer])
        if job.codebook is not None:
            words += self.words(Unit.CODEBOOK, _unsigned(job.codebook, p.weight_bits))
        ends = np.cumsum(job.pointers[:, -1])
        for pe, (start, end) in enumerate(zip(ends - job.pointers[:, -1], ends, strict=True)):
            width = Shape.cast(p.entry["code"].shape).width
            entries = job.codes[start:end] & ((1 << width) - 1)
            if job.gaps is not None:
                entries |= job.gaps[start:end] << width
                words += self.words(Unit.POINTERS, self._pointers(job.pointers[pe], job.codes[start:end]), pe)
            if job.scales is not None:
                words += self.words(Unit.SCALE, job.scales[pe :: p.pes].tolist(), pe)
            words += self.words(Unit.WEIGHTS, _joined(entries, p.entries_per_row, p.entry.size), pe)
            words += self.words(Unit.BIAS, _unsigned(job.bias[pe :: p.pes], p.bias_bits), pe)
        return self.bytes_of(words)

    def _pointers(self, pointers: IntArray, codes: IntArray) -> list[int]:
        """Return the pairs of pointers of one PE; beside a column of pulses stand the cycles of its entries."""
        p = self.parameters
        values = pointers
        if p.kind is PEKind.PVQ:
            before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.maximum(1, np.abs(codes)))])
            cycles = np.maximum(1, np.diff(before[pointers]))
            values = pointers | (np.append(cycles, 0) << p.column_pointer["cycles"].offset)
        return _joined(values, 2, p.column_pointer.size)

    def activation_words(self, activations: IntArray) -> npt.NDArray[np.uint8]:
        """Return the words of one input [columns]."""
        p = self.parameters
        unsigned = np.array(_unsigned(activations, p.activation_bits), dtype=np.int64)
        return self.bytes_of(self.words(Unit.ACTIVATIONS, _joined(unsigned, p.row_width, p.activation_bits)))

    def bytes_of(self, words: list[int]) -> npt.NDArray[np.uint8]:
        """Return ``words`` as bytes [n, width]."""
        width = -(-load_layout(self.parameters).size // 8)
        return np.frombuffer(b"".join(word.to_bytes(width, "little") for word in words), dtype=np.uint8).reshape(-1, width)


def _pack(layout: data.StructLayout, **fields: int) -> int:
    return sum(value << layout[name].offset for name, value in fields.items())


def _unsigned(values: IntArray, bits: int) -> list[int]:
    return [int(value) & ((1 << bits) - 1) for value in values]


def _joined(values: IntArray, count: int, bits: int) -> list[int]:
    """Join each ``count`` following values of ``bits`` bits to one integer, the first in the low bits."""
    padded = np.concatenate([values, np.zeros(-len(values) % count, dtype=np.int64)]).reshape(-1, count).tolist()
    return [sum(value << (bits * lane) for lane, value in enumerate(row)) for row in padded]


def _collect(parameters: ArrayParameters, job: ArrayJob, number: int, results: "np.lib.npyio.NpzFile", record: bool) -> ArrayRun:
    outputs = results[f"results_{number}"].reshape(len(job.activations), -1)[:, : job.rows]
    flags = (results[f"flags_{number}_{index}"] for index in range(len(job.activations))) if record else ()
    return ArrayRun(
        outputs=outputs,
        cycles=results[f"cycles_{number}"],
        items=tuple(_item_cycles(parameters, item) for item in flags),
    )


def _item_cycles(parameters: ArrayParameters, flags: npt.NDArray[np.uint8]) -> ItemCycles:
    """Turn the event flags of every cycle [cycles, bytes] into the cycles of every item."""
    layout = events_layout(parameters)
    bits = np.unpackbits(flags, axis=1, bitorder="little")

    def cycles(name: str) -> IntArray:
        start = layout[name].offset
        return np.stack([np.flatnonzero(bits[:, start + pe]) for pe in range(parameters.pes)])

    return ItemCycles(
        broadcast=np.flatnonzero(bits[:, layout["broadcast"].offset]), pop=cycles("pop"), issue=cycles("issue"), leave=cycles("leave")
    )
