"""The compiled inner loops of the Huffman coder: one table look-up a symbol."""

import numpy as np
import numpy.typing as npt
from numba import njit

GUARD_BYTES = 3  # both loops touch up to three bytes from the one in which a code starts


@njit(cache=True)
def encode(
    symbols: npt.NDArray[np.integer], codes: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> None:
    """Write the code of every symbol into ``data``, ``GUARD_BYTES`` longer than the bits need.

    Bits gather in a register; four bytes at a time leave it, since single bytes would be written again for nearly every symbol.
    """
    register, held, byte = np.int64(0), np.int64(0), 0
    for symbol in symbols:
        length = lengths[symbol]
        register = (register << length) | codes[symbol]
        held += length
        if held >= 32:
            held -= 32
            word = register >> held
            data[byte] = np.uint8((word >> 24) & 255)
            data[byte + 1] = np.uint8((word >> 16) & 255)
            data[byte + 2] = np.uint8((word >> 8) & 255)
            data[byte + 3] = np.uint8(word & 255)
            byte += 4
            register &= (np.int64(1) << held) - 1
    register <<= 32 - held
    for place in range((held + 7) >> 3):
        data[byte + place] = np.uint8((register >> (24 - 8 * place)) & 255)


@njit(cache=True)
def decode(
    data: npt.NDArray[np.uint8],
    bits: int,
    lookup: npt.NDArray[np.int64],
    steps: npt.NDArray[np.uint8],
    max_length: int,
    symbols: npt.NDArray[np.integer],
) -> int:
    """Fill ``symbols`` and return the place after the last bit read, or -1 when a code is unknown or starts beyond the end.

    ``data`` is ``GUARD_BYTES`` longer than the ``bits`` need; ``lookup`` and ``steps`` give symbol and length of every pattern of
    ``max_length`` (at most 15) bits. The loop ends after ``len(symbols)`` steps at the latest.
    """
    place = 0
    for index in range(len(symbols)):
        if place >= bits:
            return -1
        byte = place >> 3
        window = (np.int64(data[byte]) << 16) | (np.int64(data[byte + 1]) << 8) | np.int64(data[byte + 2])
        pattern = (window >> (24 - max_length - (place & 7))) & ((1 << max_length) - 1)
        step = int(steps[pattern])
        if step == 0:
            return -1
        symbols[index] = lookup[pattern]
        place += step
    return place
