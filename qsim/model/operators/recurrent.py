"""LSTM, GRU and simple recurrent layers, in ONNX's order of gates and weights.

Inputs: X [steps, batch, features], W [directions, gates x hidden, features], R [directions, gates x hidden, hidden],
B [directions, 2 x gates x hidden] (of W, then of R), lengths [batch], initial h [directions, batch, hidden]; LSTM: initial c as h,
peepholes P [directions, 3 x hidden]. Outputs: Y [steps, directions, batch, hidden], last h, and for an LSTM last c.
"""

from collections.abc import Callable, Sequence

import numpy as np

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.elementwise import sigmoid
from qsim.model.operators.kind import Call, OperatorKind, placeholder

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ACTIVATIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
States = tuple[Array, ...]
Step = Callable[[Array, States], States]


def _check(call: Call) -> tuple[bool, ...]:
    """Return for each direction whether it runs backwards. Raises :class:`FieldError` for what is not supported."""
    kind, x = call.operator.kind, call.array(0)
    for name in ("layout", "input_forget", "clip"):
        call.refuse(name, 0)
    directions = DIRECTIONS[call.text("direction", "forward", tuple(DIRECTIONS))]
    hidden, weights = call.array(2).shape[-1], call.array(1)
    if x.ndim != 3 or weights.shape != (len(directions), GATES[kind] * hidden, x.shape[-1]):
        rule = f"{len(directions)} x {GATES[kind] * hidden} x {x.shape[-1]}"
        raise FieldError(path=f"{call.path}.W", rule=rule, value=list(weights.shape))
    given = call.operator.attributes.get("activations", ())
    names = tuple(str(name).lower() for name in given) if isinstance(given, tuple) else ()
    if names and names != ACTIVATIONS[kind] * len(directions) and not (kind == "RNN" and set(names) == {"relu"}):
        raise FieldError(path=f"{call.path}.activations", rule=f"{ACTIVATIONS[kind]} in every direction", value=names)
    return directions


def _shape(call: Call) -> tuple[Array, ...]:
    directions, x, hidden = _check(call), call.array(0), call.array(2).shape[-1]
    every = placeholder((x.shape[0], len(directions), x.shape[1], hidden), x.dtype)
    last = placeholder((len(directions), x.shape[1], hidden), x.dtype)
    return (every, last, last) if call.operator.kind == "LSTM" else (every, last)


def _run(call: Call, step_of: Callable[[Call, int], Step], states: int) -> tuple[Array, ...]:
    """Run every direction step by step; the products with the inputs of all steps are one matrix product."""
    directions, x, hidden = _check(call), call.array(0), call.array(2).shape[-1]
    lengths, bias = call.maybe(4), call.maybe(3)
    if lengths is not None and (lengths != x.shape[0]).any():
        raise FieldError(path=f"{call.path}.sequence_lens", rule=f"{x.shape[0]} for every sequence", value=lengths.tolist())
    every = np.empty((x.shape[0], len(directions), x.shape[1], hidden), dtype=x.dtype)
    last: list[list[Array]] = [[] for _ in range(states)]
    for number, backwards in enumerate(directions):
        inputs = x @ call.array(1)[number].T
        if bias is not None:
            inputs = inputs + bias[number, : inputs.shape[-1]]
        state = tuple(_initial(call, place, number, every) for place in range(5, 5 + states))
        step = step_of(call, number)
        for time in range(x.shape[0])[:: -1 if backwards else 1]:
            state = step(inputs[time], state)
            every[time, number] = state[0]
        for kept, value in zip(last, state, strict=True):
            kept.append(value)
    return (every, *(np.stack(values) for values in last))


def _initial(call: Call, place: int, number: int, every: Array) -> Array:
    given = call.maybe(place)
    return np.zeros_like(every[0, 0]) if given is None else given[number]


def _recurrent_bias(call: Call, number: int) -> Array:
    """Return the bias of R [gates x hidden], zero where none is given."""
    bias, height = call.maybe(3), call.array(2).shape[1]
    return np.zeros(height, dtype=call.array(0).dtype) if bias is None else bias[number, height:]


def _lstm_step(call: Call, number: int) -> Step:
    matrix, bias, peepholes = call.array(2)[number].T, _recurrent_bias(call, number), call.maybe(7)
    peeps: Sequence[Array | int] = (0, 0, 0) if peepholes is None else np.split(peepholes[number], 3)

    def step(inputs: Array, state: States) -> States:
        h, c = state
        into, out, forget, cell = np.split(inputs + h @ matrix + bias, 4, axis=-1)
        c = sigmoid(forget + peeps[2] * c) * c + sigmoid(into + peeps[0] * c) * np.tanh(cell)
        return sigmoid(out + peeps[1] * c) * np.tanh(c), c

    return step


def _gru_step(call: Call, number: int) -> Step:
    matrix, bias = call.array(2)[number].T, _recurrent_bias(call, number)
    hidden, linear = call.array(2).shape[-1], call.integer("linear_before_reset", 0)

    def step(inputs: Array, state: States) -> States:
        (h,) = state
        gates = sigmoid(inputs[:, : 2 * hidden] + h @ matrix[:, : 2 * hidden] + bias[: 2 * hidden])
        update, reset = gates[:, :hidden], gates[:, hidden:]
        if linear:
            inner = reset * (h @ matrix[:, 2 * hidden :] + bias[2 * hidden :])
        else:
            inner = (reset * h) @ matrix[:, 2 * hidden :] + bias[2 * hidden :]
        return ((1 - update) * np.tanh(inputs[:, 2 * hidden :] + inner) + update * h,)

    return step


def _rnn_step(call: Call, number: int) -> Step:
    matrix, bias = call.array(2)[number].T, _recurrent_bias(call, number)
    names = call.operator.attributes.get("activations", ("Tanh",))
    relu = isinstance(names, tuple) and str(names[0]).lower() == "relu"

    def step(inputs: Array, state: States) -> States:
        total = inputs + state[0] @ matrix + bias
        return (np.maximum(total, 0) if relu else np.tanh(total),)

    return step


def _kind(step_of: Callable[[Call, int], Step], states: int) -> OperatorKind:
    return OperatorKind(lambda call: _run(call, step_of, states), _shape)


RECURRENT = {"LSTM": _kind(_lstm_step, 2), "GRU": _kind(_gru_step, 1), "RNN": _kind(_rnn_step, 1)}
