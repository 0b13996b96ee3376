"""Ternary weights: small ones become zero, the others a scale and their sign (Li et al., Ternary weight networks, arXiv:1605.04711).

The threshold is ``0.7 mean |w|``, close to the optimum for normal and uniform weights, and the scale the mean magnitude above it. With
``separate`` the positive and the negative scale are apart, as in trained ternary quantisation (Zhu et al., ICLR 2017); training through the
quantiser (``epochs``) and fine-tuning then train weights and scales as those papers do.
"""

from dataclasses import dataclass

import numpy as np

from qsim.compress.histogram import AnyFloatArray, flat_weights
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ternary(ScalarQuantizer):
    """Zero below ``threshold`` times the mean magnitude of a layer."""

    threshold: float = 0.7
    separate: bool = False

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        if not self.threshold > 0:
            raise RecipeError(path="quantise.threshold", rule="positive", value=self.threshold)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Take sign or zero."""
        flat = flat_weights(weights)
        sizes = np.abs(flat)
        large = sizes > self.threshold * np.mean(sizes, dtype=np.float64)
        codes = np.where(large, np.sign(flat), 0).astype(np.int64) + 1
        scales = [_mean(sizes[codes == code]) for code in (0, 2)] if self.separate else [_mean(sizes[large])] * 2
        return Shared(np.array([-scales[0], 0.0, scales[1]]), codes)


def _mean(sizes: AnyFloatArray) -> float:
    return float(np.mean(sizes, dtype=np.float64)) if sizes.size else 0.0
