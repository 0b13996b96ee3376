"""A pass over a network: batch norm is folded into the convolution or fully connected layer before it.

With scale g, bias b, mean m and variance v per output channel, ``g (Wx + c - m) / sqrt(v + e) + b`` is a layer with weights ``s W`` and
bias ``s (c - m) + b``, where ``s = g / sqrt(v + e)``. It is done where nothing else reads the output of the layer; a batch norm
anywhere else stays an operator. Computed in float64, stored in the type of the weights.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qsim.model.network import Array, Network, Operator
from qsim.model.operators.normalise import EPSILON

PASS = "batch norm folded"


def fold_batch_norm(network: Network) -> Network:
    """Return the network with every batch norm that directly follows a layer folded into its weights."""
    uses = Counter([tensor for operator in network.operators for tensor in operator.inputs] + list(network.outputs))
    makers = {tensor: operator for operator in network.operators for tensor in operator.outputs}
    constants, changed, gone = dict(network.constants), dict[str, Operator](), set[str]()
    for norm in network.operators:
        layer = makers.get(norm.inputs[0]) if norm.kind == "BatchNormalization" else None
        if layer is None or uses[norm.inputs[0]] > 1 or not _foldable(layer, norm, network.constants):
            continue
        changed[layer.name] = _folded(layer, norm, constants)
        gone.add(norm.name)
    if not gone:
        return network
    operators = tuple(changed.get(operator.name, operator) for operator in network.operators if operator.name not in gone)
    read = {tensor for operator in operators for tensor in operator.inputs}
    read.update(network.outputs, *(hole.constants for hole in network.holes))
    made = {*network.inputs, *(tensor for operator in operators for tensor in operator.outputs)}
    folded = {name for name in constants if name not in network.constants}
    return replace(
        network,
        operators=operators,
        weights=(network.weights & read) | folded,
        constants={name: value for name, value in constants.items() if name in read},
        tensors={name: found for name, found in network.tensors.items() if name in made},
        passes=(*network.passes, f"{PASS}: {len(gone)}"),
    )


def _foldable(layer: Operator, norm: Operator, constants: Mapping[str, Array]) -> bool:
    plain = layer.attributes.get("alpha", 1.0) == 1 and layer.attributes.get("beta", 1.0) == 1
    known = all(not tensor or tensor in constants for tensor in (*layer.inputs[1:], *norm.inputs[1:]))
    one = len([tensor for tensor in norm.outputs if tensor]) == 1
    return layer.kind in ("Conv", "ConvTranspose", "Gemm") and plain and known and one


def _folded(layer: Operator, norm: Operator, constants: dict[str, Array]) -> Operator:
    """Return the layer with folded weights, which are added to ``constants`` under names of their own."""
    weights = constants[layer.inputs[1]]
    scale, bias, mean, variance = (constants[tensor].astype(np.float64) for tensor in norm.inputs[1:5])
    epsilon = norm.attributes.get("epsilon", EPSILON)
    factor = scale / np.sqrt(variance + float(str(epsilon)))
    before = constants[layer.inputs[2]].astype(np.float64) if len(layer.inputs) > 2 and layer.inputs[2] else np.zeros(1)
    names = f"{layer.inputs[1]}*{norm.name}", f"{norm.inputs[2]}*{norm.name}"
    constants[names[0]] = (weights * _spread(layer, weights, factor).astype(weights.dtype)).astype(weights.dtype, copy=False)
    constants[names[1]] = ((before.reshape(-1) - mean) * factor + bias).astype(weights.dtype)
    return replace(layer, inputs=(layer.inputs[0], *names), outputs=(norm.outputs[0],))


def _spread(layer: Operator, weights: Array, factor: Array) -> Array:
    """Return the factor of every output channel, shaped so that it meets the weights."""
    match layer.kind:
        case "Conv":
            return factor.reshape(-1, *(1,) * (weights.ndim - 1))
        case "ConvTranspose":  # weights [inputs, outputs of a group, ...]: the group decides which outputs
            groups = layer.attributes.get("group", 1)
            per_group = factor.reshape(int(str(groups)), 1, -1)
            spread = np.repeat(per_group, weights.shape[0] // per_group.shape[0], axis=1)
            return spread.reshape(weights.shape[0], -1, *(1,) * (weights.ndim - 2))
        case _:
            return factor.reshape(-1, 1) if layer.attributes.get("transB", 0) else factor
