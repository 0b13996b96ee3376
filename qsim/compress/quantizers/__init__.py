"""Ways to store weights in few bits: one file each, and the table that recipes choose from."""

from qsim.compress.quantizers.fixed import FixedPointWeights
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.quantizers.pvq import PyramidVectors

Quantizer = KMeans | FixedPointWeights | PyramidVectors

QUANTIZERS: dict[str, type[KMeans] | type[FixedPointWeights] | type[PyramidVectors]] = {
    "kmeans": KMeans,
    "fixed": FixedPointWeights,
    "pvq": PyramidVectors,
}
