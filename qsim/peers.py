"""Libraries that do a part of what qsim does, on the same weights in the same run: which is nearer, smaller, quicker.

A peer that is not installed is named with how to get it, never an error. None is used for anything else.
"""

import contextlib
import copy
import dataclasses
import importlib
import importlib.util
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import QsimError
from qsim.formats.context import shortest_stream
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import CompressedModel
from qsim.peer_nncodec import compare as nncodec
from qsim.progress import Progress
from workloads.mnist import Mnist
from workloads.weights import FloatState
from workloads.workload import Workload

FloatArray = npt.NDArray[np.float32]
INSTALL = "pip install 'qsim-hw[peers]'"
INSTALL_ALONE = {"nncodec": "pip install --no-deps nncodec"}  # what its Python depends on is not used
ENTRIES = 16  # clusters, and vectors a segment
LENGTH = 4  # weights of a segment
ROUNDS = 20  # of Lloyd's iteration
BITS = (8, 4, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One thing done by a peer and by qsim (``theirs``, ``ours``, in ``unit``; less is better); processor ``seconds`` of both, 0 where that
    was not the question. ``version`` is empty for a peer that is not installed, and ``settings`` then say how to install it.
    """

    peer: str
    version: str
    task: str
    settings: str
    unit: str
    theirs: float
    ours: float
    seconds: float = 0.0
    our_seconds: float = 0.0

    @property
    def installed(self) -> bool:
        """Whether it ran."""
        return bool(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The float weights of a workload, those of the pruned network, the same compressed, data to measure errors on, and a seed."""

    workload: Workload
    state: FloatState
    pruned_state: FloatState
    pruned: CompressedModel
    mnist: Mnist
    seed: int

    @property
    def largest(self) -> FloatArray:
        """The largest matrix [rows, columns]."""
        return max((self.state[f"{layer.name}.weight"].reshape(layer.rows, -1) for layer in self.workload.layers), key=np.size)


def compare_peers(given: Given, progress: Progress) -> tuple[PeerRow, ...]:
    """Run every peer that is installed."""
    rows: list[PeerRow] = []
    for place, (module, (distribution, run)) in enumerate(PEERS.items(), 1):
        if importlib.util.find_spec(module) is None:
            missing = f"not installed: {INSTALL_ALONE.get(distribution, INSTALL)}"
            rows.append(PeerRow(peer=distribution, version="", task="", settings=missing, unit="", theirs=0.0, ours=0.0))
        else:
            rows += run(given, metadata.version(distribution))
        progress("peers", place, len(PEERS))
    return tuple(rows)


def _timed(action: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return action(), time.process_time() - began


def _scikit_learn(given: Given, version: str) -> Iterator[PeerRow]:
    from sklearn.cluster import KMeans

    weights = given.largest.reshape(-1, 1)
    found, seconds = _timed(lambda: KMeans(ENTRIES, n_init=1, random_state=given.seed).fit(weights))
    settings = f"KMeans, {ENTRIES} clusters, n_init 1"
    yield _clusters("scikit-learn", version, settings, weights, found.cluster_centers_, seconds)


def _faiss(given: Given, version: str) -> Iterator[PeerRow]:
    faiss: Any = importlib.import_module("faiss")
    weights = given.largest.reshape(-1, 1)
    with _quiet():
        means = faiss.Kmeans(1, ENTRIES, niter=ROUNDS, max_points_per_centroid=len(weights), seed=given.seed)
        _, seconds = _timed(lambda: means.train(weights))
    yield _clusters("faiss-cpu", version, f"Kmeans, {ENTRIES} clusters, {ROUNDS} rounds, all points", weights, means.centroids, seconds)

    matrix = given.largest
    if matrix.shape[1] % LENGTH:
        return

    def product() -> FloatArray:
        quantizer = faiss.ProductQuantizer(matrix.shape[1], matrix.shape[1] // LENGTH, ENTRIES.bit_length() - 1)
        quantizer.train(matrix)
        decoded: FloatArray = quantizer.decode(quantizer.compute_codes(matrix))
        return decoded

    from qsim.compress.quantizers.vector import ProductQuantisation

    with _quiet():
        theirs, seconds = _timed(product)
    own = ProductQuantisation(entries=ENTRIES, length=LENGTH)
    shared, our_seconds = _timed(lambda: own.share(matrix, np.random.default_rng(given.seed)))
    yield PeerRow(
        peer="faiss-cpu", version=version, task="product quantisation", settings=f"segments of {LENGTH}, {ENTRIES} vectors each",
        unit="relative squared error", theirs=_error(matrix, theirs), ours=_error(matrix, shared.weights().numpy()), seconds=seconds,
        our_seconds=our_seconds,
    )  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a library's own code writes to standard error off the screen: faiss warns of small sets once a segment."""
    kept = os.dup(2)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(io.StringIO()):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _clusters(peer: str, version: str, settings: str, weights: FloatArray, centres: FloatArray, seconds: float) -> PeerRow:
    from qsim.compress.clusters import optimal_centroids
    from qsim.compress.histogram import Histogram

    ours, our_seconds = _timed(lambda: optimal_centroids(Histogram.of(weights), ENTRIES))
    return PeerRow(
        peer=peer, version=version, task="k-means", settings=settings, unit="relative squared error",
        theirs=_nearest_error(weights, centres), ours=_nearest_error(weights, ours), seconds=seconds, our_seconds=our_seconds,
    )  # fmt: skip


def _nearest_error(weights: FloatArray, centres: npt.NDArray[Any]) -> float:
    ordered = np.sort(centres.reshape(-1).astype(np.float64))
    flat = weights.reshape(-1).astype(np.float64)
    return _error(flat, ordered[np.searchsorted((ordered[1:] + ordered[:-1]) / 2.0, flat)])


def _error(weights: npt.NDArray[Any], approximation: npt.NDArray[Any]) -> float:
    difference = weights.astype(np.float64) - approximation
    return float((difference**2).sum() / (weights.astype(np.float64) ** 2).sum())


def _constriction(given: Given, version: str) -> Iterator[PeerRow]:
    """Static entropy coders of a library, near the first-order entropy, beside the adaptive coder by context, and the layers as the file
    has them with Huffman codes and relative indices.

    Every matrix with its zeros is one sequence of cells; probabilities, codebooks and biases are counted in the file's layers only.
    """
    sizes: dict[str, float] = dict.fromkeys(("range coder", "ANS", "context"), 0.0)
    seconds = dict(sizes)
    for layer in given.pruned.layers:
        values = layer.form.reconstruct()
        symbols, places = np.unique(values, return_inverse=True)
        cells = places.reshape(values.shape).astype(np.int32)
        hole = int(np.searchsorted(symbols, 0)) if 0 in symbols else None
        for name, size, spent in (*_static(cells.reshape(-1)), _by_context(cells, hole)):
            sizes[name], seconds[name] = sizes[name] + size, seconds[name] + spent
    file = "relative index and Huffman, all of the layers"
    sizes[file], seconds[file] = _huffman_layers(given.pruned), 0.0
    for theirs, ours in (("range coder", "context"), ("ANS", "context"), ("range coder", file)):
        yield PeerRow(
            peer="constriction", version=version, task="entropy coding of the pruned network", settings=f"static {theirs}; {ours}",
            unit="bytes", theirs=sizes[theirs], ours=sizes[ours], seconds=seconds[theirs], our_seconds=seconds[ours],
        )  # fmt: skip


def _static(cells: npt.NDArray[np.int32]) -> Iterator[tuple[str, int, float]]:
    """Yield name, bytes and seconds of the coders that know the probabilities of the ``cells`` [n] beforehand."""
    stream: Any = importlib.import_module("constriction").stream
    counts = np.bincount(cells)
    model = stream.model.Categorical((counts / counts.sum()).astype(np.float64), perfect=False)
    ranges, stack = stream.queue.RangeEncoder(), stream.stack.AnsCoder()
    for name, encode, coder, decoder in (
        ("range coder", ranges.encode, ranges, stream.queue.RangeDecoder),
        ("ANS", stack.encode_reverse, stack, stream.stack.AnsCoder),
    ):
        _, spent = _timed(partial(encode, cells, model))
        packed = coder.get_compressed()
        if not np.array_equal(decoder(packed).decode(model, len(cells)), cells):
            raise QsimError(f"constriction's {name} does not decode what it encoded")
        yield name, packed.nbytes, spent


def _huffman_layers(model: CompressedModel) -> int:
    plain = dataclasses.replace(model, options=EncodeOptions())
    return sum(len(layer.payload) for layer in plain.encoded_layers)


def _by_context(cells: npt.NDArray[np.int32], hole: int | None) -> tuple[str, int, float]:
    (stream, _), spent = _timed(partial(shortest_stream, cells, hole))
    return "context", len(stream), spent


def _torchao(given: Given, version: str) -> Iterator[PeerRow]:
    """Integer weights without retraining, one scale a row; for networks of fully connected layers only: it leaves convolutions."""
    import torch
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerAxis

    from qsim.compress.pipeline import compress_in_stages
    from qsim.methods import PVQ, Base, Step, recipe_of
    from qsim.run import measure

    if any(layer.geometry is not None for layer in given.workload.layers):
        return
    network = _as_torch(given)
    for bits in BITS:
        theirs = copy.deepcopy(network)
        quantize_(theirs, IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=PerAxis(0)))
        step = Step(method="affine", settings=f'bits = {bits}, granularity = "row"', base=Base.DENSE, machine=PVQ)
        ours = compress_in_stages(recipe_of(step, 0, given.seed), given.workload, given.state, given.mnist).model
        error = measure(ours, given.mnist.test).test_error
        assert error is not None
        yield PeerRow(
            peer="torchao", version=version, task="integer weights, no retraining",
            settings=f"{bits} bits, a scale a row; the peer's activations are floats",
            unit="test error, %", theirs=_torch_error(theirs, given), ours=error,
        )  # fmt: skip


def _as_torch(given: Given) -> Any:
    import torch

    parts: list[torch.nn.Module] = []
    for layer in given.workload.layers:
        linear = torch.nn.Linear(layer.columns, layer.rows)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(given.state[f"{layer.name}.weight"]))
            linear.bias.copy_(torch.from_numpy(given.state[f"{layer.name}.bias"]))
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def _torch_error(network: Any, given: Given) -> float:
    import torch

    from qsim.compress.network import Samples

    test = Samples.of(given.mnist.test, given.workload.normalisation)
    with torch.no_grad():
        answers = network(test.normalised(slice(0, len(test)))).argmax(dim=1)
    return float(100.0 * (answers != test.labels).double().mean())


PEERS: dict[str, tuple[str, Callable[[Given, str], Iterator[PeerRow]]]] = {
    "sklearn": ("scikit-learn", _scikit_learn),
    "faiss": ("faiss-cpu", _faiss),
    "constriction": ("constriction", _constriction),
    "torchao": ("torchao", _torchao),
    "nncodec": ("nncodec", nncodec),
}
