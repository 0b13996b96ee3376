"""Operators that multiply tensors but are none of the layers of :mod:`qsim.model.matrix_layers`: for stating what is left out."""

import math

from qsim.model.network import Network, Operator


def unlisted_products(network: Network) -> tuple[tuple[Operator, int | None], ...]:
    """Return them with their MACs, None where those are not counted: ``Einsum``, and convolutions whose kernel is no constant.

    Holes are not among them: the network names those itself.
    """
    holes = {hole.operator for hole in network.holes}
    found = list[tuple[Operator, int | None]]()
    for operator in network.operators:
        if operator.name in holes:
            continue
        if operator.kind == "Einsum":
            found.append((operator, _einsum_macs(network, operator)))
        elif operator.kind in ("Conv", "ConvTranspose") and operator.inputs[1] not in network.constants:
            pixels = network.type_of(operator.outputs[0] if operator.kind == "Conv" else operator.inputs[0]).shape
            found.append((operator, math.prod(pixels) * math.prod(network.type_of(operator.inputs[1]).shape[1:])))
    return tuple(found)


def _einsum_macs(network: Network, operator: Operator) -> int | None:
    """Return the product of the sizes of all letters, for two operands without an ellipsis."""
    terms = str(operator.attributes["equation"]).replace(" ", "").partition("->")[0].split(",")
    if len(terms) != 2 or any("." in term for term in terms):
        return None
    shapes = [network.type_of(tensor).shape for tensor in operator.inputs]
    sizes = dict[str, int]()
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return math.prod(sizes.values())
