"""Reading networks from ONNX files.

Weights are taken wherever exporters put them: initializers, Constant nodes, subgraphs of If, external data. An If whose condition is
constant, once all sizes are fixed, is replaced by its branch, a Loop whose end is known by its iterations. A Scan, and a Loop or an If
that depends on data, are holes; the weights inside them are listed all the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import FileFormatError, UnsupportedProgram
from qsim.model.batch_norm import fold_batch_norm
from qsim.model.draft import Draft
from qsim.model.network import Array, Network, Operator, TensorType
from qsim.model.onnx_file import ONNX_DOMAINS, OnnxFile, inferred_types, input_types, need_onnx, read_file
from qsim.model.onnx_translate import Node, translate
from qsim.progress import Progress, silent

MOST_UNROLLED = 1 << 13  # operators of all loops together
CONSTANT_VALUES = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}


def import_onnx(
    path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    fixed: Mapping[str, float] | None = None,
    allow_unsupported: bool = False,
    fold: bool = True,
    progress: Progress = silent,
) -> Network:
    """Return the network of an ONNX file.

    ``dims`` fixes sizes that the file leaves open (see :func:`qsim.model.onnx_file.input_types`), ``fixed`` makes constants of inputs
    (``{"sr": 16000}``), ``fold`` folds batch norm into the layer before it. Raises :class:`MissingExtra` without onnx and
    :class:`FileFormatError` for a file that is broken, or that has operators which are not supported, unless ``allow_unsupported``.
    """
    file = read_file(path)
    types = input_types(file, dims or {})
    network = _Importer(file, types, fixed or {}, progress, {}).network(allow_unsupported)
    if network.holes:
        hints = inferred_types(file.path, types)
        network = _Importer(file, types, fixed or {}, progress, hints).network(allow_unsupported)
    return fold_batch_norm(network) if fold else network


@dataclass
class _Importer:
    """Walks the nodes of a file; ``scope`` leads from a name in the file to the tensor of the draft."""

    file: OnnxFile
    types: Mapping[str, TensorType]
    fixed: Mapping[str, float]
    progress: Progress
    hints: Mapping[str, TensorType]
    draft: Draft = field(init=False)
    unrolled: int = 0
    stored: dict[int, tuple[Any, str]] = field(default_factory=dict)  # the body of a loop is read again and again, its weights are not

    def __post_init__(self) -> None:
        name = self.file.proto.graph.name or self.file.path.stem
        self.draft = Draft(name=name, source=str(self.file.path), hints=self.hints)

    def network(self, allow_unsupported: bool) -> Network:
        graph = self.file.proto.graph
        for name in self.fixed:
            if name not in self.types:
                raise FileFormatError(path="fixed", rule=f"inputs of {self.file.path}", value=name, legal=tuple(self.types))
        for name, found in self.types.items():
            if name in self.fixed:
                self.draft.add_constant(name, np.full(found.shape, self.fixed[name], dtype=found.dtype))
            else:
                self.draft.add_input(name, found)
        scope = {name: name for name in self.types}
        self._graph(graph, scope, top=True)
        outputs = [scope[item.name] for item in graph.output]
        return self.draft.finish(outputs, allow_unsupported=allow_unsupported)

    def _graph(self, graph: Any, scope: dict[str, str], *, top: bool = False) -> None:
        """Add all nodes of a graph; ``scope`` is extended by its names."""
        for item in graph.initializer:
            scope[item.name] = self._once(item, item.name, partial(self.file.array, item), weight=True)
        for done, item in enumerate(graph.node, 1):
            self._node(item, scope)
            if top:
                self.progress("operators", done, len(graph.node))

    def _once(self, item: Any, name: str, read: Callable[[], Array], *, weight: bool | None = None) -> str:
        """Return the constant of an initializer or Constant node, which is added when it is met first."""
        if id(item) not in self.stored:
            value = read()
            found = self.draft.add_constant(self.draft.fresh_tensor(name), value, weight=value.size > 1 if weight is None else weight)
            self.stored[id(item)] = item, found  # keeping the item keeps its number
        return self.stored[id(item)][1]

    def _node(self, item: Any, scope: dict[str, str]) -> None:
        attributes = {attribute.name: self._attribute(attribute) for attribute in item.attribute}
        kind = item.op_type if item.domain in ONNX_DOMAINS else f"{item.domain}.{item.op_type}"
        inputs = tuple(scope[name] if name else "" for name in item.input)
        if kind == "If":
            return self._if(item, inputs[0], attributes, scope)
        if kind == "Loop":
            return self._loop(item, inputs, attributes["body"], scope)
        if kind == "Constant":
            scope[item.output[0]] = self._once(item, item.output[0], partial(self._constant, item, attributes))
            return None
        outputs = tuple(self.draft.fresh_tensor(name) if name else "" for name in item.output)
        scope.update({name: found for name, found in zip(item.output, outputs, strict=True) if name})
        node = Node(
            name=item.name or f"{item.op_type}:{outputs[0]}", kind=kind, inputs=inputs, outputs=outputs, attributes=attributes,
            operator_set=self.file.operator_set, add_constant=self._add_constant,
        )  # fmt: skip
        if any(attribute.type in _graph_types() for attribute in item.attribute):
            return self._hole(node, "its body cannot be flattened", item)
        try:
            self.draft.add(translate(node))
        except UnsupportedProgram as error:
            self.draft.add_hole(replace(node.plain(), name=self.draft.fresh(node.name)), str(error))
        return None

    def _add_constant(self, name: str, value: Array) -> str:
        return self.draft.add_constant(self.draft.fresh_tensor(name), value)

    def _hole(self, node: Node, reason: str, item: Any) -> None:
        constants = []
        for graph in _subgraphs(item):
            found = ((self.draft.fresh_tensor(f"{node.name}/{name}"), value) for name, value in self._weights(graph))
            constants += [self.draft.add_constant(name, value, weight=True) for name, value in found]
        operator = Operator(name=self.draft.fresh(node.name), kind=node.kind, inputs=node.inputs, outputs=node.outputs)
        self.draft.add_hole(operator, reason, constants)

    def _if(self, item: Any, condition: str, attributes: Mapping[str, Any], scope: dict[str, str]) -> None:
        """Add the branch of an If with a constant condition; any other is a hole."""
        value = self.draft.constant(condition)
        if value is None:
            return self._flow_hole(item, (condition,), "its condition depends on data", scope)
        branch = attributes["then_branch" if bool(value.reshape(())) else "else_branch"]
        inner = dict(scope)
        self._graph(branch, inner)
        return self._results(item, [inner[result.name] for result in branch.output], scope)

    def _results(self, item: Any, tensors: Sequence[str], scope: dict[str, str]) -> None:
        """Let the outputs of a node with a body stand for tensors."""
        for name, tensor in zip(item.output, tensors, strict=True):
            if name:
                scope[name] = self.draft.fresh_tensor(name)
                self.draft.aliases[scope[name]] = tensor

    def _flow_hole(self, item: Any, inputs: Sequence[str], reason: str, scope: dict[str, str]) -> None:
        outputs = tuple(self.draft.fresh_tensor(name) if name else "" for name in item.output)
        scope.update({name: found for name, found in zip(item.output, outputs, strict=True) if name})
        node = Node(
            name=item.name or f"{item.op_type}:{outputs[0]}", kind=item.op_type, inputs=tuple(inputs), outputs=outputs, attributes={},
            operator_set=self.file.operator_set, add_constant=self._add_constant,
        )  # fmt: skip
        self._hole(node, reason, item)

    def _loop(self, item: Any, inputs: tuple[str, ...], body: Any, scope: dict[str, str]) -> None:
        """Add the iterations of a Loop one after the other; one whose end is not known, or is far, is a hole.

        The body takes number of the iteration, condition and states, and gives condition, states and what is stacked over the iterations.
        """
        states, reason = list(inputs[2:]), ""
        stacked: list[list[str]] = [[] for _ in body.output[1 + len(states) :]]
        count = self.draft.constant(inputs[0]) if inputs[0] else None
        condition = inputs[1] if len(inputs) > 1 else ""
        if inputs[0] and count is None:
            return self._flow_hole(item, inputs, "its number of iterations depends on data", scope)
        done, size = 0, _operators(body)
        while not reason and (count is None or done < int(count.reshape(()))):
            going = self.draft.constant(condition) if condition else np.ones((), dtype=np.bool_)
            if going is None:
                reason = "its condition depends on data"
            elif not going.reshape(()):
                break
            elif self.unrolled + size > MOST_UNROLLED:
                reason = f"its iterations are more than the {MOST_UNROLLED:,} operators to which loops are unrolled"
            else:
                condition, states = self._iteration(item, body, done, condition, states, stacked, scope)
                done, self.unrolled = done + 1, self.unrolled + size
        if stacked and not done:
            reason = reason or "it has no iterations, and gives an empty tensor"
        if reason:
            return self._flow_hole(item, inputs, reason, scope)
        return self._results(item, [*states, *(self._stack(item, parts) for parts in stacked)], scope)

    def _iteration(
        self, item: Any, body: Any, done: int, condition: str, states: list[str], stacked: list[list[str]], scope: dict[str, str]
    ) -> tuple[str, list[str]]:
        """Add one iteration; return the condition and the states after it."""
        name = item.name or f"Loop:{item.output[0]}"
        number = self._add_constant(f"{name}.iteration", np.asarray(done, dtype=np.int64))
        condition = condition or self._add_constant(f"{name}.condition", np.ones((), dtype=np.bool_))
        inner = {**scope, **{given.name: tensor for given, tensor in zip(body.input, (number, condition, *states), strict=True)}}
        self._graph(body, inner)
        found = [inner[result.name] for result in body.output]
        for parts, tensor in zip(stacked, found[1 + len(states) :], strict=True):
            parts.append(tensor)
        return found[0], found[1 : 1 + len(states)]

    def _stack(self, item: Any, parts: Sequence[str]) -> str:
        """Return the tensor of what the iterations give, along a new first axis."""
        name = item.name or f"Loop:{item.output[0]}"
        axes, rows = self._add_constant(f"{name}.axes", np.zeros(1, dtype=np.int64)), []
        for part in parts:
            rows.append(self.draft.fresh_tensor(f"{name}.row"))
            self.draft.add(Operator(name=rows[-1], kind="Unsqueeze", inputs=(part, axes), outputs=(rows[-1],)))
        stack = self.draft.fresh_tensor(f"{name}.stack")
        self.draft.add(Operator(name=stack, kind="Concat", inputs=tuple(rows), outputs=(stack,), attributes={"axis": 0}))
        return stack

    def _attribute(self, attribute: Any) -> Any:
        onnx = need_onnx()
        value = onnx.helper.get_attribute_value(attribute)
        match value:
            case bytes():
                return value.decode("utf-8", "replace")
            case onnx.TensorProto():
                return self.file.array(value)
            case onnx.GraphProto() | int() | float():
                return value
            case _ if hasattr(value, "__iter__"):
                return tuple(part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in value)
            case _:
                return value

    def _constant(self, item: Any, attributes: Mapping[str, Any]) -> Array:
        for name, value in attributes.items():
            if name == "value":
                found: Array = value
                return found
            if name in CONSTANT_VALUES:
                return np.asarray(value, dtype=CONSTANT_VALUES[name])
            if name in ("value_string", "value_strings"):
                return np.asarray(value)
        raise FileFormatError(path=f"{self.file.path} node {item.name!r} (Constant)", rule="a plain value", value=list(attributes))

    def _weights(self, graph: Any) -> Iterator[tuple[str, Array]]:
        """Yield the floating-point tensors of a graph and the graphs inside it, scalars left out."""
        for item in graph.initializer:
            yield from _floats(item.name, self.file.array(item))
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    yield from _floats(node.output[0], self.file.array(attribute.t))
            for inner in _subgraphs(node):
                yield from self._weights(inner)


def _floats(name: str, value: Array) -> Iterator[tuple[str, Array]]:
    if value.ndim and value.dtype.kind == "f":
        yield name, value


def _graph_types() -> tuple[int, ...]:
    kinds = need_onnx().AttributeProto
    return kinds.GRAPH, kinds.GRAPHS


def _operators(graph: Any) -> int:
    """Return the number of nodes of a graph and the graphs inside it, at least 1."""
    return max(1, len(graph.node) + sum(_operators(inner) for node in graph.node for inner in _subgraphs(node)))


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.type == need_onnx().AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
