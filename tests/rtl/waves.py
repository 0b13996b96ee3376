"""A machine for waveforms, small because a model that dumps is built for it, and how dumps are read back."""

from pathlib import Path

import numpy as np
import pywellen

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES

# Room for the last layer of LeNet-300-100; queues that fill up.
SMALL: Architecture = MACHINES["sparse-rtl-2"]
for _path, _value in {
    "array.local_rows": 8,
    "array.queue.depth": 2,
    "weights.bytes": 1024,
    "pointers.bytes": 512,
    "activations.bytes": 256,
}.items():
    SMALL = SMALL.replace(_path, _value)


def signals(dump: Path) -> dict[str, object]:
    """Return the signals of a dump by their full name."""
    return {var.full_name: var.signal for var in pywellen.Waveform(str(dump)).all_vars()}


def values(signal: object, start: int, cycles: int, ticks: int) -> np.ndarray:
    """Return the value in the cycle before the layer, in each of its ``cycles``, and in the one after it."""
    return np.array([signal.value_at(start + ticks * cycle) for cycle in range(-1, cycles + 1)])
