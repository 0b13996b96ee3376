"""ATen's element-wise operators."""

import math

import numpy as np
import torch

from qsim.compress.aten.lowering import Arguments, Lowering, SimpleTranslation, Translation, numpy_type, result_type
from qsim.errors import UnsupportedProgram


def _one(kind: str) -> Translation:
    return lambda low, given: low.emit(kind, low.cast(given["self"], result_type(low)))


def _binary(kind: str) -> SimpleTranslation:
    """Arithmetic, in the type of the result; ``alpha`` scales the second operand."""

    def translate(low: Lowering, given: Arguments) -> str:
        dtype = result_type(low)
        left, right = low.operand(given["self"], dtype), low.operand(given["other"], dtype)
        alpha = given.get("alpha", 1)
        return low.emit(kind, left, right if alpha in (None, 1) else low.emit("Mul", right, low.constant(alpha, dtype)))

    return translate


def _reversed_subtraction(low: Lowering, given: Arguments) -> str:
    return _binary("Sub")(low, {"self": given["other"], "other": given["self"]})


def _division(low: Lowering, given: Arguments) -> str:
    mode = given.get("rounding_mode")
    if mode == "floor" and result_type(low).kind == "f":
        return low.emit("Floor", _binary("Div")(low, given))
    if mode is not None:
        raise UnsupportedProgram(f"division with rounding {mode!r}")
    return _binary("Div")(low, given)


def _compare(kind: str, *, negate: bool = False) -> Translation:
    def translate(low: Lowering, given: Arguments) -> str:
        values = [
            node.meta["val"] if isinstance(node, torch.fx.Node) else node for node in low.node.args[:2]
        ]  # fmt: skip
        dtype = numpy_type(torch.result_type(*values))
        found = low.emit(kind, low.operand(given["self"], dtype), low.operand(given["other"], dtype))
        return low.emit("Not", found) if negate else found

    return translate


def _logical(kind: str) -> Translation:
    return lambda low, given: low.emit(kind, low.cast(given["self"], bool), low.cast(given["other"], bool))


def _power(low: Lowering, given: Arguments) -> str:
    dtype = result_type(low)
    return low.emit("Pow", low.operand(given["self"], dtype), low.operand(given["exponent"], dtype))


def _clamp(low: Lowering, given: Arguments) -> str:
    dtype = result_type(low)
    limits = [given.get("min"), given.get("max")]
    names = ["" if limit is None else low.operand(limit, dtype) for limit in limits]
    x = low.cast(given["self"], dtype)
    if all(not name or low.shape(name) == () for name in names):
        return low.emit("Clip", x, *names)
    x = low.emit("Max", x, names[0]) if names[0] else x
    return low.emit("Min", x, names[1]) if names[1] else x


def _hardtanh(low: Lowering, given: Arguments) -> str:
    return _clamp(low, {"self": given["self"], "min": given["min_val"], "max": given["max_val"]})


def _relu6(low: Lowering, given: Arguments) -> str:
    return _clamp(low, {"self": given["self"], "min": 0, "max": 6})


def _silu(low: Lowering, given: Arguments) -> str:
    return low.emit("Mul", given["self"], low.emit("Sigmoid", given["self"]))


def _elu(low: Lowering, given: Arguments) -> str:
    if given["scale"] != 1 or given["input_scale"] != 1:
        raise UnsupportedProgram("ELU with a scale")
    return low.emit("Elu", given["self"], alpha=float(given["alpha"]))


def _softplus(low: Lowering, given: Arguments) -> str:
    if given["beta"] != 1:
        raise UnsupportedProgram("softplus with beta")
    return low.emit("Softplus", given["self"])


def _prelu(low: Lowering, given: Arguments) -> str:
    slope, rank = given["weight"], len(low.shape(given["self"]))
    if low.shape(slope) != (1,) and rank > 2:
        slope = low.emit("Reshape", slope, low.integers([-1, *[1] * (rank - 2)]))
    return low.emit("PRelu", given["self"], slope)


def _reciprocal_root(low: Lowering, given: Arguments) -> str:
    return low.emit("Reciprocal", low.emit("Sqrt", given["self"]))


def _square(low: Lowering, given: Arguments) -> str:
    return low.emit("Mul", given["self"], given["self"])


def _where(low: Lowering, given: Arguments) -> str:
    dtype = result_type(low)
    return low.emit("Where", given["condition"], low.operand(given["self"], dtype), low.operand(given["other"], dtype))


def _masked_fill(low: Lowering, given: Arguments) -> str:
    value = given["value"]
    value = -math.inf if value == -math.inf else value
    dtype = result_type(low)
    return low.emit("Where", given["mask"], low.operand(value, dtype), low.operand(given["self"], dtype))


def _convert(low: Lowering, given: Arguments) -> str:
    return low.cast(given["self"], result_type(low))


def _same(low: Lowering, given: Arguments) -> str:
    return str(given.get("self", given.get("input")))


def _log1p(low: Lowering, given: Arguments) -> str:
    return low.emit("Log", low.emit("Add", given["self"], low.constant(1, low.dtype(given["self"]))))


def _expm1(low: Lowering, given: Arguments) -> str:
    return low.emit("Sub", low.emit("Exp", given["self"]), low.constant(1, low.dtype(given["self"])))


_ONE = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "erf": "Erf", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs",
    "neg": "Neg", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan", "atan": "Atan", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sign": "Sign", "hardswish": "HardSwish", "mish": "Mish", "selu": "Selu",
}  # fmt: skip
_BINARY = {"add": "Add", "sub": "Sub", "subtract": "Sub", "mul": "Mul", "multiply": "Mul", "maximum": "Max", "minimum": "Min"}
_COMPARE = {"eq": "Equal", "lt": "Less", "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual"}
_SAME = (
    "clone", "contiguous", "alias", "detach", "dropout", "feature_dropout", "alpha_dropout", "lift_fresh_copy", "lift_fresh",
)  # fmt: skip
ELEMENTWISE: dict[str, Translation] = {
    **{name: _one(kind) for name, kind in _ONE.items()},
    **{name: _binary(kind) for name, kind in _BINARY.items()},
    **{name: _compare(kind) for name, kind in _COMPARE.items()},
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _convert),
    "ne": _compare("Equal", negate=True),
    "logical_and": _logical("And"), "logical_or": _logical("Or"),
    "logical_not": lambda low, given: low.emit("Not", low.cast(given["self"], bool)),
    "bitwise_not": lambda low, given: low.emit("Not", low.cast(given["self"], np.bool_)),
    "rsub": _reversed_subtraction, "div": _division, "pow": _power, "clamp": _clamp, "clamp_min": _clamp, "clamp_max": _clamp,
    "hardtanh": _hardtanh, "relu6": _relu6, "silu": _silu, "elu": _elu, "softplus": _softplus, "prelu": _prelu, "rsqrt": _reciprocal_root,
    "square": _square, "where": _where, "masked_fill": _masked_fill, "log1p": _log1p, "expm1": _expm1,
    "gelu": lambda low, given: low.emit("Gelu", given["self"], approximate=given["approximate"]),
    "leaky_relu": lambda low, given: low.emit("LeakyRelu", given["self"], alpha=float(given["negative_slope"])),
    "celu": lambda low, given: low.emit("Celu", given["self"], alpha=float(given["alpha"])),
    "hardsigmoid": lambda low, given: low.emit("HardSigmoid", given["self"], alpha=1 / 6, beta=0.5),
}  # fmt: skip
