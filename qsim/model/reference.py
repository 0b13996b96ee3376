"""The reference executor: runs a network in numpy, in the element types of its tensors, operator after operator."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from qsim.errors import FieldError, UnsupportedProgram
from qsim.model.network import Array, Network, Operator
from qsim.model.operators import OPERATORS
from qsim.model.operators.kind import Call
from qsim.progress import Progress, silent


def run(
    network: Network,
    inputs: Mapping[str, Array],
    *,
    keep: Collection[str] = (),
    only: Collection[str] | None = None,
    progress: Progress = silent,
) -> dict[str, Array]:
    """Return the outputs of the network (or ``only`` some tensors) and the tensors named in ``keep``, by name.

    Only what these need is computed, and a tensor is dropped after its last use. Raises :class:`FieldError` for inputs of another
    name, shape or type, and :class:`UnsupportedProgram` where a hole would have to be computed.
    """
    wanted = list(dict.fromkeys([*(network.outputs if only is None else only), *keep]))
    values: dict[str, Array] = {**network.constants, **_checked(network, inputs)}
    operators = needed(network, wanted)
    uses = Counter(tensor for operator in operators for tensor in operator.inputs)
    uses.update(wanted)
    holes = {hole.operator: hole for hole in network.holes}
    for done, operator in enumerate(operators, 1):
        if operator.name in holes:
            raise UnsupportedProgram(f"the network cannot be computed: {holes[operator.name]}")
        values.update(compute(operator, values))
        for tensor in operator.inputs:
            uses[tensor] -= 1
            if tensor and not uses[tensor]:
                values.pop(tensor, None)
        progress("reference", done, len(operators))
    for tensor in wanted:
        if tensor not in values:
            raise FieldError(path="keep", rule="tensors of the network", value=tensor)
    return {tensor: values[tensor] for tensor in wanted}


def compute(operator: Operator, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs of one operator, by name."""
    call = Call(operator, [values[tensor] if tensor else None for tensor in operator.inputs])
    with np.errstate(all="ignore"):
        found = OPERATORS[operator.kind].run(call)
    return {tensor: value for tensor, value in zip(operator.outputs, found, strict=False) if tensor}


def needed(network: Network, tensors: Collection[str]) -> list[Operator]:
    """Return the operators on which ``tensors`` depend, in order."""
    wanted, found = set(tensors), []
    for operator in reversed(network.operators):
        if wanted.intersection(tensor for tensor in operator.outputs if tensor):
            wanted.update(operator.inputs)
            found.append(operator)
    return found[::-1]


def behind_holes(network: Network) -> frozenset[str]:
    """Return the tensors that cannot be computed because they depend on a hole."""
    holes, lost = {hole.operator for hole in network.holes}, set[str]()
    for operator in network.operators:
        if operator.name in holes or lost.intersection(operator.inputs):
            lost.update(tensor for tensor in operator.outputs if tensor)
    return frozenset(lost)


def _checked(network: Network, inputs: Mapping[str, Array]) -> dict[str, Array]:
    if set(inputs) != set(network.inputs):
        raise FieldError(path="inputs", rule=f"those of the network, {list(network.inputs)}", value=sorted(inputs))
    found = {}
    for name in network.inputs:
        value, expected = np.asarray(inputs[name]), network.tensors[name]
        if (value.shape, value.dtype) != (expected.shape, expected.dtype):
            raise FieldError(path=f"inputs.{name}", rule=str(expected), value=f"{value.dtype}{list(value.shape)}")
        found[name] = value
    return found
