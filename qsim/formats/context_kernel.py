"""The compiled loops of the context coder: predict, code a decision, learn. Integers only, so that every machine decodes the same.

Names: a *slot* is an adaptive chance ``chances[s]`` of 16 bits with the number ``seen[s]`` of decisions that formed it. A decision reads
``INPUTS`` slots, adds up their logits with the weights of a mixer, and is coded with the chance that results.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

IntArray = npt.NDArray[np.int64]
INPUTS = 8
WINDOW_BYTES = 4  # that the decoder holds
SCALE = 8  # fraction bits of a logit
LIMIT = 2815  # largest logit of a coded decision: 11.0
ONE = 1 << 16  # of chances and weights
FIRST_WEIGHT = 16_000  # a quarter: eight inputs that agree are bolder together than each alone
SLOW = 1023  # decisions after which a slot learns no slower
RATE = 15  # of the mixers: a weight moves by logit * error >> RATE
COUNT_STEPS = 16  # values of a count after quantisation
RATIO_STEPS = 12
FEWEST_SLOTS = max(64 * COUNT_STEPS * 4, COUNT_STEPS * COUNT_STEPS * RATIO_STEPS)  # of a bank: 4096


@njit(cache=True)
def _steps(count: int) -> int:
    """Quantise a count: 0 to 4 as they are, then about three steps an octave, at most 15."""
    if count < 5:
        return count
    octave = 0
    while count >> octave > 7:
        octave += 1
    return min(COUNT_STEPS - 1, 5 + 2 * octave + ((count >> octave) - 4) // 2)


@njit(cache=True)
def _ratio(found: int, expected: int) -> int:
    """Quantise found / expected (the latter in 1/16): 6 for what was expected, a step each factor of about 1.4."""
    left, right = 16 * found + 8, expected + 8
    step = 6
    while left > right + (right >> 2) and step < RATIO_STEPS - 1:
        right += (right >> 1) - (right >> 4)
        step += 1
    while right > left + (left >> 2) and step > 0:
        left += (left >> 1) - (left >> 4)
        step -= 1
    return step


@njit(cache=True)
def _density(in_column: int, row: int, in_row: int, expected: int) -> int:
    """Quantise the chance that rows and columns alone give a cell: its column's share of kept cells times how its row compares so far."""
    share = (in_column * 4096 + 512) // (row + 2)
    chance = share * (16 * in_row + 16) // (expected + 16)
    octave = 0
    while chance >> octave > 7:
        octave += 1
    return min(63, 4 * octave + (chance >> octave) & 63) if octave else min(63, chance)


@njit(cache=True)
def _pattern(kept: IntArray, col: int, grid: int) -> int:
    """Return which of six neighbours in the row were kept, a bit each: left, second left, above, above left, above right, second above.

    ``kept`` [cols] is the row so far, zeros from ``col`` on; "above" is a picture row of ``grid`` columns earlier.
    """
    found = 0
    if col >= 1:
        found |= kept[col - 1]
    if col >= 2:
        found |= kept[col - 2] << 1
    if grid and col >= grid:
        found |= kept[col - grid] << 2 | kept[col - grid + 1] << 4
        if col > grid:
            found |= kept[col - grid - 1] << 3
        if col >= 2 * grid:
            found |= kept[col - 2 * grid] << 5
    return found


@njit(cache=True)
def _around(in_column: IntArray, col: int, grid: int) -> int:
    """Return the kept weights so far in the columns beside ``col``, and above and below it in the picture."""
    found = in_column[col + 1]  # the last column has a zero behind it
    if col:
        found += in_column[col - 1]
    if grid and col >= grid:
        found += in_column[col - grid]
    if grid and col + grid < len(in_column) - 1:
        found += in_column[col + grid]
    return int(found)


