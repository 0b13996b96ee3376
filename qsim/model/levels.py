"""Rounding a tensor of a float network to evenly spaced levels as it flows: what PEs with narrow codes do to an operand that they store.

With codes of b bits there are ``2**b - 1`` levels ``k * step``, k from ``-L`` to ``L = 2**(b - 1) - 1``. The step is the smallest power of
two at which the largest magnitude of the tensor is within them, ``2**ceil(log2(max / L))``: a shift, known when the tensor is complete. The
rounding is written into the network as operators, so that inference, fidelity and the file all have it.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array, Network, Operator, TensorType

LEAST_BITS = 2  # of a code: -1, 0, 1
SLACK = 2.0**-16  # of the exponent: more than the error of a float32 logarithm, less than what half a step of 16 bits would show
_ROUND = (  # output, operator, inputs: of this table, of the constants, or x
    ("magnitude", "Abs", ("x",)),
    ("largest", "ReduceMax", ("magnitude",)),
    ("above_zero", "Max", ("largest", "least")),
    ("share", "Div", ("above_zero", "most")),
    ("logarithm", "Log", ("share",)),
    ("binary", "Mul", ("logarithm", "per_octave")),
    ("eased", "Sub", ("binary", "slack")),
    ("exponent", "Ceil", ("eased",)),
    ("step", "Pow", ("two", "exponent")),
    ("scaled", "Div", ("x", "step")),
    ("code", "Round", ("scaled",)),
    ("level", "Mul", ("code", "step")),
)
_WHOLE = ("magnitude", "scaled", "code", "level")  # of the shape of x; all others are one number


def round_operands(network: Network, operators: Iterable[str], bits: int) -> Network:
    """Return ``network`` with the second operand of ``operators`` rounded to the levels of ``bits``-bit codes; one that is shared once.

    Raises :class:`FieldError` for fewer bits than levels need.
    """
    if bits < LEAST_BITS:
        raise FieldError(path="bits", rule=f"at least {LEAST_BITS}, for levels on both sides of zero", value=bits)
    wanted, taken = set(operators), {operator.name for operator in network.operators} | set(network.tensors) | set(network.constants)
    constants, tensors, rounded, found = dict(network.constants), dict(network.tensors), dict[str, str](), list[Operator]()
    for operator in network.operators:
        if operator.name in wanted:
            x = operator.inputs[1]
            if x not in rounded:
                added, types, values = _rounding(x, network.type_of(x), _free(f"{operator.name}.operand", taken), bits)
                found += added
                tensors.update(types)
                constants.update(values)
                rounded[x] = added[-1].outputs[0]
            operator = replace(operator, inputs=(operator.inputs[0], rounded[x], *operator.inputs[2:]))
        found.append(operator)
    return replace(network, operators=tuple(found), constants=constants, tensors=tensors)


def _free(prefix: str, taken: set[str]) -> str:
    """Return the prefix, with a mark where names of an earlier rounding have it."""
    while any(name.startswith(f"{prefix}.") for name in taken):
        prefix += "+"
    return prefix


def _rounding(x: str, kind: TensorType, prefix: str, bits: int) -> tuple[list[Operator], dict[str, TensorType], dict[str, Array]]:
    most, least = (1 << (bits - 1)) - 1, float(np.finfo(np.float32).tiny) * 2**bits
    numbers = {"least": least, "most": float(most), "per_octave": 1 / math.log(2), "slack": SLACK, "two": 2.0}
    names = {"x": x} | {name: f"{prefix}.{name}" for name in (*numbers, *(step[0] for step in _ROUND))}
    single = TensorType((1,) * len(kind.shape), kind.dtype)
    operators = [
        Operator(name=names[output], kind=operator, inputs=tuple(names[name] for name in inputs), outputs=(names[output],))
        for output, operator, inputs in _ROUND
    ]
    types = {names[output]: kind if output in _WHOLE else single for output, _, _ in _ROUND}
    return operators, types, {names[name]: np.array(value, dtype=kind.dtype) for name, value in numbers.items()}
