"""Mixed precision: how many bits each layer gets when all of them together may take so many bytes.

Every layer has a few options, each with a cost (what the network loses by it) and a size. Costs of layers are taken to add up, so the
choice is an integer programme: one option a layer, least sum of costs, sum of sizes within the budget (HAWQ-V3, arXiv:2011.10680, section
3.4). It is solved exactly, by SciPy's ``milp`` (the HiGHS solver).

=========== =========================================================================================================
hessian     mean diagonal entry of the layer's Hessian times the squared error of its weights (HAWQ-V2, arXiv:1911.03852,
            equation 10)
sensitivity ``mean |dw| / sigma(w) * log_100(sum |w_i - E(w)|)`` (Hu and Rao, slides, 2019). They write ``dw = w (1 - gamma)`` and do
            not say what gamma is; here it is the quantised weight over the weight, so that dw is the change. Where the
            logarithm is negative (a sum below 1) it counts as 0
accuracy    errors on the validation split with this layer alone quantised
=========== =========================================================================================================
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qsim.compress.curvature import hessian_traces
from qsim.compress.network import error_count
from qsim.compress.shared import FormatLimits, QuantizerInput, SharedWeights
from qsim.errors import MissingExtra, RecipeError
from qsim.formats.coding import encode_weights
from qsim.formats.symbols import EncodeOptions
from qsim.units import BITS_PER_BYTE

FloatArray = npt.NDArray[np.float64]
ANY_LIMITS = FormatLimits(weight_bits=16, scale_bits=16, largest_fraction=64, gain=1.0)  # sizes do not depend on the fraction


class Sensitivity(StrEnum):
    """What tells how much the network minds a layer's quantisation."""

    HESSIAN = "hessian"
    SCORE = "sensitivity"
    ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class Budget:
    """What all layers together may take: ``total_bytes``, or ``bits`` a weight (pruned ones counted); 0 is not given.

    Raises :class:`RecipeError` for numbers that are negative or not finite, and where both are given.
    """

    total_bytes: int = 0
    bits: float = 0.0

    def __post_init__(self) -> None:
        for field, value in (("budget_bytes", self.total_bytes), ("budget_bits", self.bits)):
            if not 0 <= value < math.inf:
                raise RecipeError(path=f"quantise.{field}", rule="at least 0 and finite", value=value)
        if self.total_bytes and self.bits:
            raise RecipeError(path="quantise.budget_bits", rule="left out beside quantise.budget_bytes", value=self.bits)

    def __bool__(self) -> bool:
        return bool(self.total_bytes or self.bits)

    def choose(self, costs: npt.ArrayLike, sizes: npt.ArrayLike, weights: int) -> tuple[int, ...]:
        """Return what :func:`choose` does within the budget for a network of so many ``weights``; an error is in the budget's unit."""
        if self.total_bytes:
            return choose(costs, sizes, self.total_bytes)
        least = float(np.asarray(sizes, dtype=np.float64).min(axis=1).sum())
        if least > self.bits * weights / BITS_PER_BYTE:
            rule = f"at least {math.ceil(1e4 * BITS_PER_BYTE * least / weights) / 1e4} for these layers and choices"
            raise RecipeError(path="quantise.budget_bits", rule=rule, value=self.bits)
        return choose(costs, sizes, self.bits * weights / BITS_PER_BYTE)


def choose(costs: npt.ArrayLike, sizes: npt.ArrayLike, budget: float) -> tuple[int, ...]:
    """Return the option of each layer: least sum of ``costs`` with a sum of ``sizes`` within ``budget``; both are [layers, options].

    Raises :class:`RecipeError` where even the smallest options exceed the budget.
    """
    cost, size = np.asarray(costs, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    least = float(size.min(axis=1).sum())
    if least > budget:
        raise RecipeError(path="quantise.budget_bytes", rule=f"at least {math.ceil(least)} for these layers and choices", value=budget)
    return _solve(cost, size, budget)


def _solve(cost: FloatArray, size: FloatArray, budget: float) -> tuple[int, ...]:
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError:
        raise MissingExtra("torch", "choosing bits by an integer programme") from None
    layers, options = cost.shape
    one_each = np.kron(np.eye(layers), np.ones(options))
    scale = max(float(np.abs(cost).max()), 1e-300)  # the solver's tolerances are absolute
    found = milp(
        (cost / scale).ravel(),
        integrality=np.ones(cost.size),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(size.reshape(1, -1), ub=budget)],
        options={"mip_rel_gap": 0},
    )
    return tuple(int(option) for option in found.x.reshape(layers, options).argmax(axis=1))


def choose_shared(
    by: Sensitivity, given: QuantizerInput, count: int, budget: Budget, tried: Sequence[Sequence[SharedWeights]]
) -> tuple[int, ...]:
    """Return the option of each layer of those ``tried[layer]``: least costs ``by``, bytes in the file's Huffman code within ``budget``."""
    sizes = [[len(encode_weights(shared.form(ANY_LIMITS), EncodeOptions()).payload) for shared in layer] for layer in tried]
    costs = costs_by(by, given, count, [[shared.weights() for shared in layer] for layer in tried])
    return budget.choose(costs, sizes, given.layout.weight_count)


def costs_by(by: Sensitivity, given: QuantizerInput, count: int, quantised: Sequence[Sequence[Tensor]]) -> FloatArray:
    """Return the costs [layers, options] of the weights ``quantised[layer][option]`` [rows, columns] in place of the given ones.

    ``count`` training samples are drawn for the Hessian.
    """
    weights = given.layout.weights(given.parameters)
    match by:
        case Sensitivity.HESSIAN:
            traces = hessian_traces(given.layout, given.parameters, given.samples, count, given.generator)
            scales = [trace / weight.numel() for trace, weight in zip(traces, weights, strict=True)]
            return _table(quantised, lambda place, option: scales[place] * float((option - weights[place]).double().square().sum()))
        case Sensitivity.SCORE:
            return _table(quantised, lambda place, option: score(weights[place].double().numpy(), option.double().numpy()))
        case Sensitivity.ACCURACY:
            return _table(quantised, lambda place, option: _errors_with(given, place, option))
        case _:
            assert_never(by)


def _table(quantised: Sequence[Sequence[Tensor]], cost: Callable[[int, Tensor], float]) -> FloatArray:
    return np.array([[cost(place, option) for option in options] for place, options in enumerate(quantised)])


def score(weights: FloatArray, quantised: FloatArray) -> float:
    """Return the sensitivity score of ``weights`` that become ``quantised``; 0 where all are alike."""
    deviation = float(weights.std())
    if deviation == 0:
        return 0.0
    spread = float(np.abs(weights - weights.mean()).sum())
    return float(np.abs(quantised - weights).mean()) / deviation * max(0.0, math.log(spread, 100))


def _errors_with(given: QuantizerInput, place: int, weight: Tensor) -> float:
    changed = given.parameters.clone()
    given.layout.weights(changed)[place].copy_(weight)
    samples = given.samples if given.validation is None else given.validation
    with torch.no_grad():
        return float(error_count(given.layout, changed, samples))
