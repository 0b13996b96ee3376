"""The timing contract of the array as one plain loop: a third opinion, written from the contract and not from either engine."""

from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import Architecture, Array, PEKind
from qsim.arch.timing import TIMINGS


@dataclass(frozen=True)
class Expected:
    """The cycle of every transfer of a layer, and its length."""

    broadcast: np.ndarray
    pop: np.ndarray
    issue: np.ndarray
    leave: np.ndarray
    cycles: int


def service_of(weights: np.ndarray, array: Array) -> np.ndarray:
    """Return the issue cycles [pes, cols] of a weight matrix [rows, cols], counting by walking every column."""
    service = np.zeros((array.pes, weights.shape[1]), dtype=np.int64)
    for pe in range(array.pes):
        for column, values in enumerate(weights[pe :: array.pes].T):
            run, cycles = 0, 0
            for value in values.tolist():
                if array.kind in (PEKind.DENSE, PEKind.CODEBOOK):
                    cycles += 1
                elif value == 0:
                    run += 1
                else:
                    cycles += run // (1 << array.index_bits) + (abs(value) if array.kind is PEKind.PVQ else 1)
                    run = 0
            service[pe, column] = max(1, cycles)
    return service


def expected(weights: np.ndarray, activations: np.ndarray, machine: Architecture) -> Expected:
    """Return what the contract says for ``weights`` [rows, cols] and one input [cols]."""
    array, scan, timing = machine.array, machine.scan, TIMINGS[machine.array.kind]
    pes, depth = array.pes, array.queue.depth
    service = service_of(weights, array)
    columns = np.flatnonzero(activations) if scan.skip_zeros else np.arange(len(activations))
    count = len(columns)
    a = np.zeros(count, dtype=np.int64)
    b, i, leave = (np.zeros((pes, count), dtype=np.int64) for _ in range(3))
    row_before = -1
    for n, column in enumerate(columns):
        row = column // scan.row_width
        empty = max(0, row - row_before - 1)
        row_before = row
        a[n] = (a[n - 1] + 1 if n else timing.scan_start_latency) + empty
        if n >= depth:
            a[n] = max(a[n], b[:, n - depth].max() + array.queue.return_latency)
        for pe in range(pes):
            b[pe, n] = max(a[n] + array.queue.forward_latency, i[pe, n - 1] if n else 0)
            i[pe, n] = max(b[pe, n] + 1, leave[pe, n - 1] if n else 0)
            leave[pe, n] = i[pe, n] + service[pe, column]
    rows = -(-len(activations) // scan.row_width)
    barrier = (a[-1] if count else timing.scan_start_latency - 1) + rows - 1 - row_before
    if count:
        barrier = max(barrier, leave[:, -1].max() + timing.pipeline_latency)
    drain_rows = -(-len(weights) // pes)
    return Expected(a, b, i, leave, int(barrier) + timing.drain_start_latency + drain_rows + timing.drain_latency)
