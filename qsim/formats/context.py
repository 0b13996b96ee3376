"""A matrix of symbols through a context-modelling adaptive binary arithmetic coder: no tables in the file, about a fifth below Huffman.

Cells are taken row by row. A cell is one decision, "kept?", and if it is kept the bits of its symbol from the most significant on, each a
decision at a node of the symbols' binary tree. A decision's chance is mixed from eight slots, adaptive chances that are chosen by what has
been decoded before it: how many weights its row and its column have kept so far, which of its neighbours in the picture (the columns of a
first layer are pixels) and in the two rows above, and earlier symbols of the row, the column and the neighbours. In short, with ``st(p) =
ln(p / (1 - p))``: the coded chance is ``1 / (1 + exp(-sum_i w_i st(p_i)))``; then each slot moves towards the decision by ``1 / (n + 1.6)``
of the way, n how often it was used, and each weight by the gradient of the code length. It is logistic mixing as in Mahoney's lpaq (2007);
the arithmetic coder is his too. All of it is integers (:mod:`qsim.formats.context_kernel`), so that any machine decodes the same.

A hardware decoder for it needs, for each decision: eight reads and writes of a slot (16-bit chance, 10-bit count), 16 multiplications of 16
bits (eight to mix, eight to learn), eight to move slots, one for the interval, and three look-ups in constant tables; see
:func:`decisions` for their number. Its memory is 16 banks of :func:`slots_of` slots of 26 bits and three numbers a column.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError
from qsim.formats.arrays import check_range
from qsim.formats.bits import width_of
from qsim.formats.fixed import IntArray

MAX_DEPTH = 8  # bits of a symbol; the slots of deeper trees would not be used often enough to learn
GUARD_BYTES = 4
NO_HOLE = -1


def encode_cells(cells: npt.NDArray[np.integer], hole: int | None, grid: int = 0) -> bytes:
    """Return the stream of ``cells`` [rows, cols] of symbols >= 0, empty where they are ``hole``.

    ``grid`` is the width of the picture whose pixels the columns are, 0 for none. Raises :class:`FieldError` for symbols above 255.
    """
    return encode_rows(cells, hole, grid)[0]


def shortest_stream(cells: npt.NDArray[np.integer], hole: int | None) -> tuple[bytes, int]:
    """Return the shorter stream of ``cells`` [rows, cols], with columns as pixels of a square picture or without, and its grid."""
    side = math.isqrt(cells.shape[1])
    grids = (0, side) if side**2 == cells.shape[1] else (0,)
    return min(((encode_cells(cells, hole, grid), grid) for grid in grids), key=lambda item: len(item[0]))


def encode_rows(cells: npt.NDArray[np.integer], hole: int | None, grid: int = 0) -> tuple[bytes, IntArray]:
    """Return the stream as :func:`encode_cells` and, for each row, the bytes that a decoder has read when the row is decoded [rows]."""
    from qsim.formats.context_kernel import WINDOW_BYTES, code_cells

    check_grid(grid, cells.shape[1])
    work = np.array(cells, dtype=np.int64, order="C")
    depth = depth_of(alphabet_of(work, hole))
    data = np.zeros(4 * decisions(work, hole) + GUARD_BYTES, dtype=np.uint8)  # a decision moves the interval by at most its 32 bits
    ends = np.zeros(len(work), dtype=np.int64)
    size = code_cells(work, NO_HOLE if hole is None else hole, depth, grid, data, False, *tables(), ends)
    return data[:size].tobytes(), np.minimum(ends + WINDOW_BYTES, size)


def decode_cells(payload: bytes, rows: int, cols: int, hole: int | None, alphabet: int, grid: int) -> IntArray:
    """Return the cells [rows, cols], the exact inverse of :func:`encode_cells`; ``alphabet`` as :func:`alphabet_of` gives it.

    Raises :class:`FileFormatError` for a stream that :func:`encode_cells` does not write.
    """
    from qsim.formats.context_kernel import code_cells

    cells = np.zeros((rows, cols), dtype=np.int64)
    data = np.frombuffer(payload, dtype=np.uint8).copy()
    code_cells(cells, NO_HOLE if hole is None else hole, depth_of(alphabet), grid, data, True, *tables(), np.zeros(rows, dtype=np.int64))
    if alphabet_of(cells, hole) != alphabet or encode_cells(cells, hole, grid) != payload:
        raise FileFormatError(path="context.payload", rule=f"a stream of {rows} x {cols} symbols below {alphabet}", value="another stream")
    return cells


def alphabet_of(cells: npt.NDArray[np.integer], hole: int | None) -> int:
    """Return one more than the largest symbol that is not the hole, 0 where there is none."""
    symbols = cells if hole is None else cells[cells != hole]
    return int(symbols.max()) + 1 if symbols.size else 0


def depth_of(alphabet: int) -> int:
    """Return the bits of a symbol. Raises :class:`FieldError` for more than :data:`MAX_DEPTH`."""
    depth = width_of(max(0, alphabet - 1))
    if depth > MAX_DEPTH:
        raise FieldError(path="context.alphabet", rule=f"at most {1 << MAX_DEPTH} symbols", value=alphabet)
    return depth


def check_grid(grid: int, cols: int) -> None:
    """Raise :class:`FieldError` for a picture wider than there are columns."""
    check_range(np.array([grid]), 0, max(0, cols), "context.grid")


def slots_of(cols: int, depth: int) -> int:
    """Return the slots of each of the decoder's ``2 * INPUTS`` banks for rows of ``cols`` cells and symbols of ``depth`` bits."""
    from qsim.formats.context_kernel import FEWEST_SLOTS

    return max(FEWEST_SLOTS, cols, 17 << depth)


def decisions(cells: npt.NDArray[np.integer], hole: int | None) -> int:
    """Return how many decisions the stream of ``cells`` holds, which is what a decoder's time and energy are counted in."""
    kept = cells.size if hole is None else int(np.count_nonzero(cells != hole))
    return (0 if hole is None else cells.size) + kept * depth_of(alphabet_of(cells, hole))


@cache
def tables() -> tuple[IntArray, IntArray, IntArray]:
    """Return the kernel's constant tables: logits by the high 12 bits of a chance, chances by logit, rates by use.

    ``logits[q] = round(256 ln(p / (1 - p)))`` with ``p = (q + 1/2) / 4096``; ``squash[s] = round(65536 / (1 + exp(-s / 256)))``, held in 1
    to 65535; ``rates[n] = round(65536 / (n + 1.6))``. No entry is closer to a half than a floating-point error could matter.
    """
    from qsim.formats.context_kernel import LIMIT, ONE, SLOW

    chance = (np.arange(4096) + 0.5) / 4096
    logits = np.rint(256 * np.log(chance / (1 - chance))).astype(np.int64)
    squash = np.clip(np.rint(ONE / (1 + np.exp(-np.arange(-LIMIT, LIMIT + 1) / 256))), 1, ONE - 1).astype(np.int64)
    rates = np.rint(ONE / (np.arange(SLOW + 1) + 1.6)).astype(np.int64)
    return logits, squash, rates
