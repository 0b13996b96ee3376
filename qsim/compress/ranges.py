"""From which to which value a uniform quantiser reaches: five rules over the histogram of what it quantises.

========== ==========================================================================================================
minmax     all of it
percentile all but 0.1 % at each end
mse        the share of the range with the least squared error, of 100 that are tried (OMSE: Choukroun et al., 2019)
kl         the share whose quantised distribution diverges least from the original one (Migacz, TensorRT, 2017)
aciq       the clip value of least expected error for a normal or a Laplace distribution, whichever the mean magnitude
           fits better (Banner et al., NeurIPS 2019, equations 5 and 7)
========== ==========================================================================================================
"""

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np

from qsim.compress.clusters import FloatArray
from qsim.compress.histogram import Histogram

SHARES = np.arange(1, 101) / 100
TAIL = 1e-3
KL_BINS = 2048
LAPLACE, NORMAL = 1 / math.sqrt(2), math.sqrt(2 / math.pi)  # mean magnitude over deviation
Levels = Callable[[float, float], FloatArray]


class Range(StrEnum):
    """The rules."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"
    KL = "kl"
    ACIQ = "aciq"


def range_of(rule: Range, histogram: Histogram, bits: int) -> tuple[float, float]:
    """Return the lowest and highest value to be represented in ``bits`` bits; not wider than the values, and zero lies within."""
    low, high = min(0.0, float(histogram.values[0])), max(0.0, float(histogram.values[-1]))
    match rule:
        case Range.MINMAX:
            return low, high
        case Range.PERCENTILE:
            along = np.cumsum(histogram.counts) / histogram.counts.sum()
            ends = histogram.values[np.searchsorted(along, [TAIL, 1 - TAIL])]
            return max(low, min(0.0, float(ends[0]))), min(high, max(0.0, float(ends[1])))
        case Range.MSE:
            share = SHARES[int(np.argmin([_squared_error(histogram, share * low, share * high, bits) for share in SHARES]))]
            return float(share * low), float(share * high)
        case Range.KL:
            share = SHARES[int(np.argmin([_divergence(histogram, share * max(-low, high), bits) for share in SHARES]))]
            return float(share * low), float(share * high)
        case Range.ACIQ:
            clip = aciq(histogram, bits)
            return max(low, -clip), min(high, clip)


def aciq(histogram: Histogram, bits: int) -> float:
    """Return the clip value of least expected squared error, for values around zero."""
    deviation = math.sqrt(float(np.average(histogram.values**2, weights=histogram.counts)))
    magnitude = float(np.average(np.abs(histogram.values), weights=histogram.counts))
    if deviation == 0:
        return 0.0
    clips = np.arange(1, 2001) / 100
    if magnitude / deviation < (LAPLACE + NORMAL) / 2:
        errors = 2 * np.exp(-clips) + clips**2 / (3 * 4.0**bits)  # in units of b, the mean magnitude
        return float(clips[np.argmin(errors)]) * magnitude
    tails = np.array([math.erfc(clip / math.sqrt(2)) for clip in clips])
    errors = (clips**2 + 1) * tails - math.sqrt(2 / math.pi) * clips * np.exp(-(clips**2) / 2) + clips**2 / (3 * 4.0**bits)
    return float(clips[np.argmin(errors)]) * deviation


def _squared_error(histogram: Histogram, low: float, high: float, bits: int) -> float:
    step = (high - low) / ((1 << bits) - 1)
    if step == 0:
        return float(np.sum(histogram.counts * histogram.values**2))
    near = np.clip(np.rint((histogram.values - low) / step), 0, (1 << bits) - 1) * step + low
    return float(np.sum(histogram.counts * (histogram.values - near) ** 2))


def _divergence(histogram: Histogram, clip: float, bits: int) -> float:
    """Return the divergence of the magnitudes, clipped, from themselves spread evenly over each of ``2^(bits - 1)`` levels."""
    if clip == 0:
        return math.inf
    place = np.minimum(np.abs(histogram.values) / clip * KL_BINS, KL_BINS - 1).astype(np.int64)
    inside = np.abs(histogram.values) <= clip
    reference = np.bincount(place, weights=histogram.counts, minlength=KL_BINS)
    kept = np.bincount(place[inside], weights=histogram.counts[inside], minlength=KL_BINS)
    level = np.arange(KL_BINS) * min(KL_BINS, 1 << (bits - 1)) // KL_BINS
    occupied = np.bincount(level, weights=kept > 0)
    spread = np.where(kept > 0, (np.bincount(level, weights=kept) / np.maximum(occupied, 1))[level], 0.0)
    p, q = reference / reference.sum(), spread / max(spread.sum(), 1e-300)
    both = p > 0
    return float(np.sum(p[both] * np.log(p[both] / np.maximum(q[both], 1e-12))))
