"""A small transformer encoder: 2 layers, 4 heads, width 128, feed-forward 512, over 64 tokens that are given as embeddings."""

import numpy as np

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload

LAYERS, HEADS, WIDTH, INNER, TOKENS = 2, 4, 128, 512, 64


def build(seed: int = 0) -> Network:
    """Return the network with synthetic weights."""
    return encoder("transformer-encoder", seed, layers=LAYERS, heads=HEADS, width=WIDTH, inner=INNER, tokens=TOKENS)


def encoder(name: str, seed: int, *, layers: int, heads: int, width: int, inner: int, tokens: int) -> Network:
    """Return an encoder of any size; ``width`` must be a multiple of ``heads``."""
    b = Builder(name, seed)
    x = b.input("embeddings", tokens, width)
    for number in range(1, layers + 1):
        x = _norm(b, f"layer{number}.norm1", b.op("Add", f"layer{number}.add1", x, _attention(b, f"layer{number}", x, heads)))
        hidden = b.relu(b.fc(f"layer{number}.inner", x, inner))
        x = _norm(b, f"layer{number}.norm2", b.op("Add", f"layer{number}.add2", x, b.fc(f"layer{number}.outer", hidden, width)))
    return b.network(x)


def _attention(b: Builder, name: str, x: str, count: int) -> str:
    tokens, width = b.draft.values[x].shape
    heads = b.constant(f"{name}.heads", np.array([tokens, count, width // count], dtype=np.int64))
    query, key, value = (
        b.op("Reshape", f"{name}.{part}.split", b.fc(f"{name}.{part}", x, width), heads) for part in ("query", "key", "value")
    )
    query, value = (b.op("Transpose", f"{part}.turned", part, perm=(1, 0, 2)) for part in (query, value))
    scores = b.op("MatMul", f"{name}.scores", query, b.op("Transpose", f"{key}.turned", key, perm=(1, 2, 0)))
    scale = b.constant(f"{name}.scale", np.array((width // count) ** -0.5, dtype=np.float32))
    mixed = b.op(
        "MatMul", f"{name}.mixed", b.op("Softmax", f"{name}.weights", b.op("Mul", f"{name}.scaled", scores, scale), axis=-1), value
    )
    whole = b.constant(f"{name}.whole", np.array([tokens, width], dtype=np.int64))
    joined = b.op("Reshape", f"{name}.joined", b.op("Transpose", f"{name}.back", mixed, perm=(1, 0, 2)), whole)
    return b.fc(f"{name}.output", joined, width)


def _norm(b: Builder, name: str, x: str) -> str:
    gain = b.draft.add_constant(f"{name}.gain", np.ones(b.channels(x), dtype=np.float32), weight=True)
    return b.op("LayerNormalization", name, x, gain, b.bias(f"{name}.shift", b.channels(x)), axis=-1)


WORKLOAD = NetworkWorkload(
    name="transformer-encoder",
    citation="A. Vaswani et al., Attention Is All You Need, NIPS 2017, section 3, smaller than any of its tables",
    build=build,
    parameters=LAYERS * (4 * WIDTH * (WIDTH + 1) + 2 * WIDTH * INNER + INNER + WIDTH + 4 * WIDTH),
    parameters_source="formula of the encoder of the paper; the size is chosen here",
    density=0.3,
    density_source="chosen here: 30 % everywhere",
)
