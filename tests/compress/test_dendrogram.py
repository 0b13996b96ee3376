"""Does hierarchical clustering on the line merge what a textbook merge of neighbours merges, for every linkage and every cluster count?"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.compress.dendrogram import Dendrogram, Linkage
from qsim.errors import FieldError

DISTANCES = {
    Linkage.WARD: lambda a, b: len(a) * len(b) / (len(a) + len(b)) * (np.mean(b) - np.mean(a)) ** 2,
    Linkage.COMPLETE: lambda a, b: max(abs(x - y) for x in a for y in b),
    Linkage.AVERAGE: lambda a, b: np.mean([abs(x - y) for x in a for y in b]),
    Linkage.SINGLE: lambda a, b: min(abs(x - y) for x in a for y in b),
}


def textbook(weights: np.ndarray, linkage: Linkage, clusters: int) -> list[list[float]]:
    """Merge the nearest pair of neighbours, again and again; equal weights are together from the start."""
    values, counts = np.unique(weights, return_counts=True)
    groups = [[value] * count for value, count in zip(values.tolist(), counts.tolist(), strict=True)]
    while len(groups) > clusters:
        distances = [DISTANCES[linkage](low, high) for low, high in pairwise(groups)]
        place = int(np.argmin(distances))
        groups[place : place + 2] = [groups[place] + groups[place + 1]]
    return groups


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=40), st.sampled_from(list(Linkage)), st.integers(1, 8))
def test_every_count_of_clusters_is_that_of_the_textbook(values: list[int], linkage: Linkage, clusters: int) -> None:
    # Irrational steps: no two distances are equal, so there is one right answer.
    weights = np.array(values) * np.sqrt(2) + np.sin(np.array(values))
    tree = Dendrogram.of(weights, linkage)
    edges = tree.edges(clusters)
    expected = textbook(weights, linkage, clusters)
    assert len(edges) + 1 == len(expected)
    assert np.allclose(tree.means(edges), [np.mean(group) for group in expected])


def test_equal_gaps_are_merged_from_the_left() -> None:
    tree = Dendrogram.of(np.arange(8.0), Linkage.WARD)
    assert tree.turns[:3].tolist() == [0, tree.turns[1], 1]
    assert tree.means(tree.edges(2)).tolist() == [1.5, 5.5]


def test_no_weights_and_nan_are_refused() -> None:
    with pytest.raises(FieldError, match="at least one value"):
        Dendrogram.of(np.zeros(0), Linkage.WARD)
    with pytest.raises(FieldError, match="finite numbers"):
        Dendrogram.of(np.array([1.0, np.nan]), Linkage.WARD)