@njit(cache=True)
def _cell_slots(slots: IntArray, facts: IntArray, col: int, in_row: int, above: int) -> None:
    """Write the slots for "is this cell kept?": what its row, its column and its neighbours in the picture have so far."""
    height, column, around, both, ratio, pattern, near, density = facts
    slots[0] = density
    slots[1] = (ratio * COUNT_STEPS + column) * COUNT_STEPS + height
    slots[2] = pattern * COUNT_STEPS + column
    slots[3] = (density * COUNT_STEPS + around) * 4 + min(near, 3)
    slots[4] = (ratio * COUNT_STEPS + both) * COUNT_STEPS + height
    slots[5] = col
    slots[6] = (_steps(in_row) * COUNT_STEPS + column) * 4 + above
    slots[7] = (ratio * 8 + near) * COUNT_STEPS + around


@njit(cache=True)
def _symbol_slots(slots: IntArray, facts: IntArray, node: int, last: int, neighbour: int, of_column: int) -> None:
    """Write the slots for the next bit of a symbol at ``node`` of its tree; the others are earlier symbols in 16 steps, 16 for none."""
    slots[0] = node
    slots[1] = node * 17 + last
    slots[2] = node * 17 + neighbour
    slots[3] = node * 17 + of_column
    slots[4] = node * 17 + facts[1]
    slots[5] = node * 17 + facts[4]
    slots[6] = node * 17 + facts[2]
    slots[7] = node * 17 + facts[0]


