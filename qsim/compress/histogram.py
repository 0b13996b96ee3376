"""All weights of a layer as a histogram fine enough that nothing below it needs the weights themselves.

Every bin counts as the mean of its members, as often as it has members (or as their importance adds up to). Up to :data:`EXACT`
weights the bins are the distinct weights and nothing is lost. One pass over memory, a few nanoseconds a weight.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError

FloatArray = npt.NDArray[np.float64]
AnyFloatArray = npt.NDArray[np.floating]
BINS = 1 << 18
EXACT = 1 << 16  # sorting more weights than this takes longer than summing them into bins


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct ``values`` [b] in ascending order and how many weights each stands for, ``counts`` [b], all positive."""

    values: FloatArray
    counts: FloatArray

    @classmethod
    def of(cls, weights: npt.ArrayLike, importance: npt.ArrayLike | None = None, bins: int = BINS) -> "Histogram":
        """Sum ``weights`` (any shape) into at most ``bins`` bins of equal width, each counted by its ``importance`` (default 1).

        Raises :class:`FieldError` for no weights, for NaN or infinity, and for an importance that is negative or of another shape.
        """
        flat = flat_weights(weights)
        shares = None if importance is None else _shares(importance, flat)
        if flat.size <= EXACT:
            values, place = np.unique(flat, return_inverse=True)
            if len(values) <= bins:
                return cls(values.astype(np.float64), np.bincount(place, weights=shares).astype(np.float64)).occupied()
        return cls._summed(flat, shares, bins)

    @classmethod
    def _summed(cls, flat: AnyFloatArray, shares: AnyFloatArray | None, bins: int) -> "Histogram":
        from qsim.compress.kernels import limits, sum_bins, sum_weighted_bins

        low, high = limits(flat)
        counts, sums = np.zeros(bins), np.zeros(bins)
        scale = bins / (high - low) if high > low else 0.0
        if shares is None:
            sum_bins(flat, low, scale, counts, sums)
        else:
            sum_weighted_bins(flat, shares, low, scale, counts, sums)
        used = counts > 0
        return cls(sums[used] / counts[used], counts[used])

    def occupied(self) -> "Histogram":
        """Return the bins that count; all of them, equally, where none does (every importance is zero)."""
        used = self.counts > 0
        if used.all():
            return self
        return Histogram(self.values[used], self.counts[used]) if used.any() else Histogram(self.values, np.ones_like(self.counts))

    def merged(self, bins: int) -> "Histogram":
        """Return at most ``bins`` bins, narrow where an optimal quantiser has its centroids close together.

        Their density is that of an optimal quantiser with many levels, the cube root of the weights' (Panter and Dite 1951).
        """
        if len(self.values) <= bins:
            return self
        along = np.cumsum(np.cbrt(self.counts) * np.cbrt(np.gradient(self.values) ** 2))
        place = np.minimum((along / along[-1] * bins).astype(np.int64), bins - 1)
        counts = np.bincount(place, weights=self.counts, minlength=bins)
        sums = np.bincount(place, weights=self.counts * self.values, minlength=bins)
        used = counts > 0
        return Histogram(sums[used] / counts[used], counts[used].astype(np.float64))

    def running_sums(self) -> tuple[float, FloatArray]:
        """Return an origin and the running sums [3, b + 1] of counts, values and squares, values taken from the origin.

        Sums around the mean lose fewer digits.
        """
        origin = float(np.average(self.values, weights=self.counts))
        values = self.values - origin
        sums = np.zeros((3, len(values) + 1))
        np.cumsum([self.counts, self.counts * values, self.counts * values**2], axis=1, out=sums[:, 1:])
        return origin, sums


def flat_weights(weights: npt.ArrayLike) -> AnyFloatArray:
    """Return ``weights`` as a flat array of finite float32 or float64; :class:`FieldError` for none, NaN or infinity."""
    found = np.asarray(weights)
    flat: AnyFloatArray = found.reshape(-1) if found.dtype in (np.float32, np.float64) else found.astype(np.float64).reshape(-1)
    if flat.size == 0:
        raise FieldError(path="weights", rule="at least one value", value="none")
    # The sum is finite unless one of them is not, or it overflows; only then are all looked at.
    if not np.isfinite(flat.sum(dtype=np.float64)) and not np.all(np.isfinite(flat)):
        raise FieldError(path="weights", rule="finite numbers", value="NaN or infinity")
    return flat


def _shares(importance: npt.ArrayLike, flat: AnyFloatArray) -> AnyFloatArray:
    shares = flat_weights(importance)
    if shares.shape != flat.shape:
        raise FieldError(path="importance", rule=f"{flat.size} numbers, one a weight", value=shares.size)
    if float(shares.min()) < 0:
        raise FieldError(path="importance", rule="at least 0", value=float(shares.min()))
    return shares
