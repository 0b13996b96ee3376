"""What an operator kind is: a function that computes it, and a rule for the shapes that it gives.

A shape rule is a function of the same form as the one that computes. It is called with *placeholders* in place of unknown
values: arrays of the right shape and type that hold one zero in memory (all strides are 0). Where computing on placeholders
costs nothing (whatever only moves elements), the computing function is its own shape rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.model.network import Array, Operator


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operator: its inputs by position, None where an optional one is not given, and its attributes."""

    operator: Operator
    values: Sequence[Array | None]

    @property
    def path(self) -> str:
        """How errors name the operator."""
        return f"operator {self.operator}"

    def __len__(self) -> int:
        return len(self.values)

    def maybe(self, place: int) -> Array | None:
        """Return an input, or None where it is not given."""
        return self.values[place] if place < len(self.values) else None

    def array(self, place: int) -> Array:
        """Return an input. Raises :class:`FieldError` where it is not given."""
        found = self.maybe(place)
        if found is None:
            raise FieldError(path=f"{self.path}.input[{place}]", rule="given", value=None)
        return found

    def arrays(self) -> list[Array]:
        """Return all inputs of an operator that takes any number of them."""
        return [self.array(place) for place in range(len(self.values))]

    def list_of_integers(self, place: int) -> list[int] | None:
        """Return an input that lists axes or sizes, or None where it is not given."""
        found = self.maybe(place)
        return None if found is None else [int(item) for item in found.reshape(-1)]

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an attribute. Raises :class:`FieldError` where it is absent and has no default, or is of another type."""
        found = self.operator.attributes.get(name, default)
        if not isinstance(found, int):
            raise FieldError(path=f"{self.path}.{name}", rule="an integer", value=found)
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """Return an attribute, as :meth:`integer`."""
        found = self.operator.attributes.get(name, default)
        if not isinstance(found, int | float):
            raise FieldError(path=f"{self.path}.{name}", rule="a number", value=found)
        return float(found)

    def text(self, name: str, default: str | None = None, legal: Sequence[str] = ()) -> str:
        """Return an attribute, as :meth:`integer`; it must be one of ``legal`` where these are given."""
        found = self.operator.attributes.get(name, default)
        if not isinstance(found, str) or (legal and found not in legal):
            raise FieldError(path=f"{self.path}.{name}", rule="a supported setting", value=found, legal=legal)
        return found

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return an attribute that lists integers, as :meth:`integer`."""
        found = self.operator.attributes.get(name, default)
        if not isinstance(found, Sequence) or isinstance(found, str) or not all(isinstance(item, int) for item in found):
            raise FieldError(path=f"{self.path}.{name}", rule="a list of integers", value=found)
        return tuple(int(item) for item in found)

    def has(self, name: str) -> bool:
        """Whether an attribute is given."""
        return name in self.operator.attributes

    def refuse(self, name: str, default: int | float | str) -> None:
        """Raise :class:`FieldError` where an attribute that is not supported has another value than its default."""
        found = self.operator.attributes.get(name, default)
        if found != default:
            raise FieldError(path=f"{self.path}.{name}", rule=f"{default!r}, the only supported setting", value=found)


Rule = Callable[[Call], tuple[Array, ...]]
Index = tuple[Any, ...]  # numpy's types know no index that mixes slices and numbers


@dataclass(frozen=True, slots=True)
class OperatorKind:
    """How an operator is computed.

    ``shape`` is None where ``run`` on placeholders is quick enough. ``static`` are the inputs whose values decide shapes: they must be
    constants when a network is imported.
    """

    run: Rule
    shape: Rule | None = None
    static: tuple[int, ...] = ()


def placeholder(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """Return an array of zeros of any shape that takes one element of memory."""
    return np.broadcast_to(np.zeros((), dtype=dtype), tuple(shape))


def same_as_first(call: Call) -> tuple[Array, ...]:
    """Shape rule: the output is like the first input."""
    first = call.array(0)
    return (placeholder(first.shape, first.dtype),)


def elementwise(run: Rule) -> OperatorKind:
    """Return an operator that works element by element on inputs broadcast to one shape."""

    def shape(call: Call) -> tuple[Array, ...]:
        present = [value for value in call.values if value is not None]
        singles = [None if value is None else np.ones((), dtype=value.dtype) for value in call.values]
        (single,) = run(Call(call.operator, singles))
        return (placeholder(np.broadcast_shapes(*(value.shape for value in present)), single.dtype),)

    return OperatorKind(run, shape)


def axis_of(call: Call, axis: int, rank: int) -> int:
    """Return an axis counted from the front. Raises :class:`FieldError` for one that the tensor has not."""
    if not -rank <= axis < rank:
        raise FieldError(path=f"{call.path}.axis", rule=f"from {-rank} to {rank - 1}", value=axis)
    return axis % rank
