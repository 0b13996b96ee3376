"""K-means: the centroids of least squared error, or those that Lloyd's iteration finds (Deep Compression, section 3)."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.clusters import FloatArray, Start, assign, lloyd, start_centroids
from qsim.compress.histogram import AnyFloatArray, Histogram
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared, check_entries
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class KMeans(ScalarQuantizer):
    """``entries`` centroids a layer, found by Lloyd's iteration from ``start``.

    With ``zero``, one of them is held at exactly zero; machines whose table keeps a slot for zero can then use all
    their codes without pruning.
    """

    entries: int
    start: Start = Start.LINEAR
    iterations: int = 100
    zero: bool = False

    def __post_init__(self) -> None:
        ScalarQuantizer.__post_init__(self)
        check_entries(self.entries, 2 if self.zero else 1)
        if self.iterations < 0:
            raise RecipeError(path="quantise.iterations", rule="at least 0", value=self.iterations)

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Cluster the weights, each counted by its importance."""
        centroids = self.cluster(Histogram.of(weights, importance), random)
        return Shared(centroids, assign(weights, centroids))

    def cluster(self, histogram: Histogram, random: np.random.Generator) -> FloatArray:
        """Return the centroids of a layer in ascending order; at most ``entries``."""
        free = self.entries - int(self.zero)
        centroids = lloyd(histogram, start_centroids(histogram, free, self.start, random), self.iterations)
        return np.sort(np.append(centroids, 0.0)) if self.zero else centroids
