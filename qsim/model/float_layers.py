"""Quantised layers as the float layers that they stand for, so that machines can be estimated for them.

The operators on 8-bit integers (:mod:`qsim.model.operators.quantised`) are exact, but no layers with float weights. Here each becomes
its float counterpart between a DequantizeLinear before every operand and, after it, a QuantizeLinear or, where its output is the 32-bit
sums, Round and Cast:

    QLinearConv(x, w)    -> QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w)))
    MatMulInteger(a, b)  -> Cast(Round(MatMul(DequantizeLinear(a), DequantizeLinear(b))))    with scale 1

Constant weights and biases are dequantised at once. An activation is zero where it was the zero point. Float sums are rounded, so that
where a sum lies halfway between two steps the output may be the other step.
"""

from dataclasses import dataclass, replace

import numpy as np

from qsim.model.draft import Draft
from qsim.model.network import Attribute, Network, Operator


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operand:
    """Places of an operand, its scale (None: 1) and its zero point among the inputs, and the axis along which these may differ."""

    value: int
    scale: int | None
    zero: int
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counterpart:
    """The float operator, its two operands and, where they exist, the places of the output's scale and zero point and of the bias."""

    kind: str
    left: _Operand
    right: _Operand
    output: tuple[int, int] | None = None
    bias: int | None = None


_COUNTERPARTS = {
    "ConvInteger": _Counterpart(
        kind="Conv", left=_Operand(value=0, scale=None, zero=2, axis=1), right=_Operand(value=1, scale=None, zero=3, axis=0)
    ),
    "MatMulInteger": _Counterpart(
        kind="MatMul", left=_Operand(value=0, scale=None, zero=2, axis=-2), right=_Operand(value=1, scale=None, zero=3, axis=-1)
    ),
    "QLinearConv": _Counterpart(
        kind="Conv",
        left=_Operand(value=0, scale=1, zero=2, axis=1),
        right=_Operand(value=3, scale=4, zero=5, axis=0),
        output=(6, 7),
        bias=8,
    ),
    "QLinearMatMul": _Counterpart(
        kind="MatMul", left=_Operand(value=0, scale=1, zero=2, axis=-2), right=_Operand(value=3, scale=4, zero=5, axis=-1), output=(6, 7)
    ),
}


def with_float_layers(network: Network) -> Network:
    """Return the network with every quantised layer as a float one; the network itself where it has none.

    A layer whose zero points or scales are tensors of several axes stays as it is.
    """
    chosen = {operator.name for operator in network.operators if operator.kind in _COUNTERPARTS and _plain(network, operator)}
    if not chosen:
        return network
    draft = Draft(name=network.name, source=network.source, hints=network.tensors)
    for name in network.inputs:
        draft.add_input(name, network.tensors[name])
    for name, value in network.constants.items():
        draft.add_constant(draft.fresh_tensor(name), value, weight=name in network.weights)
    for operator in network.operators:
        for tensor in filter(None, operator.outputs):
            draft.fresh_tensor(tensor)
    holes, one = {hole.operator: hole for hole in network.holes}, draft.fresh_tensor("one")
    draft.add_constant(one, np.ones((), dtype=np.float32))
    for operator in network.operators:
        if operator.name in holes:
            hole = holes[operator.name]
            draft.add_hole(operator, hole.reason, hole.constants, behind=hole.behind)
        elif operator.name in chosen:
            _Rewriting(draft, network, operator, _COUNTERPARTS[operator.kind], one).add()
        else:
            draft.add(operator)
    found = draft.finish(network.outputs, allow_unsupported=True)
    return replace(found, passes=(*network.passes, f"quantised layers as float ones: {len(chosen)}"))


def _plain(network: Network, operator: Operator) -> bool:
    """Whether shapes are known and all scales and zero points have one axis at most."""
    if any(hole.operator == operator.name for hole in network.holes):
        return False
    part = _COUNTERPARTS[operator.kind]
    used = [part.left.scale, part.left.zero, part.right.scale, part.right.zero]
    names = [operator.inputs[place] for place in used if place is not None and place < len(operator.inputs) and operator.inputs[place]]
    tensors = [operator.inputs[place.value] for place in (part.left, part.right)]
    known = all(tensor in network.constants or tensor in network.tensors for tensor in (*names, *tensors))
    return known and all(len(network.type_of(name).shape) <= 1 for name in names)


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """Adds the counterpart of one operator to a draft; ``one`` is the constant 1, the same for all, so that shared weights stay one."""

    draft: Draft
    network: Network
    operator: Operator
    part: _Counterpart
    one: str

    def add(self) -> None:
        operator, part, draft = self.operator, self.part, self.draft
        inputs = [self._real(part.left), self._real(part.right)]
        bias = "" if part.bias is None else self._input(part.bias)
        if bias:
            scale = self._emit("scale", "Mul", self._input(1), self._input(4))
            inputs.append(self._emit("bias", "DequantizeLinear", bias, scale, axis=0))
        real = draft.fresh_tensor(f"{operator.outputs[0]}.real")
        draft.add(Operator(name=operator.name, kind=part.kind, inputs=tuple(inputs), outputs=(real,), attributes=operator.attributes))
        if part.output is None:
            whole = self._emit("round", "Round", real)
            last = Operator(
                name=f"{operator.name}.sums", kind="Cast", inputs=(whole,), outputs=operator.outputs, attributes={"to": "int32"}
            )
        else:
            inputs = [real, *map(self._input, part.output)]
            last = Operator(name=f"{operator.name}.steps", kind="QuantizeLinear", inputs=tuple(inputs), outputs=operator.outputs)
        draft.add(last)

    def _input(self, place: int) -> str:
        return self.operator.inputs[place] if place < len(self.operator.inputs) else ""

    def _real(self, operand: _Operand) -> str:
        value, rank = self._input(operand.value), len(self.network.type_of(self._input(operand.value)).shape)
        scale = self.one if operand.scale is None else self._input(operand.scale)
        return self._emit(f"{value}.real", "DequantizeLinear", value, scale, self._input(operand.zero), axis=operand.axis % max(1, rank))

    def _emit(self, name: str, kind: str, *inputs: str, **attributes: Attribute) -> str:
        found = self.draft.fresh_tensor(f"{self.operator.name}.{name}")
        self.draft.add(Operator(name=found, kind=kind, inputs=inputs, outputs=(found,), attributes=attributes))
        return found
