"""Localised generalised matrix LVQ: P. Schneider, M. Biehl, B. Hammer, Neural Computation 21 (2009)."""

from dataclasses import dataclass

from torch import Tensor

from qsim.lvq.gmlvq import GMLVQ


@dataclass(kw_only=True, eq=False, repr=False)
class LGMLVQ(GMLVQ):
    """GMLVQ with a matrix of its own for each prototype: ``omega_`` [prototypes, features, rank]."""

    def _one_or_each(self, omega: Tensor) -> Tensor:
        return omega.expand(len(self._labels), *omega.shape)

    def _width(self) -> int:
        return self._values["omega"].shape[0] * self._values["omega"].shape[2]
