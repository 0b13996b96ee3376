"""Powers of two: a weight is a sign and an exponent, so a product is a shift (Miyashita et al., arXiv:1603.01025; Zhou et al., INQ)."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.clusters import assign
from qsim.compress.histogram import AnyFloatArray, flat_weights
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class PowersOfTwo(ScalarQuantizer):
    """``bits`` a weight: zero and ``2^(bits - 1) - 1`` exponents of either sign, the largest being ``floor(log2(4/3 max |w|))`` (INQ).

    Each weight takes the nearest. Fine-tuning moves the values off the powers, so it should only train biases: leave ``finetune`` out, or
    train through the quantiser.
    """

    bits: int

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        if not 2 <= self.bits <= 5:
            raise RecipeError(path="quantise.bits", rule="2 to 5", value=self.bits)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Round to the nearest power."""
        flat = flat_weights(weights)
        largest = float(np.max(np.abs(flat)))
        if largest == 0:
            return Shared(np.zeros(1), np.zeros(flat.size, dtype=np.int64))
        top = np.floor(np.log2(4 / 3 * largest))
        sizes = 2.0 ** (top - np.arange((1 << (self.bits - 1)) - 1))
        centroids = np.concatenate([-sizes, [0.0], sizes[::-1]])
        return Shared(centroids, assign(flat, centroids))
