"""The compiled inner loops of the Huffman coder: one table look-up a symbol."""

import numpy as np
import numpy.typing as npt
from numba import njit

GUARD_BYTES = 3  # both loops touch up to three bytes from the one in which a code starts


@njit(cache=True)
def encode(
    symbols: npt.NDArray[np.integer], codes: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> None:
    """Write the code of every symbol into ``data``, zeros before the call and ``GUARD_BYTES`` longer than the bits need."""
    place = 0
    for symbol in symbols:
        window = codes[symbol] << (24 - lengths[symbol] - (place & 7))
        byte = place >> 3
        data[byte] |= np.uint8(window >> 16)
        data[byte + 1] |= np.uint8((window >> 8) & 255)
        data[byte + 2] |= np.uint8(window & 255)
        place += lengths[symbol]


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
