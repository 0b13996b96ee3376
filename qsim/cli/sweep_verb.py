"""``qsim sweep``: one file over a grid of machine parameters."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsim.cli.options import OutFile, assignment, data_option, image_indices, images_option, json_option, technology_option
from qsim.errors import QsimError

if TYPE_CHECKING:
    from qsim.sweep import Point


@click.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--machine", "-m", required=True, metavar="NAME|FILE", help="Machine to start from.")
@click.option(
    "--set",
    "axes",
    multiple=True,
    required=True,
    metavar="FIELD=V1,V2,...",
    help="Values of a field; repeatable, the grid is their product.",
)
@technology_option
@images_option
@data_option
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--out", "-o", type=OutFile(), help="Write all runs to this JSON file.")
@json_option
def command(
    file: Path,
    machine: str,
    axes: tuple[str, ...],
    technology: str,
    images: str,
    data: Path | None,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Simulate one file on every combination of machine parameters. An impossible point becomes a row that says why.

    \b
    Example:
      qsim sweep lenet.qsz -m sparse-sram --set array.pes=16,32,64 --set array.queue.depth=1,8
    """
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, messages, table
    from qsim.results import save_runs
    from qsim.sweep import sweep

    grid_axes = _axes(axes)
    with messages.status("simulating the grid"):
        points = sweep(
            file,
            load_machine(machine),
            grid_axes,
            technology=technology,
            images=image_indices(images),
            data=data,
            workers=workers,
        )
    runs = [point.result for point in points if point.result]
    if not runs:
        raise QsimError(f"none of the {len(points)} points can be simulated; the first: {points[0].reason}")
    if out is not None:
        save_runs(out, runs)
    if as_json:
        click.echo(json.dumps([_facts(point) for point in points], indent=1))
        return
    columns = [*points[0].values, "cycles", "time", "energy", "why not"]
    console().print(table(f"{machine}, {len(points)} points", columns, [_cells(point) for point in points], text_columns=0))


def _axes(texts: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the values of every field. Raises :class:`QsimError` for a field that is given twice."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        path, values = assignment(text)
        if path in found:
            raise QsimError(path="--set", rule=f"one list of values for {path}", value="two")
        found[path] = values
    return found


def _facts(point: "Point") -> dict[str, object]:
    facts: dict[str, object] = {**point.values, "reason": point.reason}
    if point.result is not None:
        result = point.result
        facts |= {"cycles": result.cycles, "time_s": result.seconds, "energy_pj": result.energy.total_pj}
    return facts


def _cells(point: "Point") -> tuple[object, ...]:
    from qsim.units import si

    if point.result is None:
        return (*point.values.values(), "-", "-", "-", point.reason)
    result = point.result
    return (*point.values.values(), f"{result.cycles:,.0f}", si(result.seconds, "s"), si(result.energy.total_pj * 1e-12, "J"), "")
