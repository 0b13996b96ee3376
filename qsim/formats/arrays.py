"""Read-only arrays: how frozen dataclasses hold numpy data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.errors import FieldError


def read_only(values: npt.ArrayLike, dtype: npt.DTypeLike, dimensions: int, path: str) -> npt.NDArray[Any]:
    """Return ``values`` as a read-only, contiguous array of integers or booleans with ``dimensions`` axes.

    An array that is already read-only and of the right type is shared, any other is copied, so that no caller can change
    a constructed object. Raises :class:`FieldError` naming ``path`` for floating-point data, for values that ``dtype``
    cannot hold, or for another number of axes.
    """
    found = np.asarray(values)
    if found.size == 0 and found.dtype == np.float64:
        found = found.astype(dtype)  # an empty list has no integer type of its own
    if found.dtype.kind not in "iub":
        raise FieldError(path=path, rule="an array of integers", value=str(found.dtype))
    if found.ndim != dimensions:
        raise FieldError(path=path, rule=f"an array with {dimensions} axes", value=list(found.shape))
    wanted = np.dtype(dtype)
    if found.dtype != wanted:
        check_range(found, *_limits(wanted), path)
    if found.dtype == wanted and not found.flags.writeable and found.flags.c_contiguous:
        return found
    array: npt.NDArray[Any] = np.array(found, dtype=wanted, order="C")
    array.setflags(write=False)
    return array


def check_range(values: npt.NDArray[Any], minimum: int, maximum: int, path: str) -> None:
    """Raise :class:`FieldError` naming ``path`` unless all ``values`` lie in ``minimum`` to ``maximum``."""
    if values.size == 0:
        return
    for extreme in (int(values.min()), int(values.max())):
        if not minimum <= extreme <= maximum:
            raise FieldError(path=path, rule=f"{minimum} to {maximum}", value=extreme)


def check_shape(values: npt.NDArray[Any], shape: Sequence[int], path: str) -> None:
    """Raise :class:`FieldError` naming ``path`` unless ``values`` has exactly ``shape``."""
    if values.shape != tuple(shape):
        raise FieldError(path=path, rule=f"of shape {list(shape)}", value=list(values.shape))


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
