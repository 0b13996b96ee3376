"""``qsim simulate``: .qsz files on machines, cycle by cycle."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsim.cli.options import OutFile, assignment, data_option, engine_option, image_indices, images_option, json_option, technology_option

if TYPE_CHECKING:
    from qsim.arch.architecture import Architecture


@click.command("simulate")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--machine",
    "-m",
    "machines",
    multiple=True,
    metavar="NAME|FILE",
    help="Machine; repeatable. Default: all comparable ones that can run the file.",
)
@click.option(
    "--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a machine field, e.g. array.queue.depth=4; repeatable."
)
@technology_option
@images_option
@data_option
@engine_option
@click.option("--trace", is_flag=True, help="Record what every unit does in the busiest layer (for the timeline).")
@click.option("--out", "-o", type=OutFile(), help="Write the runs to this JSON file.")
@json_option
def command(
    files: tuple[Path, ...],
    machines: tuple[str, ...],
    changes: tuple[str, ...],
    technology: str,
    images: str,
    data: Path | None,
    engine: str,
    trace: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run compressed networks on machines: cycles, stalls, accesses and energy.

    \b
    Examples:
      qsim simulate lenet.qsz
      qsim simulate lenet.qsz -m sparse-sram -m sparse-rtl-8 --images 0:100 --out run.json
      qsim simulate lenet.qsz -m sparse-sram --set array.queue.depth=2 -t cacti-45nm
    """
    from qsim.cli.compare_verb import comparison, comparison_table
    from qsim.cli.console import console, echo_json, messages, progress
    from qsim.energy.loader import load_technology
    from qsim.errors import QsimError, UnsupportedProgram
    from qsim.results import RunResult, save_runs
    from qsim.run import COMPARABLE, load_file, measure, run_model
    from workloads.mnist import load_test

    prices, indices, test = load_technology(technology), image_indices(images), load_test(data)
    chosen = chosen_machines(machines or COMPARABLE, changes)
    runs: list[RunResult] = []
    skipped: list[str] = []
    # The error on the whole test set is one large matrix product: it runs beside the simulation, not before it.
    with progress() as report, ThreadPoolExecutor(max_workers=1) as aside:
        for file in files:
            loaded = load_file(file, None)
            quality = aside.submit(measure, loaded.model, test)
            found = []
            for machine in chosen:
                try:
                    found.append(run_model(loaded, machine, prices, images=indices, test=test, engine=engine, trace=trace, progress=report))
                except UnsupportedProgram as error:
                    if machines:
                        raise
                    skipped.append(f"not in the table: {machine.name} cannot run {file.name}: {error}")
            runs += [replace(run, quality=quality.result()) for run in found]
    if not runs:
        raise QsimError(f"none of the machines can run {', '.join(str(file) for file in files)}; name one with --machine to see why")
    if out is not None:
        save_runs(out, runs)
    rows = comparison(runs, None)
    if as_json:
        echo_json(rows)
    else:
        console().print(comparison_table(runs, rows))
        for text in skipped:
            messages.print(text, style="dim", markup=False)
        if out is not None:
            console().print(f"written to {out}; next: qsim report {out} --out report/")


def chosen_machines(names: tuple[str, ...], changes: tuple[str, ...]) -> "list[Architecture]":
    """Load the machines and apply each ``FIELD=VALUE`` to all of them."""
    from qsim.arch.machine_file import load_machine
    from qsim.errors import QsimError

    chosen = [load_machine(name) for name in names]
    for text in changes:
        path, values = assignment(text)
        if len(values) != 1:
            raise QsimError(path="--set", rule="one value (qsim sweep takes several)", value=text)
        chosen = [machine.replace(path, values[0]) for machine in chosen]
    return chosen
