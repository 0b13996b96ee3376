"""Whether an imported network computes what its source computes: both run on the same random input.

The error of an output is ``max |ours - theirs| / max |theirs|``. Both sides compute in float32 and sum in different orders; a sum of n
products differs by about ``sqrt(n) 2**-24`` of its terms' size, and a few dozen layers add up to some 1e-6. More than :data:`TOLERANCE`
is no rounding but another function. Integers must be equal.

A network that rounds to 8 bits on the way is no continuous function: a difference in the last place of a float becomes a whole step where
the value lies between two, and layers behind it make more of it. There the outputs say little, and all tensors are compared, each
computed from the other side's own (:func:`compare_one_by_one`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qsim.errors import FileFormatError
from qsim.model.network import Array, Network
from qsim.model.reference import behind_holes, compute, run
from qsim.progress import Progress, silent

TOLERANCE = 1e-4
ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear")
NAMED = 5  # tensors in an error

Reference = Callable[[Mapping[str, Array]], Sequence[Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputError:
    """Error of one output, relative to the output's largest magnitude ``scale``."""

    output: str
    error: float
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The result of a comparison with ``against``; ``unchecked`` are outputs that depend on a hole.

    ``tensors`` are those compared one by one inside a network that rounds, none in any other.
    """

    against: str
    seed: int
    outputs: tuple[OutputError, ...]
    unchecked: tuple[str, ...] = ()
    tensors: tuple[OutputError, ...] = ()

    @property
    def max_error(self) -> float | None:
        """The largest error of all outputs and tensors, or None where none could be compared."""
        return max((found.error for found in (*self.outputs, *self.tensors)), default=None)


def random_inputs(network: Network, seed: int) -> dict[str, Array]:
    """Return inputs: standard normal floats; integers that index a table of n rows from 0 to n - 1, of 8 bits any, others 0 or 1; random
    truth values.
    """
    rng, found = np.random.default_rng(seed), {}
    for name in network.inputs:
        expected = network.tensors[name]
        if expected.dtype in (np.int8, np.uint8):  # pixels and the like: no operator has indices of 8 bits
            limits = np.iinfo(expected.dtype)
            found[name] = rng.integers(limits.min, limits.max, expected.shape, dtype=expected.dtype, endpoint=True)
        elif expected.dtype.kind in "iub":
            most = 2 if expected.dtype.kind == "b" else _rows_indexed(network, name)
            found[name] = rng.integers(0, most, expected.shape).astype(expected.dtype)
        else:
            found[name] = rng.standard_normal(expected.shape).astype(expected.dtype)
    return found


def _rows_indexed(network: Network, name: str) -> int:
    """Return how many rows the table has that an input indexes, 2 where it indexes none."""
    for operator in network.operators:
        if operator.kind == "Gather" and operator.inputs[1] == name and operator.inputs[0] in network.constants:
            axis = operator.attributes.get("axis", 0)
            return int(network.constants[operator.inputs[0]].shape[axis if isinstance(axis, int) else 0])
    return 2


def compare(
    network: Network,
    reference: Reference,
    *,
    against: str,
    inputs: Mapping[str, Array] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Agreement:
    """Run the network and ``reference`` (inputs to outputs, in the network's order) and compare all outputs that depend on no hole.

    ``inputs`` are random from ``seed`` unless given. Raises :class:`FileFormatError` naming the outputs that differ by more than
    ``tolerance``.
    """
    feed, lost = inputs or random_inputs(network, seed), behind_holes(network)
    checked = [output for output in network.outputs if output not in lost]
    unchecked = tuple(output for output in network.outputs if output in lost)
    if not checked:
        return Agreement(against=against, seed=seed, outputs=(), unchecked=unchecked)
    theirs = dict(zip(network.outputs, reference(feed), strict=True))
    ours = run(network, feed, only=checked, progress=progress)
    errors = tuple(output_error(name, ours[name], theirs[name]) for name in checked)
    _refuse(network, errors, against, tolerance, "outputs")
    return Agreement(against=against, seed=seed, outputs=errors, unchecked=unchecked)


def rounds(network: Network) -> bool:
    """Whether a network rounds activations to few bits on the way from its inputs to its outputs."""
    return any(operator.kind in ROUNDING for operator in network.operators)


def compare_one_by_one(
    network: Network,
    reference: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    *,
    against: str,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Agreement:
    """Compare every tensor that ``reference`` (inputs to tensors by name) has too, and go on with its value.

    So each operator is seen alone, and a step that falls the other way is not carried on; what a hole gives is taken from ``reference``.
    Inputs are random from ``seed``. Raises :class:`FileFormatError` naming the first tensors that differ by more than ``tolerance``.
    """
    feed, holes = random_inputs(network, seed), {hole.operator for hole in network.holes}
    theirs, errors = reference(feed), dict[str, OutputError]()
    values: dict[str, Array] = {**network.constants, **feed}
    uses = Counter(tensor for operator in network.operators for tensor in operator.inputs)
    for done, operator in enumerate(network.operators, 1):
        known = operator.name not in holes and all(not tensor or tensor in values for tensor in operator.inputs)
        found = compute(operator, values) if known else {}
        errors.update({name: output_error(name, value, theirs[name]) for name, value in found.items() if name in theirs})
        values.update(found)
        values.update({name: theirs[name] for name in operator.outputs if name in theirs})
        for tensor in operator.inputs:
            uses[tensor] -= 1
            if tensor and not uses[tensor]:
                values.pop(tensor, None)
        progress("reference", done, len(network.operators))
    _refuse(network, tuple(errors.values()), against, tolerance, "tensors")
    return Agreement(
        against=against,
        seed=seed,
        outputs=tuple(errors[name] for name in network.outputs if name in errors),
        unchecked=tuple(name for name in network.outputs if name not in errors),
        tensors=tuple(found for name, found in errors.items() if name not in network.outputs),
    )


def _refuse(network: Network, errors: Sequence[OutputError], against: str, tolerance: float, what: str) -> None:
    """Raise :class:`FileFormatError` naming what differs by more than ``tolerance``."""
    wrong = [f"{found.output!r} by {found.error:.2g}" for found in errors if not found.error <= tolerance]
    if wrong:
        more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        rule = f"differ from {against} by more than {tolerance:g} of their size"
        raise FileFormatError(f"{network.source}: {what} {rule}: {', '.join(wrong[:NAMED])}{more}")


def output_error(name: str, ours: Array, theirs: Array) -> OutputError:
    """Return the error of one output; infinite for another shape, and where only one side is finite."""
    if ours.shape != theirs.shape or ours.size == 0:
        return OutputError(output=name, error=0.0 if ours.shape == theirs.shape else np.inf, scale=0.0)
    if ours.dtype.kind in "iub":
        return OutputError(output=name, error=0.0 if np.array_equal(ours, theirs) else np.inf, scale=float(np.abs(theirs).max()))
    finite = np.isfinite(theirs)
    same = np.array_equal(ours[~finite], theirs[~finite], equal_nan=True) and bool(np.isfinite(ours[finite]).all())
    wide = theirs[finite].astype(np.float64)
    scale = float(np.abs(wide).max(initial=0.0))
    difference = float(np.abs(ours[finite].astype(np.float64) - wide).max(initial=0.0))
    error = difference / scale if scale else difference
    return OutputError(output=name, error=error if same else np.inf, scale=scale)
