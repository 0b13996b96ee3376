"""Ways to store weights in few bits: one file each, and the table that recipes choose from."""

from qsim.compress.quantizers.affine import Affine
from qsim.compress.quantizers.binary import Binary
from qsim.compress.quantizers.ecsq import EntropyConstrained
from qsim.compress.quantizers.fixed import FixedPointWeights
from qsim.compress.quantizers.hessian import HessianKMeans
from qsim.compress.quantizers.hierarchical import Hierarchical
from qsim.compress.quantizers.ipq import IterativeProductQuantisation
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.quantizers.mixed import MixedAffine
from qsim.compress.quantizers.power_of_two import PowersOfTwo
from qsim.compress.quantizers.pvq import PyramidVectors
from qsim.compress.quantizers.ternary import Ternary
from qsim.compress.quantizers.uniform import UniformSteps
from qsim.compress.quantizers.vector import ProductQuantisation, ResidualQuantisation, VectorKMeans
from qsim.compress.through import Quantizer

__all__ = ["QUANTIZERS", "Quantizer"]

QUANTIZERS: dict[str, type[Quantizer]] = {
    "kmeans": KMeans,
    "hessian-kmeans": HessianKMeans,
    "uniform": UniformSteps,
    "ecsq": EntropyConstrained,
    "hierarchical": Hierarchical,
    "binary": Binary,
    "ternary": Ternary,
    "power-of-two": PowersOfTwo,
    "affine": Affine,
    "mixed": MixedAffine,
    "vq": VectorKMeans,
    "pq": ProductQuantisation,
    "ipq": IterativeProductQuantisation,
    "rvq": ResidualQuantisation,
    "fixed": FixedPointWeights,
    "pvq": PyramidVectors,
}
