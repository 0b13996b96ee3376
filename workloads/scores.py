"""Tasks whose answers are known without labels from people."""

from collections.abc import Sequence

import numpy as np

from qsim.model.network import Array


def nearest_of_group(outputs: Sequence[Array], size: int) -> float:
    """Return the share of vectors whose nearest other one, by cosine, is of the same group; groups are ``size`` neighbours."""
    vectors = np.stack([output.reshape(-1) for output in outputs]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    return float(np.mean(likeness.argmax(axis=1) // size == np.arange(len(vectors)) // size))


def detected(outputs: Sequence[Array], truth: Array) -> float:
    """Return the share of probabilities on the right side of one half; ``truth`` is bool [outputs, elements]."""
    return float(np.mean((np.stack([output.reshape(-1) for output in outputs]) > 0.5) == truth))
