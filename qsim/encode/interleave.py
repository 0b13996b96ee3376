"""The memory image of every processing element of a sparse array.

Row ``i`` belongs to PE ``i % pes``, as its local row ``i // pes``. A PE holds its weights column by column; within a column
each entry is a code and a gap, the run of zeros among the PE's *local* rows since the entry before, starting at the column's
top. Long runs get filler entries (:mod:`qsim.formats.sparse`). ``pointers[p, j]`` is the place of the first entry of column
``j`` in the memory of PE ``p``, ``pointers[p, cols]`` the end. Source: Han et al., "EIE", ISCA 2016, section III.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError, UnsupportedProgram
from qsim.formats.arrays import check_range, check_shape, read_only
from qsim.formats.codebook import FILLER_CODE, machine_codes
from qsim.formats.fixed import IntArray
from qsim.formats.layer import BoolArray, Form, Pyramid, ScalarCoded
from qsim.formats.sparse import RelativeIndex


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterleavedImage:
    """The weight and pointer memories of all PEs.

    ``pointers`` [pes, cols + 1] are local to each PE. ``codes`` and ``gaps`` hold the entries of PE 0, then of PE 1, and so
    on; PE ``p`` has ``pointers[p, cols]`` of them. A code is an address into ``table`` (its slot 0 holds zero) or, where
    ``table`` is None, the signed pulse itself. Either way a filler's code is 0 and no other entry's is.
    """

    rows: int
    cols: int
    index_bits: int
    code_bits: int
    pointers: IntArray
    codes: IntArray
    gaps: IntArray
    table: IntArray | None

    def __post_init__(self) -> None:
        for name, dimensions in (("pointers", 2), ("codes", 1), ("gaps", 1)):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int64, dimensions, f"image.{name}"))
        check_shape(self.pointers, (self.pes, self.cols + 1), "image.pointers")
        if np.any(self.pointers[:, 0]) or np.any(np.diff(self.pointers, axis=1) < 0):
            raise FieldError(path="image.pointers", rule="rising from 0 in every PE", value="another sequence")
        entries = int(self.pointers[:, -1].sum())
        check_shape(self.codes, (entries,), "image.codes")
        check_shape(self.gaps, (entries,), "image.gaps")
        check_range(self.gaps, 0, RelativeIndex(self.index_bits).largest, "image.gaps")
        if self.table is None:
            check_range(self.codes, -(1 << (self.code_bits - 1)), (1 << (self.code_bits - 1)) - 1, "image.codes")
        else:
            object.__setattr__(self, "table", read_only(self.table, np.int64, 1, "image.table"))
            check_range(self.codes, 0, len(self.table) - 1, "image.codes")

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return int(self.pointers.shape[0])

    @property
    def entries(self) -> IntArray:
        """Entries, fillers included, of each PE and column [pes, cols]."""
        return np.diff(self.pointers, axis=1)

    @property
    def values(self) -> IntArray:
        """The integer weight (or pulse) of every entry, 0 for fillers."""
        return self.codes if self.table is None else self.table[self.codes]

    def memory(self, pe: int) -> tuple[IntArray, IntArray]:
        """Return the codes and gaps in the weight memory of one PE."""
        start = int(self.pointers[:pe, -1].sum())
        stop = start + int(self.pointers[pe, -1])
        return self.codes[start:stop], self.gaps[start:stop]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EntryCounts:
    """What each PE stores for each column, all [pes, cols]: ``entries`` (fillers included), the ``fillers`` among them,
    and ``additions``, the sum over entries of max(1, abs(value)), which is the time of a PE that adds pulse by pulse.
    """

    entries: IntArray
    fillers: IntArray
    additions: IntArray


def local_rows(rows: int, pes: int) -> IntArray:
    """Return the number of rows that each PE owns [pes]."""
    return (rows - np.arange(pes) + pes - 1) // pes


def interleave(form: Form, *, pes: int, index_bits: int, code_bits: int) -> InterleavedImage:
    """Return the memory image of a scalar-coded or pyramid layer; only weights that are not zero become entries.

    Raises :class:`UnsupportedProgram` for another form, a codebook with too many values, or a pulse too wide.
    """
    codes, table = _codes_of(form, code_bits)
    found = _Found.of(codes != 0, pes)
    entries = RelativeIndex(index_bits).expand(found.runs)
    values = np.zeros(len(entries.gaps), dtype=np.int64)
    values[~entries.is_filler] = codes[found.local * pes + found.pe, found.col]
    counts = found.per_segment() + found.per_segment(found.runs >> index_bits)
    pointers = np.zeros((pes, form.cols + 1), dtype=np.int64)
    np.cumsum(counts, axis=1, out=pointers[:, 1:])
    return InterleavedImage(
        rows=form.rows,
        cols=form.cols,
        index_bits=index_bits,
        code_bits=code_bits,
        pointers=pointers,
        codes=values,
        gaps=entries.gaps.astype(np.int64),
        table=table,
    )


def entry_counts(weights: npt.NDArray[np.integer | np.bool_], *, pes: int, index_bits: int) -> EntryCounts:
    """Return what :func:`interleave` would store for the integer ``weights`` [rows, cols], without storing it.

    For a scalar-coded layer only which weights are zero matters; a boolean array will do.
    """
    found = _Found.of(weights != 0, pes)
    fillers = found.per_segment(RelativeIndex(index_bits).split(found.runs)[0])
    boolean = weights.dtype == np.bool_
    magnitudes = None if boolean else np.abs(weights[found.local * pes + found.pe, found.col].astype(np.int64))
    return EntryCounts(entries=found.per_segment() + fillers, fillers=fillers, additions=found.per_segment(magnitudes) + fillers)


def deinterleave(image: InterleavedImage) -> IntArray:
    """Return the machine codes (or pulses) of the whole layer, int64 [rows, cols], 0 where there is no entry.

    The exact inverse of :func:`interleave`; ``image.table[...]`` of the result gives the weights. Raises
    :class:`FileFormatError` when entries run past the last row or a filler has a short gap.
    """
    segments = np.repeat(np.arange(image.pes * image.cols), image.entries.ravel())
    steps = np.cumsum(image.gaps + 1)
    first = np.searchsorted(segments, np.arange(image.pes * image.cols))
    before = np.concatenate([np.zeros(1, dtype=np.int64), steps])[first]
    local = steps - before[segments] - 1
    is_filler = image.codes == FILLER_CODE
    if np.any(image.gaps[is_filler] != RelativeIndex(image.index_bits).largest):
        raise FileFormatError(path="image.gaps", rule="the largest gap for every filler entry", value="a shorter gap")
    pe, col = segments // image.cols, segments % image.cols
    rows = local * image.pes + pe
    if rows.size and int(rows.max()) >= image.rows:
        raise FileFormatError(path="image.gaps", rule=f"within {image.rows} rows", value=int(rows.max()))
    codes = np.zeros((image.rows, image.cols), dtype=np.int64)
    codes[rows[~is_filler], col[~is_filler]] = image.codes[~is_filler]
    return codes


def _codes_of(form: Form, code_bits: int) -> tuple[IntArray, IntArray | None]:
    match form:
        case ScalarCoded():
            codes, codebook = machine_codes(form, code_bits)
            return codes, codebook.table
        case Pyramid():
            least = form.weight_format.width
            if least > code_bits:
                raise UnsupportedProgram(path="array.code_bits", rule=f"at least {least}, to hold every pulse", value=code_bits)
            return form.reconstruct(), None
        case _:
            legal = ("ScalarCoded", "Pyramid")
            raise UnsupportedProgram(path="layer.form", rule="a sparse form", value=type(form).__name__, legal=legal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """The non-zeros in storage order: PE, column and local row of each, and the zeros before it in its column."""

    pes: int
    cols: int
    pe: IntArray
    col: IntArray
    local: IntArray
    runs: IntArray

    @classmethod
    def of(cls, occupied: BoolArray, pes: int) -> "_Found":
        if pes < 1:
            raise FieldError(path="pes", rule="at least 1", value=pes)
        rows, cols = occupied.shape
        depth = -(-rows // pes)
        padded = occupied if rows == depth * pes else np.pad(occupied, ((0, depth * pes - rows), (0, 0)))
        # [local, pe, col] to [pe, col, local]: the flat order of the copy is the storage order.
        places = np.flatnonzero(np.ascontiguousarray(padded.reshape(depth, pes, cols).transpose(1, 2, 0)))
        segment, local = np.divmod(places, max(depth, 1))
        runs = np.diff(local, prepend=-1) - 1
        top = np.diff(segment, prepend=-1) != 0
        runs[top] = local[top]
        pe, col = np.divmod(segment, max(cols, 1))
        return cls(pes=pes, cols=cols, pe=pe, col=col, local=local, runs=runs)

    def per_segment(self, weights: IntArray | None = None) -> IntArray:
        """Count the non-zeros of each PE and column [pes, cols], or sum ``weights`` over them."""
        counts = np.bincount(self.pe * self.cols + self.col, weights, minlength=self.pes * self.cols)
        return counts.astype(np.int64).reshape(self.pes, self.cols)
