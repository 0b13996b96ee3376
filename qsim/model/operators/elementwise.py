"""Operators that work element by element: arithmetic, comparisons, activation functions.

Python numbers do not widen an array (float32 stays float32), as in ONNX, whose attributes are float32.
"""

import math
from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType

import numpy as np

from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, Rule, elementwise

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # ONNX Selu-6, defaults


def _one(function: Callable[[Array], Array]) -> Rule:
    return lambda call: (np.asarray(function(call.array(0))),)


def _two(function: Callable[[Array, Array], Array]) -> Rule:
    return lambda call: (np.asarray(function(call.array(0), call.array(1))),)


def _all(function: Callable[[Array, Array], Array]) -> Rule:
    return lambda call: (reduce(function, call.arrays()),)


def _divide(left: Array, right: Array) -> Array:
    """Divide; integers towards zero, as in C."""
    if left.dtype.kind == "f":
        return np.asarray(left / right)
    quotient = left // np.where(right == 0, 1, right)
    return np.asarray(quotient + ((quotient < 0) & (quotient * right != left)), dtype=left.dtype)


def erf(x: Array) -> Array:
    """Error function of every element, correctly rounded: numpy has none, Python's is exact."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, np.zeros((), x.dtype)))


def _relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, np.zeros((), x.dtype)))


def _gelu(call: Call) -> tuple[Array]:
    x = call.array(0)
    if call.text("approximate", "none", ("none", "tanh")) == "none":
        return (0.5 * x * (1 + erf(x * math.sqrt(0.5))),)
    return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))),)


def _negative(call: Call, function: Callable[[Array], Array]) -> tuple[Array]:
    """``x`` where it is positive, the function elsewhere."""
    x = call.array(0)
    return (np.where(x > 0, x, function(np.minimum(x, np.zeros((), x.dtype)))).astype(x.dtype),)


def _leaky(call: Call) -> tuple[Array]:
    return _negative(call, lambda x: call.number("alpha", 0.01) * x)


def _elu(call: Call) -> tuple[Array]:
    return _negative(call, lambda x: call.number("alpha", 1.0) * np.expm1(x))


def _celu(call: Call) -> tuple[Array]:
    alpha = call.number("alpha", 1.0)
    return _negative(call, lambda x: alpha * np.expm1(x / alpha))


def _selu(call: Call) -> tuple[Array]:
    alpha, gamma = call.number("alpha", SELU_ALPHA), call.number("gamma", SELU_GAMMA)
    (inner,) = _negative(call, lambda x: alpha * np.expm1(x))
    return (gamma * inner,)


def _prelu(call: Call) -> tuple[Array]:
    x, slope = call.array(0), call.array(1)
    return (np.where(x < 0, slope * x, x).astype(x.dtype),)


def _thresholded(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (np.where(x > call.number("alpha", 1.0), x, 0).astype(x.dtype),)


def _hard_sigmoid(call: Call) -> tuple[Array]:
    return (np.clip(call.number("alpha", 0.2) * call.array(0) + call.number("beta", 0.5), 0, 1).astype(call.array(0).dtype),)


def _hard_swish(x: Array) -> Array:
    return np.asarray(x * np.clip(x / 6 + 0.5, 0, 1).astype(x.dtype))


def _swish(call: Call) -> tuple[Array]:
    x = call.array(0)
    return (x * sigmoid(call.number("alpha", 1.0) * x),)


def _clip(call: Call) -> tuple[Array]:
    x, low, high = call.array(0), call.maybe(1), call.maybe(2)
    x = x if low is None else np.maximum(x, low.reshape(()))
    return (x if high is None else np.minimum(x, high.reshape(())),)


def _modulo(call: Call) -> tuple[Array]:
    function = np.fmod if call.integer("fmod", 0) else np.mod
    return (function(call.array(0), call.array(1)),)


def _mean(call: Call) -> tuple[Array]:
    values = call.arrays()
    return (reduce(np.add, values) / len(values),)


def _power(left: Array, right: Array) -> Array:
    return np.asarray(np.power(left, right)).astype(left.dtype)


def _where(call: Call) -> tuple[Array]:
    return (np.where(call.array(0), call.array(1), call.array(2)),)


_ONE: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs, "Neg": np.negative, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log, "Reciprocal": lambda x: 1 / x, "Sign": np.sign,
    "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint, "Sin": np.sin, "Cos": np.cos, "Tan": np.tan, "Atan": np.arctan, "Erf": erf,
    "Relu": _relu, "Sigmoid": sigmoid, "Tanh": np.tanh, "Softplus": _softplus, "Softsign": lambda x: x / (1 + np.abs(x)),
    "HardSwish": _hard_swish, "Mish": lambda x: x * np.tanh(_softplus(x)), "Not": np.logical_not, "IsNaN": np.isnan,
}  # fmt: skip
_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide, "Pow": _power, "Equal": np.equal, "Greater": np.greater,
    "Less": np.less, "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or,
    "Xor": np.logical_xor,
}  # fmt: skip
_ANY: dict[str, Rule] = {
    "Min": _all(np.minimum), "Max": _all(np.maximum), "Sum": _all(np.add), "Mean": _mean, "Mod": _modulo, "Where": _where, "Clip": _clip,
    "LeakyRelu": _leaky, "Elu": _elu, "Celu": _celu, "Selu": _selu, "PRelu": _prelu, "ThresholdedRelu": _thresholded, "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid, "Swish": _swish,
}  # fmt: skip
ELEMENTWISE: Mapping[str, OperatorKind] = MappingProxyType(
    {
        name: elementwise(rule)
        for name, rule in ({k: _one(f) for k, f in _ONE.items()} | {k: _two(f) for k, f in _TWO.items()} | _ANY).items()
    }
)
