"""The values that affine weights may take: ``scale * (q - zero)`` with integers q from ``low`` to ``high``."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.clusters import FloatArray
from qsim.compress.histogram import AnyFloatArray
from qsim.formats.fixed import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """``scale`` is float64 [1, 1], [rows, 1] with one for every row, or [rows, columns]; where it is 0, all weights are."""

    scale: FloatArray
    zero: int
    low: int
    high: int

    def nearest(self, weights: AnyFloatArray) -> IntArray:
        """Return the integers q of the values nearest to ``weights`` [rows, columns]."""
        safe = np.where(self.scale > 0, self.scale, 1.0)
        near = np.rint(np.where(self.scale > 0, weights / safe, 0.0)) + self.zero
        steps: IntArray = np.clip(near, self.low, self.high).astype(np.int64)
        return steps
