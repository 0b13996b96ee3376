"""Entropy-constrained scalar quantisation: the least error at a given entropy (see :mod:`qsim.compress.ecsq`)."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.ecsq import at_rate
from qsim.compress.histogram import AnyFloatArray, Histogram
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared, check_entries
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyConstrained(ScalarQuantizer):
    """At most ``bits`` of entropy for each kept weight of a layer, from ``entries`` centroids or fewer; made for entropy coding."""

    bits: float
    entries: int = 64

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        check_entries(self.entries, 1, 1 << 12)
        if not self.bits > 0:
            raise RecipeError(path="quantise.bits", rule="positive", value=self.bits)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Find the price at which the entropy is met."""
        point = at_rate(Histogram.of(weights), self.entries, self.bits)
        return Shared.between(weights, point.centroids, point.edges)
