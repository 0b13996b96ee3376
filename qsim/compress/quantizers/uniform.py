"""Uniform thresholds, to be entropy coded: the optimum at high rates, and close to it at all (Choi et al., section 4.1).

The range of the weights is cut into equal steps; the centroid of a step is the mean of the weights in it.
"""

from dataclasses import dataclass

import numpy as np

from qsim.compress.clusters import interval_means
from qsim.compress.histogram import AnyFloatArray, Histogram
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared, check_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformSteps(ScalarQuantizer):
    """At most ``entries`` steps from the smallest to the largest weight of a layer; steps without a weight have no centroid."""

    entries: int

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        check_entries(self.entries)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Cut the range into steps."""
        histogram = Histogram.of(weights, importance)
        edges = np.linspace(histogram.values[0], histogram.values[-1], self.entries + 1)[1:-1]
        origin, sums = histogram.running_sums()
        used, means = interval_means(sums, np.searchsorted(histogram.values, edges, side="right"), origin)
        # Behind an empty step its members go to the next one; the last used step has no edge above it.
        return Shared.between(weights, means[used], edges[used[:-1]][: int(used.sum()) - 1])
