"""Fixed-point numbers: an integer and the place of its binary point.

A value is ``integer * 2**-fraction``. Width, sign, rounding and overflow belong to the format, never to the
caller, because the RTL is generated from the same object and must reproduce every bit.

Rounding is half up, ``floor(x + 1/2)``: in hardware one addition before a shift. Overflow saturates.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
MAX_WIDTH = 62  # sums of two values stay inside a 64-bit integer


class Rounding(StrEnum):
    """How a value between two codes is mapped onto one."""

    HALF_UP = "half_up"
    FLOOR = "floor"


class Overflow(StrEnum):
    """What happens to a value outside the range."""

    SATURATE = "saturate"
    WRAP = "wrap"


@dataclass(frozen=True, slots=True)
class FixedFormat:
    """A fixed-point format of ``width`` bits, ``fraction`` of them after the binary point.

    ``fraction`` may be negative or exceed ``width``: it is only the exponent of the least significant bit.
    The text form is ``s16.8`` (signed, 16 bits, 8 after the point) or ``u16.12``.

    Raises :class:`FieldError` for a width outside 1 to 62 (2 to 62 when signed).
    """

    width: int
    fraction: int
    signed: bool = True
    rounding: Rounding = Rounding.HALF_UP
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        least = 2 if self.signed else 1
        if not least <= self.width <= MAX_WIDTH:
            raise FieldError(path="format.width", rule=f"{least} to {MAX_WIDTH}", value=self.width)
        if not -64 <= self.fraction <= 64:
            raise FieldError(path="format.fraction", rule="-64 to 64", value=self.fraction)

    @classmethod
    def parse(cls, text: str) -> "FixedFormat":
        """Read the text form, e.g. ``FixedFormat.parse("s16.8")``."""
        match = re.fullmatch(r"([su])(\d{1,2})\.(-?\d{1,2})", text)
        if match is None:
            raise FieldError(path="format", rule="like 's16.8' or 'u8.0'", value=text)
        return cls(int(match[2]), int(match[3]), match[1] == "s")

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.fraction}"

    @property
    def minimum(self) -> int:
        """The smallest integer code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The largest integer code."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def lsb(self) -> float:
        """The value of one step."""
        return 2.0**-self.fraction

    def fit(self, integers: IntArray) -> IntArray:
        """Map ``integers`` (any shape, already at this fraction) into the range by the overflow rule."""
        if self.overflow is Overflow.SATURATE:
            return np.clip(integers, self.minimum, self.maximum)
        span = 1 << self.width
        return (integers - self.minimum) % span + self.minimum

    def quantise(self, values: npt.ArrayLike) -> IntArray:
        """Return the integer codes of real ``values`` (any shape).

        Raises :class:`FieldError` for NaN or infinity, which no code stands for.
        """
        real = np.asarray(values, dtype=np.float64)
        if not np.all(np.isfinite(real)):
            raise FieldError(path="values", rule="finite numbers", value="NaN or infinity")
        half = 0.5 if self.rounding is Rounding.HALF_UP else 0.0
        # Clip in floating point first: a huge value must saturate, not overflow the conversion to int64.
        steps = np.floor(np.clip(real * 2.0**self.fraction, -(2.0**62), 2.0**62) + half)
        return self.fit(steps.astype(np.int64))

    def dequantise(self, integers: npt.ArrayLike) -> FloatArray:
        """Return the real values of integer codes (any shape)."""
        return np.asarray(integers, dtype=np.float64) * self.lsb

    def requantise(self, integers: npt.ArrayLike, source_fraction: int) -> IntArray:
        """Return the codes in this format of ``integers`` that have ``source_fraction`` bits after the point.

        A right shift rounds by this format's rule; a left shift is exact. Then the overflow rule applies.
        """
        codes = np.asarray(integers, dtype=np.int64)
        shift = source_fraction - self.fraction
        if shift > 0:
            half = 1 << (shift - 1) if self.rounding is Rounding.HALF_UP else 0
            return self.fit((codes + half) >> shift)
        return self.fit(codes << -shift)


def best_fraction(values: npt.ArrayLike, width: int, signed: bool = True) -> int:
    """Return the largest fraction at which no finite ``values`` saturate in ``width`` bits.

    An all-zero array gets ``width - 1``.
    """
    real = np.asarray(values, dtype=np.float64)
    largest = float(np.max(np.abs(real), initial=0.0))
    if largest == 0.0:
        return width - 1
    fraction = width - int(signed) - int(np.floor(np.log2(largest))) - 1
    while np.any(FixedFormat(width, fraction, signed).maximum * 2.0**-fraction <= largest - 2.0 ** (-fraction - 1)):
        fraction -= 1
    return max(-64, min(64, fraction))