@njit(cache=True)
def code_cells(
    cells: IntArray, hole: int, depth: int, grid: int, data: npt.NDArray[np.uint8], decoding: bool, logits: IntArray, squash: IntArray,
    rates: IntArray, ends: IntArray,
) -> int:  # fmt: skip
    """Code or decode all ``cells`` [rows, cols], row by row, and return the bytes of ``data`` that were used.

    ``hole`` is the symbol of an empty cell, -1 where there is none; ``depth`` the bits of a symbol, at most 8; ``grid`` the width of the
    picture that the columns are the pixels of, 0 for none. ``data`` must be zero before coding. ``logits`` [4096] is by the high 12 bits of
    a chance, ``squash`` [2 * LIMIT + 1] its inverse, ``rates`` [SLOW + 1] the share of ONE by which a slot learns.
    ``ends`` [rows] receives the bytes used by the end of each row.
    """
    rows, cols = cells.shape
    size = max(FEWEST_SLOTS, cols, 17 << depth)
    chances = np.full((2 * INPUTS, size), ONE // 2, dtype=np.int64)
    seen = np.zeros((2 * INPUTS, size), dtype=np.int64)
    weights = np.full((4 + depth, INPUTS), FIRST_WEIGHT, dtype=np.int64)
    slots, inputs, facts = np.zeros(INPUTS, dtype=np.int64), np.zeros(INPUTS, dtype=np.int64), np.zeros(8, dtype=np.int64)
    coder = _start(data, decoding)
    in_column, last_of_column = np.zeros(cols + 1, dtype=np.int64), np.full(cols, 16, dtype=np.int64)
    kept, above = np.zeros(cols, dtype=np.int64), np.zeros(cols, dtype=np.int64)
    for row in range(rows):
        in_row, expected, last = 0, 0, 16
        above[:] = (above << 1 | kept) & 3  # whether the last two rows kept each column
        kept[:] = 0
        for col in range(cols):
            pattern, around = _pattern(kept, col, grid), _around(in_column, col, grid)
            facts[0], facts[1], facts[2] = _steps(row), _steps(in_column[col]), _steps(around)
            facts[3], facts[4], facts[5] = _steps(around + 2 * in_column[col]), _ratio(in_row, expected), pattern
            facts[6] = _ones(pattern)
            facts[7] = _density(in_column[col], row, in_row, expected)
            if hole >= 0:
                _cell_slots(slots, facts, col, in_row, above[col])
                bit = 1 if cells[row, col] != hole else 0
                mixer = weights[min(facts[6], 3)]
                bit = _decide(bit, decoding, data, coder, chances, seen, mixer, slots, inputs, 0, logits, squash, rates)
                expected += (in_column[col] * 16 + 8) // (row + 1)
                if bit == 0:
                    cells[row, col] = hole
                    continue
            neighbour = 16
            if pattern & 1:
                neighbour = cells[row, col - 1] * 16 >> depth
            elif pattern & 4:
                neighbour = cells[row, col - grid] * 16 >> depth
            node = 1
            for step in range(depth):
                _symbol_slots(slots, facts, node, last, neighbour, last_of_column[col])
                bit = (cells[row, col] >> (depth - 1 - step)) & 1
                mixer = weights[4 + step]
                bit = _decide(bit, decoding, data, coder, chances, seen, mixer, slots, inputs, INPUTS, logits, squash, rates)
                node = 2 * node + bit
            cells[row, col] = node - (1 << depth)
            last = cells[row, col] * 16 >> depth
            last_of_column[col] = last
            kept[col] = 1
            in_row += 1
            in_column[col] += 1
        ends[row] = coder[3]
    return _finish(data, coder, decoding)


@njit(cache=True)
def _ones(pattern: int) -> int:
    found = 0
    while pattern:
        found += pattern & 1
        pattern >>= 1
    return found


@njit(cache=True)
def _start(data: npt.NDArray[np.uint8], decoding: bool) -> IntArray:
    """Return the state of the arithmetic coder: low and high end of its interval, the window of the decoder, bytes used."""
    coder = np.array([0, (1 << 32) - 1, 0, 0], dtype=np.int64)
    if decoding:
        for _ in range(WINDOW_BYTES):
            coder[2] = (coder[2] << 8) | _byte(data, coder[3])
            coder[3] += 1
    return coder


@njit(cache=True)
def _finish(data: npt.NDArray[np.uint8], coder: IntArray, decoding: bool) -> int:
    """Write the shortest end: one byte that, with zeros behind it, lies in the interval. The decoder has read three bytes beyond it."""
    if decoding:
        return int(coder[3] - 3)
    data[coder[3]] = (coder[0] >> 24) + (1 if coder[0] & 0xFFFFFF else 0)
    return int(coder[3] + 1)


@njit(cache=True)
def _byte(data: npt.NDArray[np.uint8], place: int) -> int:
    return int(data[place]) if place < len(data) else 0


@njit(cache=True)
def _decide(
    bit: int,
    decoding: bool,
    data: npt.NDArray[np.uint8],
    coder: IntArray,
    chances: IntArray,
    seen: IntArray,
    weights: IntArray,
    slots: IntArray,
    inputs: IntArray,
    first: int,
    logits: IntArray,
    squash: IntArray,
    rates: IntArray,
) -> int:
    """Code ``bit``, or decode and return it; then teach it to the mixer and to its slots."""
    total = 0
    for place in range(INPUTS):
        inputs[place] = logits[chances[first + place, slots[place]] >> 4]
        total += weights[place] * inputs[place]
    chance = squash[min(LIMIT, max(-LIMIT, total >> 16)) + LIMIT]
    low, high = coder[0], coder[1]
    middle = low + ((high - low) >> 16) * chance
    if decoding:
        bit = 1 if coder[2] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        if decoding:
            coder[2] = ((coder[2] << 8) & 0xFFFFFFFF) | _byte(data, coder[3])
        else:
            data[coder[3]] = low >> 24
        coder[3] += 1
        low = (low << 8) & 0xFFFFFFFF
        high = ((high << 8) & 0xFFFFFFFF) | 255
    coder[0], coder[1] = low, high
    error = bit * ONE - chance
    for place in range(INPUTS):
        weights[place] += (inputs[place] * error + (1 << (RATE - 1))) >> RATE
        slot = slots[place]
        known = seen[first + place, slot]
        chances[first + place, slot] += ((bit * (ONE - 1) - chances[first + place, slot]) * rates[known]) >> 16
        if known < SLOW:
            seen[first + place, slot] = known + 1
    return bit
