"""What other libraries give for the same weights and the same indices: the yardsticks beside the methods.

====================  ==========================================  ==========================================
task                  ours                                        peers
====================  ==========================================  ==========================================
k-means               optimum on the histogram                    scikit-learn, faiss: all weights of the network, 16 centroids
vectors               ``qsim.compress.vectors.cluster``           faiss: neighbours of the largest layer, 256 centroids of 4 weights
rounding to integers  ``affine``, a scale a row                   torchao: the same bits, granularity and rows
entropy coding        Huffman and context coding                  constriction: ANS, range coder, given the true frequencies;
                                                                  nncodec: DeepCABAC of ISO/IEC 15938-17
====================  ==========================================  ==========================================

A peer that is not installed is a row that says how to install it. nncodec wants another numpy and torch than this project, so it runs in the
Python that the user names; of it only its compiled coder ``deepCABAC`` is used, on indices where 0 is a dropped weight.
"""

import importlib
import importlib.metadata
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import QsimError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
CENTROIDS, VECTORS, LENGTH = 16, 256, 4
INSTALL = 'pip install "qsim-hw[peers]"'
OTHER_PYTHON = "--peer-python with nncodec==2.1.3: it needs numpy below 2"

# The scan, unary length 11 and optimised initial states are nncodec's defaults; rows without weights are skipped.
NNCODEC = """
import importlib.metadata, json, sys, time
import deepCABAC, numpy
none, size, arrays = numpy.zeros(0, dtype=numpy.int8), 0, numpy.load(sys.argv[1])
start = time.process_time()
for name in arrays.files:
    cells, encoder = numpy.ascontiguousarray(arrays[name], dtype=numpy.int32), deepCABAC.Encoder()
    encoder.initCtxModels(11, 1)
    empty = (numpy.abs(cells).sum(1) == 0).astype(numpy.int32)
    encoder.encodeLayer(cells, 0, 0, 1, 0, 1, empty, deepCABAC.HdspMode.AlwaysOff, none, 0, 0)
    size += len(encoder.finish())
seconds = time.process_time() - start
try:
    version = importlib.metadata.version("nncodec")
except importlib.metadata.PackageNotFoundError:
    version = "coder built alone"
print(json.dumps([size, seconds, version]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One figure of one tool: ``value`` in ``unit`` and processor time, both None where the tool is ``missing`` (why, and what to do)."""

    task: str
    tool: str
    version: str
    settings: str
    value: float | None = None
    unit: str = ""
    seconds: float | None = None
    missing: str = ""


