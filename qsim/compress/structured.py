"""Masks with a structure that hardware can use: n of m, blocks, whole units. All by magnitude, all exact counts.

======= ============================================================================================================================
pattern what is kept
======= ============================================================================================================================
n:m     the n largest of every m neighbouring weights of a row (Mishra et al., arXiv:2104.08378: 2 of 4); the last group may be shorter
block   whole blocks of rows x columns of largest norm (Cambricon-S, MICRO 2018); blocks at the edges may be smaller
unit    whole hidden units of largest norm of incoming weights, with their outgoing ones (Li et al., ICLR 2017); not outputs
======= ============================================================================================================================
"""

from enum import StrEnum

import numpy as np

from qsim.compress.masks import BoolArray, FloatArray, kept_count, largest


class Pattern(StrEnum):
    """The structures."""

    N_OF_M = "n:m"
    BLOCK = "block"
    UNIT = "unit"


def n_of_m(weight: FloatArray, kept: int, group: int) -> BoolArray:
    """Return the mask [rows, cols] of the ``kept`` largest of every ``group`` neighbours of a row; of equal ones the first."""
    rows, cols = weight.shape
    padded = np.pad(np.abs(weight), ((0, 0), (0, -cols % group)), constant_values=-1.0).reshape(rows, -1, group)
    rank = np.argsort(np.argsort(-padded, axis=2, kind="stable"), axis=2, kind="stable")
    return np.ascontiguousarray((rank < kept).reshape(rows, -1)[:, :cols])


def blocks(weight: FloatArray, height: int, width: int, density: float) -> BoolArray:
    """Return the mask [rows, cols] that keeps ``density`` of the blocks of ``height`` x ``width``, at least one."""
    rows, cols = weight.shape
    tall, wide = -(-rows // height), -(-cols // width)
    padded = np.pad(weight.astype(np.float64) ** 2, ((0, tall * height - rows), (0, wide * width - cols)))
    norms = padded.reshape(tall, height, wide, width).sum(axis=(1, 3))
    chosen = largest(norms.reshape(-1), kept_count(tall * wide, density)).reshape(tall, wide)
    return np.ascontiguousarray(np.repeat(np.repeat(chosen, height, axis=0), width, axis=1)[:rows, :cols])


def units(weights: list[FloatArray], density: float) -> list[BoolArray]:
    """Return the masks of a chain of layers that keeps ``density`` of the hidden units of each, with all their weights."""
    masks = [np.ones(weight.shape, dtype=np.bool_) for weight in weights]
    for place, weight in enumerate(weights[:-1]):
        kept = largest(np.sum(weight.astype(np.float64) ** 2, axis=1), kept_count(len(weight), density))
        masks[place] &= kept[:, None]
        masks[place + 1] &= kept[None, :]
    return masks
