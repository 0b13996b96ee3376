"""Resizing: nearest neighbour, linear and cubic interpolation, axis after axis.

Coordinates are computed in float32, as ONNX Runtime does: with a nearest neighbour, a half that is rounded decides. The cubic kernel is
that of Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29(6), 1981, equation 4, with ``a`` free
(``cubic_coeff_a``).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError
from qsim.model.network import Array
from qsim.model.operators.kind import Call, OperatorKind, axis_of, placeholder

Coordinates = npt.NDArray[np.float32]
Interpolation = Callable[[Call, Array, int, Coordinates], Array]
HALF = np.float32(0.5)
REACH = (-1, 0, 1, 2)  # of the cubic kernel, from the element before a place
TRANSFORMS = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST: dict[str, Callable[[Coordinates], Coordinates]] = {
    "round_prefer_floor": lambda x: np.ceil(x - HALF),
    "round_prefer_ceil": lambda x: np.floor(x + HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _target(call: Call) -> tuple[list[int], list[np.float32]]:
    """Return size and scale of every axis of the output. Raises :class:`FieldError` where neither scales nor sizes are given."""
    x = call.array(0)
    axes = [axis_of(call, axis, x.ndim) for axis in call.integers("axes", range(x.ndim))]
    sizes, scales = list(x.shape), [np.float32(1)] * x.ndim
    wanted, factors = call.list_of_integers(3), call.maybe(2)
    if wanted:
        call.refuse("keep_aspect_ratio_policy", "stretch")
        for axis, size in zip(axes, wanted, strict=True):
            sizes[axis], scales[axis] = size, np.float32(size) / np.float32(x.shape[axis])
    elif factors is not None and factors.size:
        for axis, scale in zip(axes, factors.reshape(-1).astype(np.float32), strict=True):
            sizes[axis], scales[axis] = int(np.floor(x.shape[axis] * scale)), scale
    else:
        raise FieldError(path=f"{call.path}.scales", rule="given where sizes are not", value=None)
    return sizes, scales


def _settings(call: Call) -> tuple[str, str, str]:
    """Return mode, transform and rounding. Raises :class:`FieldError` for those that are not supported."""
    call.refuse("antialias", 0)
    mode = call.text("mode", "nearest", tuple(INTERPOLATIONS))
    if mode != "cubic":
        call.refuse("exclude_outside", 0)
    transform = call.text("coordinate_transformation_mode", "half_pixel", TRANSFORMS)
    return mode, transform, call.text("nearest_mode", "round_prefer_floor", tuple(NEAREST))


def _shape(call: Call) -> tuple[Array]:
    _settings(call)
    return (placeholder(_target(call)[0], call.array(0).dtype),)


def _coordinates(transform: str, before: int, after: int, scale: np.float32) -> Coordinates:
    """Return where in the input each of ``after`` outputs lies, in units of its elements."""
    x = np.arange(after, dtype=np.float32)
    match transform:
        case "align_corners":
            return x * np.float32(before - 1) / np.float32(max(1, after - 1))
        case "asymmetric":
            return x / scale
        case "pytorch_half_pixel" if after == 1:
            return np.zeros_like(x)
        case "half_pixel_symmetric":
            offset = np.float32(before / 2) * (1 - np.float32(after) / (scale * np.float32(before)))
            return np.asarray(offset + (x + HALF) / scale - HALF, dtype=np.float32)
        case _:
            return (x + HALF) / scale - HALF


def _resize(call: Call) -> tuple[Array]:
    mode, transform, _ = _settings(call)
    x = call.array(0)
    sizes, scales = _target(call)
    for axis, (after, scale) in enumerate(zip(sizes, scales, strict=True)):
        if after == x.shape[axis] and scale == 1:
            continue
        places = _coordinates(transform, x.shape[axis], after, scale)
        x = INTERPOLATIONS[mode](call, x, axis, places)
    return (x,)


def _nearest(call: Call, x: Array, axis: int, places: Coordinates) -> Array:
    rounded = NEAREST[_settings(call)[2]](places)
    return np.take(x, np.clip(rounded, 0, x.shape[axis] - 1).astype(np.int64), axis=axis)


def _linear(call: Call, x: Array, axis: int, places: Coordinates) -> Array:
    places = np.clip(places, 0, x.shape[axis] - 1)
    lower = np.floor(places).astype(np.int64)
    upper = np.minimum(lower + 1, x.shape[axis] - 1)
    share = _along(places - lower, x, axis)
    return np.asarray(np.take(x, lower, axis=axis) * (1 - share) + np.take(x, upper, axis=axis) * share)


def _cubic(call: Call, x: Array, axis: int, places: Coordinates) -> Array:
    """Weigh four elements; beyond an edge lie copies of it or, with ``exclude_outside``, nothing, and the other weights grow to sum 1."""
    a = np.float32(call.number("cubic_coeff_a", -0.75))
    lower = np.floor(places).astype(np.int64)
    indices = [lower + step for step in REACH]
    factors = np.stack([_keys(np.abs(places - index), a) for index in indices]).astype(np.float32)
    if call.integer("exclude_outside", 0):
        factors *= [(index >= 0) & (index < x.shape[axis]) for index in indices]
        factors /= factors.sum(axis=0)
    inside = [np.clip(index, 0, x.shape[axis] - 1) for index in indices]
    parts = [np.take(x, index, axis=axis) * _along(factor, x, axis) for index, factor in zip(inside, factors, strict=True)]
    return np.asarray(sum(parts[1:], start=parts[0]))


def _keys(distance: Coordinates, a: np.float32) -> Coordinates:
    """Return the weight of an element at a ``distance`` of 0 to 2."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _along(values: Coordinates, x: Array, axis: int) -> Array:
    """Return one value for each element of an axis, in the type of ``x`` and shaped so that it meets the axis."""
    return values.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))


INTERPOLATIONS: dict[str, Interpolation] = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}
RESIZE = {"Resize": OperatorKind(_resize, _shape, static=(2, 3))}
