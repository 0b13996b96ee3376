"""How fast the compression methods are on many weights: k-means, hierarchical clustering, pyramid points, Huffman and context coding.

Weights are drawn from a Laplace distribution with a fixed seed. Process time of one thread; kernels are compiled before the clock starts.
"""

import time
from collections.abc import Callable

import numpy as np

from qsim.compress.clusters import Start, assign, distortion, lloyd, optimal_centroids, start_centroids
from qsim.compress.dendrogram import Dendrogram, Linkage
from qsim.compress.histogram import Histogram
from qsim.formats.context import encode_cells
from qsim.formats.huffman import CanonicalHuffman
from qsim.formats.pvq import nearest_points

WEIGHTS = 100_000_000
Row = dict[str, object]


def run() -> list[Row]:
    """Return the rows."""
    random = np.random.default_rng(0)
    weights = np.concatenate([random.laplace(size=WEIGHTS // 10).astype(np.float32) for _ in range(10)])
    rows = [row for entries in (16, 32, 256) for row in _kmeans(weights, entries)]
    rows.append(_hierarchical(weights[:1_000_000]))
    rows.append(_pyramid(weights[:10_000_000].reshape(-1, 16)))
    return rows + _huffman(weights[:10_000_000]) + [_context(random)]


def seconds(action: Callable[[], object]) -> float:
    """Return the process time of ``action``."""
    start = time.process_time()
    action()
    return time.process_time() - start


def _kmeans(weights: np.ndarray, entries: int) -> list[Row]:
    assign(weights[:100_000], optimal_centroids(Histogram.of(weights[:100_000]), entries), np.uint16)
    found: list[np.ndarray] = []

    def whole() -> None:
        found.append(optimal_centroids(Histogram.of(weights), entries))
        assign(weights, found[0], np.uint16)

    taken, histogram = seconds(whole), Histogram.of(weights)
    finer = optimal_centroids(histogram, entries, bins=1 << 16)
    above = 100 * (distortion(histogram, found[0]) / distortion(histogram, finer) - 1)
    linear = lloyd(histogram, start_centroids(histogram, entries, Start.LINEAR, np.random.default_rng(0)))
    worse = 100 * (distortion(histogram, linear) / distortion(histogram, finer) - 1)
    size = f"{len(weights):,} weights, {entries} clusters"
    return [
        {"name": f"k-means, {entries} clusters, codes included", "value": taken, "unit": "s", "target": "< 5", "on": size},
        {"name": "... error above a finer optimum", "value": above, "unit": "%", "target": "<= 0.1", "on": "programme of 65,536 bins"},
        {"name": "... error of Lloyd from linear above it", "value": worse, "unit": "%", "on": "100 iterations on the histogram"},
    ]


def _hierarchical(weights: np.ndarray) -> Row:
    Dendrogram.of(weights[:1_000], Linkage.WARD)
    taken = seconds(lambda: Dendrogram.of(weights, Linkage.WARD))
    return {
        "name": "hierarchical clustering, whole dendrogram",
        "value": taken,
        "unit": "s",
        "target": "< 10",
        "on": f"{len(weights):,} weights",
    }


def _pyramid(weights: np.ndarray) -> Row:
    taken = seconds(lambda: nearest_points(weights, 8))
    return {
        "name": "nearest pyramid points, N = 16, K = 8",
        "value": taken,
        "unit": "s",
        "target": "< 10",
        "on": f"{weights.size:,} weights",
    }


def _huffman(weights: np.ndarray) -> list[Row]:
    symbols = np.clip(np.rint(weights * 2.2) + 16, 0, 31).astype(np.int64)
    code = CanonicalHuffman.from_counts(np.bincount(symbols, minlength=32), 12)
    payload, bits = code.encode(symbols[:1_000])
    code.decode(payload, bits, 1_000)
    streams: list[tuple[bytes, int]] = []
    coded = seconds(lambda: streams.append(code.encode(symbols)))
    decoded = seconds(lambda: code.decode(*streams[0], len(symbols)))
    size = f"{len(symbols):,} symbols of 5 bits"
    return [
        {"name": "Huffman: encode", "value": len(symbols) / coded / 1e6, "unit": "M/s", "target": ">= 100", "on": size},
        {"name": "Huffman: decode", "value": len(symbols) / decoded / 1e6, "unit": "M/s", "target": ">= 100", "on": size},
    ]


def _context(random: np.random.Generator) -> Row:
    cells = np.where(random.random((1_000, 1_000)) < 0.05, random.integers(0, 8, (1_000, 1_000)), 8)
    encode_cells(cells[:10], 8)
    taken = seconds(lambda: encode_cells(cells, 8))
    return {"name": "context coder: encode", "value": cells.size / taken / 1e6, "unit": "M cells/s", "on": "1,000,000 cells, 5 % kept"}
