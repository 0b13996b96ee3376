"""Bits in bytes, most significant bit first: the first symbol starts at bit 7 of byte 0; the last byte is zero padded."""

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError
from qsim.formats.arrays import check_range
from qsim.formats.fixed import IntArray

MAX_FIELD_BITS = 62
_CHUNK = 1 << 16  # values expanded at a time; a multiple of 8, so every chunk ends on a byte


def width_of(largest: int) -> int:
    """Return the bits that hold the integers 0 to ``largest``: 0 for 0, 1 for 1, 2 for 2 and 3, ..."""
    return largest.bit_length()


def bytes_of(bits: int) -> int:
    """Return the whole bytes that hold ``bits``."""
    return (bits + 7) // 8


def pack(values: npt.ArrayLike, width: int) -> bytes:
    """Pack unsigned integers, ``width`` bits (0 to 62) each. A negative or too large value is a :class:`FieldError`."""
    flat: IntArray = np.asarray(values, dtype=np.int64).ravel()
    _check_width(width)
    check_range(flat, 0, (1 << width) - 1, "bits.values")
    shifts = np.arange(width - 1, -1, -1, dtype=np.int64)
    chunks = []
    for start in range(0, len(flat), _CHUNK):
        expanded = (flat[start : start + _CHUNK, None] >> shifts) & 1
        chunks.append(np.packbits(expanded.astype(np.uint8)).tobytes())
    return b"".join(chunks)


def unpack(payload: bytes, width: int, count: int) -> IntArray:
    """Return the ``count`` unsigned integers packed in ``payload``, the exact inverse of :func:`pack`.

    Raises :class:`FileFormatError` when the payload has another length than these fields take or its padding is not zero.
    """
    _check_width(width)
    if len(payload) != bytes_of(width * count):
        raise FileFormatError(path="bits.payload", rule=f"{bytes_of(width * count)} bytes long", value=len(payload))
    if width == 0:
        return np.zeros(count, dtype=np.int64)
    check_padding(payload, width * count)
    data = np.frombuffer(payload, dtype=np.uint8)
    weights = np.int64(1) << np.arange(width - 1, -1, -1, dtype=np.int64)
    values = np.empty(count, dtype=np.int64)
    for start in range(0, count, _CHUNK):
        stop = min(count, start + _CHUNK)
        bits = np.unpackbits(data[start * width // 8 : bytes_of(stop * width)], count=(stop - start) * width)
        values[start:stop] = bits.reshape(-1, width) @ weights
    return values


def pack_signed(values: npt.ArrayLike, width: int) -> bytes:
    """Pack signed integers as two's complement of ``width`` bits."""
    signed = np.asarray(values, dtype=np.int64)
    check_range(signed, -(1 << (width - 1)), (1 << (width - 1)) - 1, "bits.values")
    return pack(signed & ((1 << width) - 1), width)


def unpack_signed(payload: bytes, width: int, count: int) -> IntArray:
    """Return ``count`` two's complement integers, the exact inverse of :func:`pack_signed`."""
    values = unpack(payload, width, count)
    sign = np.int64(1) << np.int64(width - 1)
    return (values ^ sign) - sign


def check_padding(payload: bytes, bits: int) -> None:
    """Raise :class:`FileFormatError` unless the bits after the first ``bits`` are zero (at most 7 may follow)."""
    spare = len(payload) * 8 - bits
    if not 0 <= spare < 8:
        raise FileFormatError(path="bits.payload", rule=f"{bytes_of(bits)} bytes long", value=len(payload))
    if spare and payload[-1] & ((1 << spare) - 1):
        raise FileFormatError(path="bits.padding", rule="zero", value=payload[-1] & ((1 << spare) - 1))


def _check_width(width: int) -> None:
    if not 0 <= width <= MAX_FIELD_BITS:
        raise FieldError(path="bits.width", rule=f"0 to {MAX_FIELD_BITS}", value=width)
