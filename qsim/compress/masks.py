"""Which weights to keep: exact counts by magnitude in one layer, or by LAMP score over all layers.

LAMP (Lee et al., Layer-adaptive sparsity for magnitude-based pruning, ICLR 2021) scores a weight by its square over
the sum of squares of all weights of its layer that are not smaller:

    score(u) = w_u^2 / sum of w_v^2 over all v with |w_v| >= |w_u|

so the largest weight of every layer scores 1 and no layer is ever pruned empty while another has weights left. Within
a layer the score rises with the magnitude, so a global threshold on scores is one magnitude threshold a layer.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


def kept_count(size: int, density: float) -> int:
    """Return how many of ``size`` weights ``density`` (0 to 1) keeps: rounded half up, at least one."""
    return min(size, max(1, int(np.floor(size * density + 0.5))))


def largest(values: FloatArray, count: int) -> BoolArray:
    """Return the mask of exactly ``count`` largest of ``values`` [n]; of equal values, the first are kept."""
    if count >= len(values):
        return np.ones(len(values), dtype=np.bool_)
    if count <= 0:
        return np.zeros(len(values), dtype=np.bool_)
    threshold = np.partition(values, len(values) - count)[len(values) - count]
    mask: BoolArray = values > threshold
    ties = np.flatnonzero(values == threshold)
    mask[ties[: count - int(mask.sum())]] = True
    return mask


def lamp_scores(ascending: FloatArray) -> npt.NDArray[np.float64]:
    """Return the scores of squared weights given in ascending order [n]; zeros score 0."""
    squares = ascending.astype(np.float64)
    tail = np.cumsum(squares[::-1])[::-1]
    return np.divide(squares, tail, out=np.zeros_like(squares), where=tail > 0)


def lamp_counts(squares: list[FloatArray], count: int) -> list[int]:
    """Return how many weights each layer keeps of the ``count`` that score highest over all layers.

    ``squares`` holds each layer's squared weights, flat. No layer can keep more than ``count``, and a score depends on
    larger weights only, so the ``count`` largest of each layer decide.
    """
    candidates = [layer if count >= len(layer) else np.partition(layer, len(layer) - count)[len(layer) - count :] for layer in squares]
    scores = [lamp_scores(np.sort(layer)) for layer in candidates]
    kept = largest(np.concatenate(scores), count)
    parts = np.split(kept, np.cumsum([len(layer) for layer in scores])[:-1])
    return [int(part.sum()) for part in parts]


def lamp_mask(weights: list[FloatArray], count: int) -> BoolArray:
    """Return the flat mask, layer after layer, of the ``count`` weights of highest score over all layers (flat arrays)."""
    squares = [np.square(layer) for layer in weights]
    counts = lamp_counts(squares, count)
    return np.concatenate([largest(layer, kept) for layer, kept in zip(squares, counts, strict=True)])


def magnitude_mask(weights: list[FloatArray], counts: list[int]) -> BoolArray:
    """Return the flat mask that keeps the ``counts`` largest magnitudes of each layer."""
    return np.concatenate([largest(np.abs(layer), kept) for layer, kept in zip(weights, counts, strict=True)])
