"""What a function that translates an ATen operator sees: the node's arguments by name, and a draft to append operators to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from qsim.errors import UnsupportedProgram
from qsim.model.draft import Draft
from qsim.model.network import Array, Attribute, Operator

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "BatchNormalization", "LayerNormalization")
Tensors = str | tuple[str, ...]


@dataclass
class Lowering:
    """Appends the operators of one program to ``draft``; ``tensors`` leads from a node of the program to the tensors it gives."""

    draft: Draft
    tensors: dict[Any, Any] = field(default_factory=dict)
    node: Any = None

    @property
    def module(self) -> str:
        """Path of the module in which the current node was called; empty for the whole network."""
        stack = list((self.node.meta.get("nn_module_stack") or {}).values())
        return str(stack[-1][0]) if stack else ""

    def name(self, kind: str) -> str:
        """Return the name of an operator: the module's path for its layer, otherwise path and node."""
        if not self.module:
            return str(self.node.name)
        return self.module if kind in LAYERS else f"{self.module}/{self.node.name}"

    def emit(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Append an operator with one output and return the output."""
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Attribute) -> tuple[str, ...]:
        """Append an operator with some outputs and return these."""
        names = tuple(self.draft.fresh_tensor(f"{self.node.name}.{place}" if place else self.node.name) for place in range(outputs))
        self.draft.add(Operator(name=self.name(kind), kind=kind, inputs=tuple(inputs), outputs=names, attributes=attributes))
        return tuple(self.draft.resolve(name) for name in names)

    def constant(self, value: Any, dtype: Any = None, name: str | None = None) -> str:
        """Store a constant and return its name; one with a ``name`` of its own is made of weights."""
        found = self.draft.fresh_tensor(name or f"{self.node.name}.constant")
        return self.draft.add_constant(found, np.asarray(value, dtype=dtype), weight=name is not None)

    def integers(self, values: Sequence[int]) -> str:
        """Store a list of integers (axes, sizes) and return its name."""
        return self.constant(list(values), np.int64)

    def value(self, tensor: str) -> Array:
        """Return the value of a constant. Raises :class:`UnsupportedProgram` for a tensor that is none."""
        found = self.draft.constant(tensor)
        if found is None:
            raise UnsupportedProgram(f"{tensor!r} must be a constant")
        return found

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._known(tensor).shape

    def dtype(self, tensor: str) -> np.dtype[Any]:
        """Return the element type of a tensor."""
        return self._known(tensor).dtype

    def _known(self, tensor: str) -> Array:
        tensor = self.draft.resolve(tensor)
        if tensor not in self.draft.values:
            raise UnsupportedProgram(f"the shape of its input {tensor!r} is unknown behind a hole")
        return self.draft.values[tensor]

    def cast(self, tensor: str, dtype: Any) -> str:
        """Return the tensor in another type."""
        wanted = np.dtype(dtype)
        return tensor if self.dtype(tensor) == wanted else self.emit("Cast", tensor, to=str(wanted))

    def operand(self, value: Any, dtype: Any) -> str:
        """Return a tensor or a number as a tensor of the given type."""
        return self.cast(value, dtype) if isinstance(value, str) else self.constant(value, dtype)

    def axis(self, tensor: str, axis: int) -> int:
        """Return an axis counted from the front."""
        return axis % max(1, len(self.shape(tensor)))


Arguments = Mapping[str, Any]
SimpleTranslation = Callable[[Lowering, Arguments], str]
Translation = Callable[[Lowering, Arguments], Tensors]


def numpy_type(dtype: torch.dtype) -> np.dtype[Any]:
    """Return numpy's name of a type."""
    return np.dtype(str(dtype).removeprefix("torch."))


def result_type(lowering: Lowering) -> np.dtype[Any]:
    """Return the type that PyTorch gives the node's (first) result."""
    found = lowering.node.meta["val"]
    return numpy_type((found[0] if isinstance(found, list | tuple) else found).dtype)


def result_shape(lowering: Lowering) -> tuple[int, ...]:
    """Return the shape that PyTorch gives the node's (first) result."""
    found = lowering.node.meta["val"]
    return tuple(int(size) for size in (found[0] if isinstance(found, list | tuple) else found).shape)
