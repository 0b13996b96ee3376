"""Reading networks from ONNX files.

Weights are taken wherever exporters put them: initializers, Constant nodes, subgraphs of If, external data. An If whose condition is
constant, once all sizes are fixed, is replaced by its branch. A Loop, a Scan or an If that depends on data is a hole; the weights
inside it are listed all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
            name = self.draft.fresh_tensor(item.name)
            scope[item.name] = self.draft.add_constant(name, self.file.array(item), weight=True)
        for done, item in enumerate(graph.node, 1):
            self._node(item, scope)
            if top:
                self.progress("operators", done, len(graph.node))

    def _node(self, item: Any, scope: dict[str, str]) -> None:
        attributes = {attribute.name: self._attribute(attribute) for attribute in item.attribute}
        kind = item.op_type if item.domain in ONNX_DOMAINS else f"{item.domain}.{item.op_type}"
        inputs = tuple(scope[name] if name else "" for name in item.input)
        if kind == "If":
            return self._if(item, inputs[0], attributes, scope)
        outputs = tuple(self.draft.fresh_tensor(name) if name else "" for name in item.output)
        scope.update({name: found for name, found in zip(item.output, outputs, strict=True) if name})
        if kind == "Constant":
            value = self._constant(item, attributes)
            self.draft.add_constant(outputs[0], value, weight=value.size > 1)
            return None
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
            outputs = tuple(self.draft.fresh_tensor(name) if name else "" for name in item.output)
            scope.update({name: found for name, found in zip(item.output, outputs, strict=True) if name})
            node = Node(
                name=item.name or f"If:{outputs[0]}", kind="If", inputs=(condition,), outputs=outputs, attributes={},
                operator_set=self.file.operator_set, add_constant=self._add_constant,
            )  # fmt: skip
            return self._hole(node, "its condition depends on data", item)
        branch = attributes["then_branch" if bool(value.reshape(())) else "else_branch"]
        inner = dict(scope)
        self._graph(branch, inner)
        for name, result in zip(item.output, branch.output, strict=True):
            if name:
                scope[name] = self.draft.fresh_tensor(name)
                self.draft.aliases[scope[name]] = inner[result.name]
        return None

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


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.type == need_onnx().AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
