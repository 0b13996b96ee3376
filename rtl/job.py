"""One layer for the array, in plain integers, and the rules by which it fits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import PEKind
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from rtl.parameters import COORDINATE_BITS, MAX_BIAS_SHIFT, MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT, ArrayParameters
from rtl.windows import WindowJob


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayJob:
    """One layer and its inputs, in integers.

    ``rows``: outputs; ``pointers`` [pes, columns + 1]: where each column begins in each PE's memory; ``codes``: the entries of PE 0,
    then of PE 1, and so on, ``pointers[p, -1]`` of each. What an entry is depends on the PE: the weight (dense), its place in the
    codebook (codebook, sparse) or its pulse (pvq). None where the PE has none: ``gaps`` of the entries, ``codebook`` [<= 2**code_bits],
    ``scales`` [rows]. ``bias`` [rows], shifted left by ``bias_shift`` to the fraction of the sums; ``shift``: from the sums to the
    outputs, to the right, or to the left if negative; ``relu``; ``limit``: outputs above it become it, None for the largest output;
    ``activations`` [inputs, columns]; with a ``window`` [inputs, height * width * channels], channels last, and columns are those of a
    window whose channels take whole activation rows. ``accumulator_bits`` and
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
    limit: int | None = None
    window: WindowJob | None = None

    @property
    def pixels(self) -> int:
        """How often the rows of outputs come: once for each window."""
        return 1 if self.window is None else self.window.pixels


def check_job(parameters: ArrayParameters, job: ArrayJob, path: str) -> None:
    """Raise :class:`UnsupportedProgram` naming the first rule by which ``job`` does not fit the array."""
    p = parameters
    columns = job.pointers.shape[1] - 1
    elements = columns if job.window is None else job.window.height * job.window.width * job.window.channels
    rules = (
        ("rows", 1 <= job.rows <= p.pes * p.local_rows, f"1 to {p.pes * p.local_rows}", job.rows),
        ("pointers", len(job.pointers) == p.pes, f"of {p.pes} PEs", len(job.pointers)),
        ("columns", 1 <= columns <= p.columns, f"1 to {p.columns}", columns),
        ("activations", job.activations.shape[1:] == (elements,), f"of shape [inputs, {elements}]", job.activations.shape),
        *_window_rules(p, job),
        ("activations", _fits(job.activations, p.activation_bits), f"of {p.activation_bits} bits", "larger values"),
        ("entries", job.pointers.max() <= p.weight_rows * p.entries_per_row, "small enough for the weight memory", int(job.pointers.max())),
        ("accumulator_bits", job.accumulator_bits == p.accumulator_bits, f"{p.accumulator_bits}, the PE's", job.accumulator_bits),
        ("output_bits", job.output_bits == p.activation_bits, f"{p.activation_bits}, the array's", job.output_bits),
        *_entry_rules(p, job),
        ("bias", job.bias.shape == (job.rows,), f"of shape [{job.rows}]", job.bias.shape),
        ("bias", _fits(job.bias, p.bias_bits), f"of {p.bias_bits} bits", "larger values"),
        ("bias_shift", 0 <= job.bias_shift <= MAX_BIAS_SHIFT, f"0 to {MAX_BIAS_SHIFT}", job.bias_shift),
        ("limit", job.limit is None or 0 <= job.limit < 1 << (p.activation_bits - 1), f"of {p.activation_bits - 1} bits", job.limit),
        ("shift", -MAX_LEFT_SHIFT <= job.shift <= MAX_RIGHT_SHIFT, f"{-MAX_LEFT_SHIFT} to {MAX_RIGHT_SHIFT}", job.shift),
    )
    for name, good, rule, value in rules:
        if not good:
            raise UnsupportedProgram(path=f"{path}.{name}", rule=rule, value=value)


def _window_rules(p: ArrayParameters, job: ArrayJob) -> Iterator[tuple[str, bool, str, object]]:
    """Yield the rules about a convolution."""
    window, columns = job.window, job.pointers.shape[1] - 1
    yield "window", window is None or p.windows, "None for an array without windows", "a window"
    if window is not None:
        each = window.place_rows(p.row_width)
        yield "columns", columns == window.rows(p.row_width) * p.row_width, f"{window.rows(p.row_width) * p.row_width}, whole rows", columns
        rows, most = window.height * window.width * each, 1 << (COORDINATE_BITS - 2)
        yield "activations", rows <= p.activation_rows, f"of at most {p.activation_rows} rows of {p.row_width}", rows
        for name in ("height", "width", "kernel", "stride", "dilation", "padding", "output"):
            values = np.atleast_1d(getattr(window, name))
            yield f"window.{name}", bool(np.all(values < most)), f"below {most}", values.tolist()


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
