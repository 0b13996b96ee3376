"""A grid of machines: one file simulated on every combination of parameter values.

One impossible point does not kill a sweep: it becomes a row with its reason. Points run in parallel processes through dask, which takes
the same call to a cluster.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsim.arch.architecture import Architecture
from qsim.errors import MissingExtra, QsimError
from qsim.model.compressed import CompressedModel
from qsim.results import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of the grid: the values by dotted path, and either its result or why there is none."""

    values: Mapping[str, Any]
    result: RunResult | None
    reason: str = ""


def grid(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values, the last axis fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def sweep(
    model: Path,
    machine: Architecture,
    axes: Mapping[str, Sequence[Any]],
    *,
    technology: str,
    images: Sequence[int],
    data: Path | None = None,
    workers: int = 2,
) -> list[Point]:
    """Simulate ``model`` on ``machine`` at every point of the grid ``axes`` (dotted field path to values).

    Raises :class:`MissingExtra` without dask and, for a file, technology or images that no point could be simulated with, what
    :func:`qsim.run.run_file` raises.
    """
    from qsim.energy.loader import load_technology
    from qsim.run import check_images
    from workloads.mnist import load_test

    try:
        from dask.base import compute
        from dask.delayed import delayed
    except ImportError as error:
        raise MissingExtra("sweep", "a sweep over machine parameters") from error
    CompressedModel.load(model)
    load_technology(technology)
    check_images(images, load_test(data))
    tasks = [delayed(simulate_point)(model, machine, values, technology, tuple(images), data) for values in grid(axes)]
    points: tuple[Point, ...] = compute(*tasks, scheduler="processes" if workers > 1 else "synchronous", num_workers=workers)
    return list(points)


def simulate_point(
    model: Path, machine: Architecture, values: Mapping[str, Any], technology: str, images: tuple[int, ...], data: Path | None
) -> Point:
    """Simulate one point; a user's mistake at this point is its ``reason``."""
    from qsim.run import run_file

    try:
        for path, value in values.items():
            machine = machine.replace(path, value)
        result = run_file(model, machine, technology=technology, images=images, data=data)
    except QsimError as error:
        return Point(values=dict(values), result=None, reason=str(error))
    return Point(values=dict(values), result=result)
