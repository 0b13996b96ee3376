"""The compression methods beside the libraries that do the same, in one run: how many times our time a peer takes, and how much it errs.

Process time of one thread, weights drawn from a Laplace distribution with a fixed seed. Needs the extra ``peers``; NNCodec is measured
where it is installed.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.bench_compress import Row, seconds
from qsim.compress.clusters import assign, distortion, optimal_centroids
from qsim.compress.dendrogram import Dendrogram, Linkage
from qsim.compress.histogram import Histogram
from qsim.compress.quantizers.vector import ProductQuantisation
from qsim.formats.context import encode_cells
from qsim.formats.huffman import CanonicalHuffman

CLUSTERS, LEAVES, LENGTH = 16, 5_000, 4


def run() -> list[Row]:
    """Return the rows."""
    random = np.random.default_rng(0)
    weights = random.laplace(size=1_000_000).astype(np.float32)
    return [*_kmeans(weights), *_products(weights), *_hierarchical(weights[:LEAVES]), *_entropy(weights), *_standard(random)]


def _row(name: str, value: float, unit: str, on: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "on": on}


def _kmeans(weights: np.ndarray) -> Iterator[Row]:
    import faiss
    import kmeans1d
    from sklearn.cluster import KMeans

    def ours() -> np.ndarray:
        centroids = optimal_centroids(Histogram.of(weights), CLUSTERS)
        assign(weights, centroids, np.uint16)
        return centroids

    columns, whole = weights[:, None], Histogram.of(weights)
    best, taken = distortion(whole, ours()), seconds(ours)
    means = faiss.Kmeans(1, CLUSTERS, niter=20, max_points_per_centroid=len(weights), seed=0)
    found: list[np.ndarray] = []
    peers = {
        "scikit-learn KMeans, n_init 1": lambda: found.append(KMeans(CLUSTERS, n_init=1, random_state=0).fit(columns).cluster_centers_),
        "faiss Kmeans, 20 rounds": lambda: (means.train(columns), found.append(means.centroids)),
        "kmeans1d, exact": lambda: found.append(np.array(kmeans1d.cluster(weights, CLUSTERS).centroids)),
    }
    for name, peer in peers.items():
        theirs = seconds(peer)
        above = 100 * (distortion(whole, np.sort(found[-1].reshape(-1).astype(np.float64))) / best - 1)
        on = f"1,000,000 weights, {CLUSTERS} clusters; ours {taken:.3f} s"
        yield _row(f"k-means: {name}", theirs / taken, "x our time", f"{on}; its error {above:+.3f} % from ours")


def _products(weights: np.ndarray) -> Iterator[Row]:
    import faiss

    matrix = weights.reshape(1_000, 1_000)
    quantizer = faiss.ProductQuantizer(1_000, 1_000 // LENGTH, CLUSTERS.bit_length() - 1)

    def theirs() -> np.ndarray:
        quantizer.train(matrix)
        decoded: np.ndarray = quantizer.decode(quantizer.compute_codes(matrix))
        return decoded

    own = partial(ProductQuantisation(entries=CLUSTERS, length=LENGTH).share, matrix, np.random.default_rng(0))
    errors = [float(np.mean((decoded - matrix) ** 2)) for decoded in (theirs(), own().weights().numpy())]
    ratio = seconds(theirs) / seconds(own)
    on = f"1,000 x 1,000, segments of {LENGTH}, {CLUSTERS} vectors each"
    yield _row("product quantisation: faiss", ratio, "x our time", f"{on}; its error {100 * (errors[0] / errors[1] - 1):+.2f} % from ours")


def _hierarchical(weights: np.ndarray) -> Iterator[Row]:
    from scipy.cluster.hierarchy import ward

    Dendrogram.of(weights, Linkage.WARD)
    rounds = 20
    taken = seconds(lambda: [Dendrogram.of(weights, Linkage.WARD) for _ in range(rounds)]) / rounds
    theirs = seconds(lambda: ward(weights[:, None].astype(np.float64)))
    yield _row(
        "hierarchical, Ward: SciPy", theirs / taken, "x our time", f"{LEAVES:,} weights (SciPy's memory is quadratic); ours {taken:.4f} s"
    )


def _entropy(weights: np.ndarray) -> Iterator[Row]:
    stream = importlib.import_module("constriction").stream
    symbols = np.clip(np.rint(weights * 2.2) + 16, 0, 31).astype(np.int32)
    counts = np.bincount(symbols, minlength=32)
    code, model = CanonicalHuffman.from_counts(counts, 12), stream.model.Categorical(counts / len(symbols), perfect=False)
    wide = symbols.astype(np.int64)
    payload, bits = code.encode(wide)
    code.decode(payload, bits, len(wide))
    coder = stream.stack.AnsCoder()
    encode = seconds(lambda: coder.encode_reverse(symbols, model)) / seconds(lambda: code.encode(wide))
    packed = coder.get_compressed()
    decode = seconds(lambda: stream.stack.AnsCoder(packed).decode(model, len(symbols))) / seconds(
        lambda: code.decode(payload, bits, len(wide))
    )
    on = f"1,000,000 symbols; {packed.nbytes:,} bytes, Huffman {len(payload):,}"
    yield _row("entropy coding: constriction ANS, encode", encode, "x Huffman's time", on)
    yield _row("entropy coding: constriction ANS, decode", decode, "x Huffman's time", on)


def _standard(random: np.random.Generator) -> Iterator[Row]:
    """NNCodec's coder on the cells of a sparse matrix without structure, which neither coder can predict."""
    if importlib.util.find_spec("nncodec") is None:
        return
    from qsim.peer_nncodec import DEFAULT, encode

    cells = np.where(random.random((1_000, 1_000)) < 0.05, random.integers(1, 9, (1_000, 1_000)), 0).astype(np.int32)
    encode_cells(cells[:10], 0)
    ours, theirs = encode_cells(cells, 0), encode(cells, DEFAULT)
    ratio = seconds(lambda: encode(cells, DEFAULT)) / seconds(lambda: encode_cells(cells, 0))
    on = f"1,000,000 cells, 5 % kept, no structure; {len(theirs):,} bytes, ours {len(ours):,}"
    yield _row("context coding: NNCodec", ratio, "x our time", on)
