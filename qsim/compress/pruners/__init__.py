"""Ways to prune: one file each, and the table that recipes choose from."""

from qsim.compress.prune import Pruning
from qsim.compress.pruners.given import KeepZeros, NoPruning
from qsim.compress.pruners.gradual import GradualPruning
from qsim.compress.pruners.iterative import IterativePruning
from qsim.compress.pruners.lottery import LotteryPruning
from qsim.compress.pruners.sensitivity import SensitivityPruning
from qsim.compress.pruners.structured import StructuredPruning

__all__ = ["PRUNERS"]

PRUNERS: dict[str, type[Pruning]] = {
    "none": NoPruning,
    "zeros": KeepZeros,
    "iterative": IterativePruning,
    "sensitivity": SensitivityPruning,
    "gradual": GradualPruning,
    "lottery": LotteryPruning,
    "structured": StructuredPruning,
}
