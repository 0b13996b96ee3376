"""Hessian-weighted k-means: squared errors count by how much the loss minds them (Choi et al., arXiv:1612.01543, section 3).

The expected loss rises by ``sum h_i (w_i - c)^2 / 2``, so the centroid of a cluster is the mean of its weights weighted with h.
"""

from dataclasses import dataclass

from torch import Tensor

from qsim.compress.curvature import Curvature, importance
from qsim.compress.histogram import AnyFloatArray
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.shared import QuantizerInput
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class HessianKMeans(KMeans):
    """K-means weighted with the diagonal of the Hessian, or with Adam's second moments, over ``samples`` of the training data.

    A thousand samples are enough (Choi et al., figure 2).
    """

    curvature: Curvature = Curvature.HESSIAN
    samples: int = 1_000

    def __post_init__(self) -> None:
        KMeans.__post_init__(self)
        if self.samples < 1:
            raise RecipeError(path="quantise.samples", rule="at least 1", value=self.samples)

    def importance(self, given: QuantizerInput, parameters: Tensor) -> list[AnyFloatArray]:
        """Return the curvature at ``parameters``."""
        return list(importance(self.curvature, given.layout, parameters, given.samples, self.samples, given.generator))
