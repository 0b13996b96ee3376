"""An LSTM of the size of ESE's speech recogniser: 1024 cells with a projection to 512 that feeds back, 153 features a frame; one time step.

Gate matrices stand as they are multiplied: one for the frame, one for the projected state of the step before, one for the projection.
Peepholes are products of single numbers and left out.
"""

import numpy as np

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload

FEATURES, CELLS, PROJECTED = 153, 1024, 512


def build(seed: int = 0) -> Network:
    """Return one step with synthetic weights."""
    b = Builder("ese-lstm", seed)
    frame, state, cell = b.input("frame", 1, FEATURES), b.input("state", 1, PROJECTED), b.input("cell", 1, CELLS)
    gates = b.op("Add", "gates", b.fc("input_gates", frame, 4 * CELLS), b.fc("recurrent_gates", state, 4 * CELLS, bias=False))
    sizes = b.constant("sizes", np.full(4, CELLS, dtype=np.int64))
    first = b.op("Split", "split", gates, sizes, outputs=4, axis=1)
    i, f, o = (b.op("Sigmoid", f"gate{place}", first if place == 0 else f"{first}.{place}") for place in range(3))
    kept = b.op("Add", "cell_out", b.op("Mul", "keep", f, cell), b.op("Mul", "write", i, b.op("Tanh", "candidate", f"{first}.3")))
    out = b.op("Mul", "out", o, b.op("Tanh", "squashed", kept))
    return b.network(b.fc("projection", out, PROJECTED, bias=False), kept)


WORKLOAD = NetworkWorkload(
    name="ese-lstm",
    citation="S. Han et al., ESE: Efficient Speech Recognition Engine with Sparse LSTM on FPGA, FPGA 2017, arXiv:1612.00694",
    build=build,
    parameters=4 * CELLS * (FEATURES + PROJECTED + 1) + PROJECTED * CELLS,
    parameters_source="sizes of Google's LSTM with projection as ESE is reported to use them; not read in the paper",
    density=0.1,
    density_source="ESE: 10 times fewer weights by pruning; here 10 % of every matrix",
)
