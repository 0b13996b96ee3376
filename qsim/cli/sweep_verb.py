"""``qsim sweep``: one file over a grid of machine parameters."""

import json
from pathlib import Path

import click

from qsim.cli.options import assignment, data_option, image_indices, images_option, json_option, technology_option


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
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write all runs to this JSON file.")
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
    r"""Simulate one file on every combination of machine parameters. An impossible point becomes a row that says why.

    \b
    Example:
      qsim sweep lenet.qsz -m sparse-sram --set array.pes=16,32,64 --set array.queue.depth=1,8
    """
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, messages, table
    from qsim.results import save_runs
    from qsim.sweep import sweep
    from qsim.units import si

    with messages.status("simulating the grid"):
        points = sweep(
            file,
            load_machine(machine),
            dict(assignment(text) for text in axes),
            technology=technology,
            images=image_indices(images),
            data=data,
            workers=workers,
        )
    if out is not None:
        save_runs(out, [point.result for point in points if point.result])
    if as_json:
        rows = [
            {**point.values, "reason": point.reason}
            | (
                {"cycles": point.result.cycles, "time_s": point.result.seconds, "energy_pj": point.result.energy.total_pj}
                if point.result
                else {}
            )
            for point in points
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    names = list(points[0].values)
    cells = [
        (
            *point.values.values(),
            *(
                (f"{point.result.cycles:,.0f}", si(point.result.seconds, "s"), si(point.result.energy.total_pj * 1e-12, "J"), "")
                if point.result
                else ("-", "-", "-", point.reason)
            ),
        )
        for point in points
    ]
    console().print(table(f"{machine}, {len(points)} points", [*names, "cycles", "time", "energy", "why not"], cells, text_columns=0))
