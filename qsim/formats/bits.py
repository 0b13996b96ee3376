"""Bits in bytes, most significant bit first: the first symbol starts at bit 7 of byte 0; the last byte is zero padded."""

from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError, FileFormatError
from qsim.formats.arrays import check_range
from qsim.formats.fixed import IntArray

MAX_FIELD_BITS = 62
_GROUP = 8  # fields that fill whole bytes together, whatever their width
_CHUNK = 1 << 16  # values handled at a time; a multiple of a group, so every chunk ends on a byte


def width_of(largest: int) -> int:
    """Return the bits that hold the integers 0 to ``largest``: 0 for 0, 1 for 1, 2 for 2 and 3, ..."""
    return largest.bit_length()


def bytes_of(bits: int) -> int:
    """Return the whole bytes that hold ``bits``."""
    return (bits + 7) // 8


def pack(values: npt.ArrayLike, width: int) -> bytes:
    """Pack unsigned integers, ``width`` bits (0 to 62) each. A negative or too large value is a :class:`FieldError`."""
    flat = np.asarray(values).reshape(-1)
    _check_width(width)
    check_range(flat, 0, (1 << width) - 1, "bits.values")
    chunks = [_pack_groups(flat[start : start + _CHUNK], width) for start in range(0, len(flat), _CHUNK)]
    return b"".join(chunks)[: bytes_of(len(flat) * width)]


def _pack_groups(values: npt.NDArray[np.integer], width: int) -> bytes:
    """Return whole groups, the last one filled with zeros: byte by byte, from the fields that reach into it."""
    padded = np.zeros(-(-len(values) // _GROUP) * _GROUP, dtype=np.int64)
    padded[: len(values)] = values
    fields = np.ascontiguousarray(padded.reshape(-1, _GROUP).T)
    out = np.zeros((fields.shape[1], width), dtype=np.uint8)
    for byte in range(width):
        for place, shift in _fields_of(byte, width):
            out[:, byte] |= (_shifted(fields[place], shift) & 255).astype(np.uint8)
    return out.tobytes()


def _fields_of(byte: int, width: int) -> list[tuple[int, int]]:
    """Return the fields of a group that reach into one of its bytes, and how far each is shifted right to lie in it."""
    first, last = 8 * byte // width, (8 * byte + 7) // width
    return [(place, (place + 1) * width - 8 * (byte + 1)) for place in range(first, last + 1)]


def _shifted(values: IntArray, right: int) -> IntArray:
    return values >> right if right >= 0 else values << -right


def unpack(payload: bytes, width: int, count: int, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """Return the ``count`` unsigned integers packed in ``payload`` as ``dtype``, which must hold them: the exact inverse of :func:`pack`.

    Raises :class:`FileFormatError` when the payload has another length than these fields take or its padding is not zero.
    """
    _check_width(width)
    if len(payload) != bytes_of(width * count):
        raise FileFormatError(path="bits.payload", rule=f"{bytes_of(width * count)} bytes long", value=len(payload))
    if width == 0:
        return np.zeros(count, dtype=dtype)
    check_padding(payload, width * count)
    data = np.frombuffer(payload, dtype=np.uint8)
    values: npt.NDArray[Any] = np.empty(count, dtype=dtype)
    for start in range(0, count, _CHUNK):
        stop = min(count, start + _CHUNK)
        values[start:stop] = _unpack_groups(data[start * width // 8 : bytes_of(stop * width)], width)[: stop - start]
    return values


def _unpack_groups(data: npt.NDArray[np.uint8], width: int) -> IntArray:
    """Return the fields of whole groups; missing bytes read zero."""
    padded = np.zeros(-(-len(data) // width) * width, dtype=np.uint8)
    padded[: len(data)] = data
    read = np.ascontiguousarray(padded.reshape(-1, width).T, dtype=np.int64)
    fields: IntArray = np.zeros((_GROUP, read.shape[1]), dtype=np.int64)
    for byte in range(width):
        for place, shift in _fields_of(byte, width):
            fields[place] |= _shifted(read[byte], -shift)
    return (fields & ((1 << width) - 1)).T.reshape(-1)


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
