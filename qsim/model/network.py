"""The float network as data: a directed acyclic graph of operators over named tensors.

Every value that flows is a *tensor* with a name. It is an input of the network, a constant, or the output of exactly one
operator. Operators stand in an order in which every one comes after those that feed it. What a kind of operator computes
is said in one table, :data:`qsim.model.operators.OPERATORS`: a subset of the ONNX operators in the meaning of their newest
version. Importers translate into this vocabulary, so that there is one meaning and one reference implementation.

All shapes are fixed numbers, the batch included. A *hole* is an operator that nobody here can compute: it keeps its place
and the shapes of what it gives where they are known, so that the layers around it can still be estimated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError

Array = npt.NDArray[Any]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of a tensor."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator: ``kind`` is its ONNX name, ``inputs`` and ``outputs`` are tensors by name.

    An empty name stands for an optional input that is not given or an output that nobody reads.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: NO_ATTRIBUTES)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """An operator by name that cannot be computed, with the reason; ``constants`` are the weights inside it, by name.

    ``behind``: it is supported, but a hole before it hides the shape of its input.
    """

    operator: str
    kind: str
    reason: str
    constants: tuple[str, ...] = ()
    behind: bool = False

    def __str__(self) -> str:
        return f"{self.operator!r} ({self.kind}): {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A float network.

    ``inputs`` and ``outputs`` are tensors by name. ``constants`` hold the weights in the type of the source (float32 stays
    float32), read-only, each once however many operators share it; ``weights`` names those that were trained, or computed from trained
    ones (the others are tables, masks, initial states). ``tensors`` gives the type of every input and every
    output of an operator; only one that depends on a hole may be missing. ``source`` says where the network came from;
    ``passes`` what was done to it since.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[str, Array]
    tensors: Mapping[str, TensorType]
    source: str = ""
    passes: tuple[str, ...] = ()
    holes: tuple[Hole, ...] = ()
    weights: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for value in self.constants.values():
            value.setflags(write=False)
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        self._check_order()
        if not self.holes:
            self._check_types()

    def _check_order(self) -> None:
        known, names = {"", *self.inputs, *self.constants}, set[str]()
        for operator in self.operators:
            if operator.name in names:
                raise FieldError(path="network.operators", rule="operators of distinct names", value=operator.name)
            names.add(operator.name)
            for tensor in operator.inputs:
                if tensor not in known:
                    raise FieldError(path=f"network operator {operator}", rule="fed by what comes before it", value=tensor)
            for tensor in operator.outputs:
                if tensor and tensor in known:
                    raise FieldError(path=f"network operator {operator}", rule="the only one that gives its tensors", value=tensor)
            known.update(operator.outputs)
        for tensor in self.outputs:
            if tensor not in known:
                raise FieldError(path="network.outputs", rule="tensors of the network", value=tensor)
        for hole in self.holes:
            if hole.operator not in names:
                raise FieldError(path="network.holes", rule="operators of the network", value=hole.operator)

    def _check_types(self) -> None:
        made = [tensor for operator in self.operators for tensor in operator.outputs if tensor]
        for tensor in (*self.inputs, *made):
            if tensor not in self.tensors:
                raise FieldError(path="network.tensors", rule="the type of every tensor", value=f"none for {tensor!r}")

    def type_of(self, tensor: str) -> TensorType:
        """Return the type of a tensor or constant. Raises :class:`FieldError` for one that is unknown, or unknown behind a hole."""
        if tensor in self.constants:
            constant = self.constants[tensor]
            return TensorType(constant.shape, constant.dtype)
        if tensor not in self.tensors:
            raise FieldError(path="tensor", rule="a tensor of known shape", value=tensor)
        return self.tensors[tensor]

    @property
    def parameters(self) -> int:
        """Number of weights: the elements of all floating-point weights that are no scalars; memory that two share counts once."""
        found = [self.constants[name] for name in self.weights]
        floats = [value for value in found if value.ndim and value.dtype.kind == "f"]
        return sum({(value.__array_interface__["data"][0], value.size): value.size for value in floats}.values())
