"""ONNX nodes in this package's vocabulary: the forms of older operator sets become those of the newest.

Older sets keep in attributes what newer ones take as inputs (axes, pads, limits); these become constants.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qsim.errors import UnsupportedProgram
from qsim.model.network import Array, Attribute, Operator

AddConstant = Callable[[str, Array], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a file: ``attributes`` as Python values (tensors as arrays), ``operator_set`` the version of its operators."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    operator_set: int
    add_constant: AddConstant

    def plain(self) -> Operator:
        """Return the node as it stands. Attributes that are no plain values are left out."""
        kept: dict[str, Attribute] = {
            key: value for key, value in self.attributes.items() if isinstance(value, int | float | str | tuple)
        }  # fmt: skip
        return Operator(name=self.name, kind=self.kind, inputs=self.inputs, outputs=self.outputs, attributes=kept)

    def integers(self, name: str, values: Any) -> str:
        """Store integers as a constant and return its name."""
        return self.add_constant(f"{self.outputs[0]}.{name}", np.asarray(values, dtype=np.int64))

    def moved(self, *names: str) -> Operator:
        """Return the node with attributes as further inputs, in this order; the empty name for one that is not given."""
        inputs = (*self.inputs, *(self.integers(name, self.attributes[name]) if name in self.attributes else "" for name in names))
        plain = self.plain()
        kept = {key: value for key, value in plain.attributes.items() if key not in names}
        return replace(plain, inputs=inputs, attributes=kept)


def translate(node: Node) -> Operator:
    """Return the operator of a node. Raises :class:`UnsupportedProgram` for a form that has no counterpart."""
    for kind, before, function in TRANSLATIONS:
        if kind == node.kind and node.operator_set < before:
            return function(node)
    return node.plain()


def _cast(node: Node) -> Operator:
    from onnx import helper

    to = str(np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"])))
    return replace(node.plain(), attributes={"to": to})


def _dropout(node: Node) -> Operator:
    if len([name for name in node.outputs if name]) > 1:
        raise UnsupportedProgram("its mask is read")
    return replace(node.plain(), kind="Identity", inputs=node.inputs[:1], outputs=node.outputs[:1], attributes={})


def _batch_norm(node: Node) -> Operator:
    if node.attributes.get("training_mode", 0) or not node.attributes.get("spatial", 1):
        raise UnsupportedProgram("only batch norm per channel, as at inference")
    kept = {key: value for key, value in node.plain().attributes.items() if key == "epsilon"}
    return replace(node.plain(), outputs=node.outputs[:1], attributes=kept)


def _clip(node: Node) -> Operator:
    limits = [
        node.add_constant(f"{node.outputs[0]}.{name}", np.asarray(node.attributes[name], dtype=np.float32))
        if name in node.attributes
        else ""
        for name in ("min", "max")
    ]
    return replace(node.plain(), inputs=(*node.inputs[:1], *limits), attributes={})


def _softmax(node: Node) -> Operator:
    return replace(node.plain(), attributes={"axis": node.attributes.get("axis", 1), "trailing": 1})


def _slice(node: Node) -> Operator:
    return node.moved("starts", "ends", "axes")


def _pad(node: Node) -> Operator:
    operator = node.moved("pads")
    fill = node.add_constant(f"{node.outputs[0]}.value", np.asarray(node.attributes.get("value", 0.0), dtype=np.float32))
    kept = {key: value for key, value in operator.attributes.items() if key != "value"}
    return replace(operator, inputs=(*operator.inputs, fill), attributes=kept)


def _scales(node: Node) -> Operator:
    """Upsample and Resize-10: scales only; coordinates asymmetric, the nearest neighbour by floor."""
    if len(node.inputs) > 1:
        scales = node.inputs[1]
    else:
        scales = node.add_constant(f"{node.outputs[0]}.scales", np.asarray(node.attributes["scales"], dtype=np.float32))
    modes: dict[str, Attribute] = {
        "mode": node.attributes.get("mode", "nearest"),
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    return replace(node.plain(), kind="Resize", inputs=(node.inputs[0], "", scales), attributes=modes)


def _constant_of_shape(node: Node) -> Operator:
    value = np.asarray(node.attributes.get("value", np.zeros(1, dtype=np.float32))).reshape(-1)[0]
    attributes: dict[str, Attribute] = {"value": value.item(), "dtype": str(value.dtype)}
    return replace(node.plain(), attributes=attributes)


def _axes(node: Node) -> Operator:
    return node.moved("axes")


NEVER = 1 << 30
REDUCTIONS = ("Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")
# Kind, the first operator set to which the translation no longer applies, the translation.
TRANSLATIONS: tuple[tuple[str, int, Callable[[Node], Operator]], ...] = (
    ("Cast", NEVER, _cast),
    ("Dropout", NEVER, _dropout),
    ("BatchNormalization", NEVER, _batch_norm),
    ("ConstantOfShape", NEVER, _constant_of_shape),
    ("Clip", 11, _clip),
    ("Softmax", 13, _softmax),
    ("LogSoftmax", 13, _softmax),
    ("Slice", 10, _slice),
    ("Split", 13, lambda node: node.moved("split")),
    ("Squeeze", 13, _axes),
    ("Unsqueeze", 13, _axes),
    ("ReduceSum", 13, _axes),
    *((f"Reduce{name}", 18, _axes) for name in REDUCTIONS),
    ("Pad", 11, _pad),
    ("Upsample", NEVER, _scales),
    ("Resize", 11, _scales),
)
