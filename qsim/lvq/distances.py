"""Squared distances between inputs and prototypes, each a sum that PyTorch differentiates."""

import torch
from torch import Tensor


def euclidean(inputs: Tensor, prototypes: Tensor) -> Tensor:
    """Return ``|x - w|^2`` [n, p] of ``inputs`` [n, f] and ``prototypes`` [p, f]."""
    products = inputs @ prototypes.T
    return (inputs.square().sum(dim=1)[:, None] - 2.0 * products + prototypes.square().sum(dim=1)).clamp_min(0.0)


def weighted(inputs: Tensor, prototypes: Tensor, relevances: Tensor) -> Tensor:
    """Return ``sum_i r_i (x_i - w_i)^2`` [n, p]; ``relevances`` are [f], or [p, f] with those of each prototype."""
    scaled = relevances * prototypes
    own = inputs.square() @ (relevances.T if relevances.dim() == 2 else relevances[:, None])
    return (own - 2.0 * inputs @ scaled.T + (scaled * prototypes).sum(dim=1)).clamp_min(0.0)


def projected(inputs: Tensor, prototypes: Tensor, omega: Tensor) -> Tensor:
    """Return ``|(x - w) omega|^2`` [n, p]; ``omega`` is [f, m], or [p, f, m] with that of each prototype."""
    if omega.dim() == 2:
        return euclidean(inputs @ omega, prototypes @ omega)
    images = torch.einsum("nf,pfm->npm", inputs, omega) - torch.einsum("pf,pfm->pm", prototypes, omega)
    return images.square().sum(dim=2)


def normalised_relevances(values: Tensor) -> Tensor:
    """Return relevances that are not negative and add up to 1, from their unconstrained roots [..., f]."""
    squares = values.square()
    return squares / squares.sum(dim=-1, keepdim=True)


def normalised_matrix(values: Tensor) -> Tensor:
    """Return ``omega`` [..., f, m] scaled so that the diagonal of ``omega omega^T`` adds up to 1."""
    return values / values.square().sum(dim=(-2, -1), keepdim=True).sqrt()
