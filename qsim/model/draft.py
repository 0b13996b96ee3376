"""A network while an importer builds it: every operator is typed, and computed at once where all that it reads is constant.

Shape computations of exporters (Shape, Gather, Concat, Reshape, ...) disappear by this: with all sizes fixed they are constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qsim.errors import FieldError, FileFormatError, UnsupportedProgram
from qsim.model.network import Array, Hole, Network, Operator, TensorType
from qsim.model.operators import OPERATORS
from qsim.model.operators.kind import Call, placeholder
from qsim.model.operators.recurrent import RECURRENT

SHAPE_QUESTIONS = ("Shape", "Size")
NAMED_HOLES = 5
MOST_FOLDED = 1 << 28  # about twice VGG-16: a small hostile file must not ask for all memory
LAYERS = ("Conv", "ConvTranspose", "Gemm", "LSTM", "GRU", "RNN")


@dataclass(kw_only=True)
class Draft:
    """A network under construction.

    ``hints`` are tensor types known from elsewhere (ONNX shape inference); they are used only where a hole hides a shape. ``values``
    holds a constant's value or, for any other tensor of known type, a placeholder; ``aliases`` leads from a name to the tensor it
    stands for.
    """

    name: str
    source: str
    hints: Mapping[str, TensorType] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    weights: set[str] = field(default_factory=set)
    _names: dict[str, int] = field(default_factory=dict)
    _tensors: dict[str, int] = field(default_factory=dict)
    _folded: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)

    def add_input(self, name: str, found: TensorType) -> None:
        """Declare an input."""
        self.inputs.append(self.fresh_tensor(name))
        self.values[name] = placeholder(found.shape, found.dtype)

    def add_constant(self, name: str, value: Array, *, weight: bool = False) -> str:
        """Store a constant under a name and return the name; ``weight`` where it was trained."""
        self.constants[name] = self.values[name] = value
        if weight:
            self.weights.add(name)
        return name

    def fresh(self, name: str) -> str:
        """Return ``name``, or, where an operator already has it, the name with a number."""
        return _fresh(name, self._names)

    def fresh_tensor(self, name: str) -> str:
        """Return a name for a tensor that no other has: names in subgraphs may repeat."""
        return _fresh(name, self._tensors)

    def resolve(self, tensor: str) -> str:
        """Return the tensor that a name stands for."""
        while tensor in self.aliases:
            tensor = self.aliases[tensor]
        return tensor

    def constant(self, tensor: str) -> Array | None:
        """Return the value of a constant, or None for any other tensor."""
        return self.constants.get(self.resolve(tensor))

    def add(self, operator: Operator) -> None:
        """Append an operator: type it, or compute it where all its inputs are constant.

        Raises :class:`FileFormatError` for inputs that do not fit the operator. One that nobody can compute becomes a hole.
        """
        operator = replace(operator, name=self.fresh(operator.name), inputs=tuple(map(self.resolve, operator.inputs)))
        if operator.kind not in OPERATORS:
            return self.add_hole(operator, "no such operator here")
        unknown = [tensor for tensor in operator.inputs if tensor and tensor not in self.values]
        moving = [tensor for tensor in operator.inputs if tensor and tensor not in self.constants]
        if operator.kind == "Identity":
            self.aliases[operator.outputs[0]] = operator.inputs[0]
            return None
        if unknown:
            return self._behind_a_hole(operator, unknown[0])
        try:
            if not moving or operator.kind in SHAPE_QUESTIONS:
                self._fold(operator)
            else:
                self._append(operator)
        except UnsupportedProgram as error:
            self.add_hole(operator, str(error))
        return None

    def add_hole(self, operator: Operator, reason: str, constants: Sequence[str] = (), *, behind: bool = False) -> None:
        """Append an operator that cannot be computed; its outputs have the types of the hints, if any."""
        operator = replace(operator, inputs=tuple(tensor for tensor in map(self.resolve, operator.inputs) if self._exists(tensor)))
        hole = Hole(operator=operator.name, kind=operator.kind, reason=reason, constants=tuple(constants), behind=behind)
        self.holes.append(hole)
        self._append_untyped(operator)

    def _exists(self, tensor: str) -> bool:
        return tensor in self.values or any(tensor in operator.outputs for operator in self.operators)

    def _append_untyped(self, operator: Operator) -> None:
        self.operators.append(operator)
        for tensor in operator.outputs:
            if tensor in self.hints:
                self.values[tensor] = placeholder(self.hints[tensor].shape, self.hints[tensor].dtype)

    def _behind_a_hole(self, operator: Operator, tensor: str) -> None:
        if all(output in self.hints for output in operator.outputs if output):
            self._append_untyped(operator)
        else:
            self.add_hole(operator, f"the shape of its input {tensor!r} is unknown behind a hole", behind=True)

    def _append(self, operator: Operator) -> None:
        kind = OPERATORS[operator.kind]
        for place in kind.static:
            if place < len(operator.inputs) and operator.inputs[place] and operator.inputs[place] not in self.constants:
                raise UnsupportedProgram(f"its shape depends on data, on {operator.inputs[place]!r}")
        found = self._call(operator, compute=False)
        self.operators.append(operator)
        self.values.update({name: placeholder(value.shape, value.dtype) for name, value in found.items()})

    def _fold(self, operator: Operator) -> None:
        """Compute a constant, or find it: what is made of the same constants in the same way, as in unrolled loops, is one."""
        key = operator.kind, operator.inputs, tuple(sorted(operator.attributes.items())), tuple(map(bool, operator.outputs))
        if key in self._folded:
            self.aliases.update({name: known for name, known in zip(operator.outputs, self._folded[key], strict=True) if name})
            return
        if OPERATORS[operator.kind].shape is not None:
            for value in self._call(operator, compute=False).values():
                if value.size > MOST_FOLDED:
                    rule = f"a constant of at most {MOST_FOLDED} elements"
                    raise FileFormatError(path=f"operator {operator}", rule=rule, value=list(value.shape))
        read = {id(self.values[tensor]): tensor for tensor in operator.inputs if tensor}
        for name, value in self._call(operator, compute=True).items():
            if id(value) in read:
                self.aliases[name] = read[id(value)]
            else:
                self.add_constant(name, value, weight=not self.weights.isdisjoint(operator.inputs))
        self._folded[key] = operator.outputs

    def _call(self, operator: Operator, *, compute: bool) -> dict[str, Array]:
        kind = OPERATORS[operator.kind]
        call = Call(operator, [self.values[tensor] if tensor else None for tensor in operator.inputs])
        rule = kind.run if compute or kind.shape is None else kind.shape
        try:
            with np.errstate(all="ignore"):
                found = rule(call)
        except FieldError as error:
            if error.legal or (error.rule or "").endswith("the only supported setting"):
                raise UnsupportedProgram(str(error)) from error
            raise FileFormatError(str(error)) from error
        except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
            shapes = [list(value.shape) for value in call.values if value is not None]
            raise FileFormatError(path=call.path, rule=f"used as its meaning allows ({error})", value=shapes) from error
        if len(found) < sum(1 for tensor in operator.outputs if tensor):
            raise UnsupportedProgram(f"{call.path}: its output number {len(found) + 1} is not supported")
        return {name: value for name, value in zip(operator.outputs, found, strict=False) if name}

    def _named(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """Give every output of the network its own name again where it stands for a tensor that an operator makes."""
        made = {tensor for operator in self.operators for tensor in operator.outputs}
        names: dict[str, str] = {}
        for output in outputs:
            found = self.resolve(output)
            if found != output and found in made and found not in names and found not in outputs:
                names[found] = output
        self.operators = [_renamed(operator, names) for operator in self.operators]
        self.values.update({new: self.values[old] for old, new in names.items() if old in self.values})
        return tuple(names.get(found, found) for found in map(self.resolve, outputs))

    def _zero_states(self, operators: Sequence[Operator]) -> set[str]:
        """Return the constants that are only zero initial states of recurrent layers: exporters write them beside the weights."""
        states = {tensor for operator in operators if operator.kind in RECURRENT for tensor in operator.inputs[5:7]}
        others = {
            tensor for operator in operators for place, tensor in enumerate(operator.inputs)
            if operator.kind not in RECURRENT or place not in (5, 6)
        }  # fmt: skip
        return {name for name in states - others if name in self.constants and not self.constants[name].any()}

    def finish(self, outputs: Sequence[str], *, allow_unsupported: bool) -> Network:
        """Return the network: what no output depends on is dropped.

        Raises :class:`FileFormatError` naming the holes unless ``allow_unsupported``.
        """
        outputs = self._named(outputs)
        operators = _alive(self.operators, outputs)
        names = {operator.name for operator in operators}
        holes = tuple(hole for hole in self.holes if hole.operator in names)
        if holes and not allow_unsupported:
            raise FileFormatError(f"{self.source}: {unsupported_text(holes)}")
        read = {tensor for operator in operators for tensor in operator.inputs}
        read.update(outputs, *(hole.constants for hole in holes))
        made = [*self.inputs, *(tensor for operator in operators for tensor in operator.outputs if tensor)]
        return Network(
            name=self.name,
            inputs=tuple(self.inputs),
            outputs=outputs,
            operators=tuple(operators),
            constants={name: value for name, value in self.constants.items() if name in read},
            tensors={name: TensorType(self.values[name].shape, self.values[name].dtype) for name in made if name in self.values},
            source=self.source,
            holes=holes,
            weights=frozenset(((self.weights & read) | _read_by_layers(operators)) & set(self.constants)) - self._zero_states(operators),
        )


def _read_by_layers(operators: Sequence[Operator]) -> set[str]:
    """Return what layers read as weights, wherever it came from: a bias of one element may lie in a Constant node."""
    return {tensor for operator in operators if operator.kind in LAYERS for tensor in operator.inputs[1:4] if tensor}


def _renamed(operator: Operator, names: Mapping[str, str]) -> Operator:
    return replace(
        operator,
        inputs=tuple(names.get(tensor, tensor) for tensor in operator.inputs),
        outputs=tuple(names.get(tensor, tensor) for tensor in operator.outputs),
    )


def _fresh(name: str, taken: dict[str, int]) -> str:
    """Return ``name`` or, where it is taken, the name with a number; ``taken`` holds the last number that each name was given."""
    if name not in taken:
        taken[name] = 1
        return name
    while (found := f"{name}_{taken[name] + 1}") in taken:
        taken[name] += 1
    taken[name] += 1
    taken[found] = 1
    return found


def _alive(operators: Sequence[Operator], outputs: Sequence[str]) -> list[Operator]:
    wanted, found = set(outputs), []
    for operator in reversed(operators):
        if wanted.intersection(tensor for tensor in operator.outputs if tensor):
            wanted.update(operator.inputs)
            found.append(operator)
    return found[::-1]


def unsupported_text(holes: Sequence[Hole]) -> str:
    """Return one line that names the operators which cannot be computed; those whose shapes are only hidden are counted."""
    causes = [hole for hole in holes if not hole.behind]
    named = "; ".join(map(str, causes[:NAMED_HOLES]))
    more = f"; and {len(causes) - NAMED_HOLES} more" if len(causes) > NAMED_HOLES else ""
    hidden = f"; {len(holes) - len(causes)} behind them have unknown shapes" if len(causes) < len(holes) else ""
    return f"{len(causes)} operator{'s' * (len(causes) > 1)} not supported: {named}{more}{hidden}"
