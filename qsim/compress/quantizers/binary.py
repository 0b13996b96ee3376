"""Binary weights: sign times one scale a layer (Courbariaux et al., BinaryConnect, NIPS 2015; Rastegari et al., XNOR-Net, ECCV 2016)."""

from dataclasses import dataclass

import numpy as np

from qsim.compress.histogram import AnyFloatArray, flat_weights
from qsim.compress.quantizers.scalar import ScalarQuantizer, Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(ScalarQuantizer):
    """Minus and plus the mean magnitude, the scale of least squared error for signs; with ``scaled`` off, minus and plus one.

    A weight of zero counts as positive. Fine-tuning moves both values apart from each other.
    """

    scaled: bool = True

    def share(self, weights: AnyFloatArray, importance: AnyFloatArray | None, random: np.random.Generator) -> Shared:
        """Take the signs."""
        flat = flat_weights(weights)
        scale = float(np.mean(np.abs(flat), dtype=np.float64)) if self.scaled else 1.0
        return Shared(np.array([-scale, scale]), (flat >= 0).astype(np.int64))
