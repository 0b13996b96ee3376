"""Fixed latencies of the array, one set per kind of PE.

These numbers are what the RTL does: all kinds have an array there, and the cocotb benches compare every cycle of it with the recurrence
of docs/timing.md, which takes its constants from here.
Both engines of ``qsim.sim`` and ``rtl`` read this table; nobody else states a latency.
"""

from dataclasses import dataclass, replace

from qsim.arch.architecture import PEKind
from qsim.errors import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Latencies in cycles; cycle 0 is the first cycle after ``start``.

    ``scan_start_latency``: earliest broadcast of an item in the first activation row; ``pipeline_latency``: from the issue of
    an entry until its sum is in the accumulator; ``drain_start_latency``: from the barrier until the first row is drained;
    ``drain_latency``: from the last row drained until the layer is done; ``pixel_setup_latency``: from the end of the program of one
    pixel of a convolution until the start of the next.
    """

    scan_start_latency: int = 4
    pipeline_latency: int = 7
    drain_start_latency: int = 2
    drain_latency: int = 7
    pixel_setup_latency: int = 0

    def __post_init__(self) -> None:
        least = {"scan_start_latency": 1, "pipeline_latency": 0, "drain_start_latency": 1, "drain_latency": 0, "pixel_setup_latency": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise FieldError(path=f"timing.{name}", rule=f"at least {minimum}", value=getattr(self, name))


_ARRAY = Timing()

TIMINGS: dict[PEKind, Timing] = {
    PEKind.DENSE: replace(_ARRAY, pipeline_latency=6),  # no codebook
    PEKind.CODEBOOK: _ARRAY,
    PEKind.SPARSE: _ARRAY,
    PEKind.PVQ: replace(_ARRAY, pipeline_latency=8, drain_latency=9),  # no codebook, but queue and steps; multiplication by the scale
}