def compare_peers(
    weights: Sequence[FloatArray], cells: Sequence[IntArray], error_of: Callable[[Sequence[FloatArray]], float], peer_python: str
) -> tuple[PeerRow, ...]:
    """Return every tool's figures.

    ``weights`` [rows, cols] a layer, as trained; ``cells`` likewise, of a pruned network: 0 where dropped, the index of the centroid from 1
    else; ``error_of`` returns the test error in percent of a network with other weights; ``peer_python`` may be empty.
    """
    flat = np.concatenate([layer.ravel() for layer in weights])
    largest = max(weights, key=lambda layer: layer.size)
    vectors = np.ascontiguousarray(largest[:, : largest.shape[1] // LENGTH * LENGTH]).reshape(-1, LENGTH)
    return (
        *_kmeans(flat),
        *_vectors(vectors),
        *(row for bits in (8, 4) for row in _integers(weights, error_of, bits)),
        *_coders(cells, peer_python),
    )


def _load(name: str) -> Any | None:
    """Return a library that may be absent; they have no types."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _timed(action: Callable[[], float]) -> tuple[float, float]:
    start = time.process_time()
    value = action()
    return value, time.process_time() - start


def _row(task: str, tool: str, package: str, settings: str, unit: str, action: Callable[[], float] | None) -> PeerRow:
    if action is None:
        return PeerRow(task=task, tool=tool, version="", settings=settings, missing=INSTALL)
    value, seconds = _timed(action)
    version = importlib.metadata.version(package)
    return PeerRow(task=task, tool=tool, version=version, settings=settings, value=value, unit=unit, seconds=seconds)


def _ours(task: str, settings: str, unit: str, action: Callable[[], float]) -> PeerRow:
    from qsim import __version__

    value, seconds = _timed(action)
    return PeerRow(task=task, tool="qsim", version=__version__, settings=settings, value=value, unit=unit, seconds=seconds)


def _error(points: FloatArray, centroids: FloatArray) -> float:
    """Return the mean squared error a weight of the nearest of ``centroids`` [k, d] to ``points`` [n, d]."""
    from qsim.compress.vectors import nearest

    return float(np.mean((points - centroids[nearest(points, centroids)]) ** 2))


def _kmeans(flat: FloatArray) -> list[PeerRow]:
    from qsim.compress.clusters import optimal_centroids
    from qsim.compress.histogram import Histogram

    task, points = f"k-means, {CENTROIDS} centroids, {flat.size:,} weights", flat[:, None]
    sklearn, faiss = _load("sklearn.cluster"), _load("faiss")
    found: list[FloatArray] = []

    def ours() -> float:
        return _keep(found, optimal_centroids(Histogram.of(flat), CENTROIDS))

    def with_sklearn() -> float:
        assert sklearn is not None
        means = sklearn.KMeans(CENTROIDS, n_init=1, max_iter=30, random_state=0).fit(points)
        return _keep(found, means.cluster_centers_)

    def with_faiss() -> float:
        return _keep(found, _faiss_centroids(faiss, points, CENTROIDS))

    rows = [
        _ours(task, "optimum on the histogram", "mse", ours),
        _row(task, "scikit-learn", "scikit-learn", "k-means++, 30 iterations", "mse", with_sklearn if sklearn else None),
        _row(task, "faiss", "faiss-cpu", "20 iterations, all points", "mse", with_faiss if faiss else None),
    ]
    return _with_errors(rows, found, points)


def _vectors(points: FloatArray) -> list[PeerRow]:
    from qsim.compress.vectors import cluster

    task = f"vectors, {VECTORS} centroids, {len(points):,} of {LENGTH} weights"
    faiss, found = _load("faiss"), list[FloatArray]()

    def ours() -> float:
        return _keep(found, cluster(points, VECTORS, 20, np.random.default_rng(0)).vectors)

    def with_faiss() -> float:
        return _keep(found, _faiss_centroids(faiss, points, VECTORS))

    rows = [
        _ours(task, "at most 20 iterations, 256 points a centroid", "mse", ours),
        _row(task, "faiss", "faiss-cpu", "20 iterations, all points", "mse", with_faiss if faiss else None),
    ]
    return _with_errors(rows, found, points)


def _keep(found: list[FloatArray], centroids: npt.ArrayLike) -> float:
    """Keep centroids for later: their error is not part of what is timed."""
    flat = np.asarray(centroids, dtype=np.float32)
    found.append(flat[:, None] if flat.ndim == 1 else flat)
    return 0.0


def _with_errors(rows: list[PeerRow], found: list[FloatArray], points: FloatArray) -> list[PeerRow]:
    from dataclasses import replace

    centroids = iter(found)
    return [row if row.missing else replace(row, value=_error(points, next(centroids))) for row in rows]


def _faiss_centroids(faiss: Any, points: FloatArray, count: int) -> FloatArray:
    faiss.omp_set_num_threads(1)
    means = faiss.Kmeans(points.shape[1], count, niter=20, seed=1, max_points_per_centroid=len(points))
    means.train(np.ascontiguousarray(points))
    return np.asarray(means.centroids, dtype=np.float32)


def _integers(weights: Sequence[FloatArray], error_of: Callable[[Sequence[FloatArray]], float], bits: int) -> list[PeerRow]:
    task = f"integers of {bits} bits, a scale a row"
    quantization = _load("torchao.quantization")

    def ours() -> float:
        return error_of([_rounded(layer, bits) for layer in weights])

    def with_torchao() -> float:
        return error_of([_torchao(quantization, layer, bits) for layer in weights])

    return [
        _ours(task, "symmetric, largest weight of the row", "% test error", ours),
        _row(task, "torchao", "torchao", "IntxWeightOnlyConfig, PerAxis(0)", "% test error", with_torchao if quantization else None),
    ]


def _rounded(layer: FloatArray, bits: int) -> FloatArray:
    largest = (1 << (bits - 1)) - 1
    steps = np.maximum(np.abs(layer).max(axis=1, keepdims=True), 1e-12) / largest
    return (np.rint(layer / steps) * steps).astype(np.float32)


def _torchao(quantization: Any, layer: FloatArray, bits: int) -> FloatArray:
    import torch

    linear = torch.nn.Linear(layer.shape[1], layer.shape[0], bias=False)
    linear.weight = torch.nn.Parameter(torch.from_numpy(layer.copy()))
    kind = getattr(torch, f"int{bits}")
    config = quantization.IntxWeightOnlyConfig(weight_dtype=kind, granularity=quantization.PerAxis(0))
    quantization.quantize_(linear, config)
    weight: Any = linear.weight
    return np.asarray(weight.dequantize().detach().numpy(), dtype=np.float32)


def _coders(cells: Sequence[IntArray], peer_python: str) -> list[PeerRow]:
    from qsim.formats.context import encode_cells
    from qsim.formats.huffman import CanonicalHuffman

    task = f"coding {sum(layer.size for layer in cells):,} indices, {sum(np.count_nonzero(layer) for layer in cells):,} of them kept"
    constriction = _load("constriction")

    def by_context() -> float:
        return sum(len(encode_cells(layer, 0)) for layer in cells)

    def huffman() -> float:
        codes = [CanonicalHuffman.from_counts(np.bincount(layer.ravel()), 15) for layer in cells]
        return sum(len(code.encode(layer.ravel())[0]) for code, layer in zip(codes, cells, strict=True))

    rows = [_ours(task, "Huffman, every cell", "bytes", huffman), _ours(task, "by context, without a picture", "bytes", by_context)]
    for name in ("ANS", "range"):
        action = (lambda name=name: sum(_constriction(constriction, layer, name) for layer in cells)) if constriction else None
        settings = f"{name} coder, true frequencies given"
        rows.append(_row(task, "constriction", "constriction", settings, "bytes", action))
    return [*rows, _nncodec(task, cells, peer_python)]


def _constriction(library: Any, layer: IntArray, name: str) -> int:
    symbols = layer.ravel().astype(np.int32)
    counts = np.bincount(symbols).astype(np.float32)
    model = library.stream.model.Categorical(counts / counts.sum(), perfect=False)
    if name == "ANS":
        coder = library.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, model)
    else:
        coder = library.stream.queue.RangeEncoder()
        coder.encode(symbols, model)
    return int(4 * len(coder.get_compressed()))


def _nncodec(task: str, cells: Sequence[IntArray], peer_python: str) -> PeerRow:
    settings = "DeepCABAC, defaults, rows skipped, without unit headers"
    if not peer_python:
        return PeerRow(task=task, tool="nncodec", version="", settings=settings, missing=OTHER_PYTHON)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.npz"
        np.savez(path, *cells)
        try:
            done = subprocess.run([peer_python, "-c", NNCODEC, str(path)], capture_output=True, text=True, check=True, timeout=600)
            size, seconds, version = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
            raise QsimError(path="--peer-python", rule="a Python that imports deepCABAC of nncodec", value=" ".join(said)) from error
    return PeerRow(task=task, tool="nncodec", version=version, settings=settings, value=size, unit="bytes", seconds=seconds)
