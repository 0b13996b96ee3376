"""``qsim train``: a workload's float network from its seed."""

from pathlib import Path

import click

from qsim.cli.options import OutFile, data_option


@click.command("train")
@click.argument("workload", default="lenet-300-100")
@click.option("--seed", type=click.IntRange(0), help="Seed of the initial weights and batches; that of the shipped checkpoint by default.")
@click.option("--out", "-o", type=OutFile(), help="Write the checkpoint here (the current folder by default).")
@data_option
def command(workload: str, seed: int | None, out: Path | None, data: Path | None) -> None:
    """Train a float network; the shipped checkpoint is made by this with the default seed.

    \b
    Example:
      qsim train lenet-300-100 --out lenet.safetensors
    """
    from qsim.build import train
    from qsim.cli.console import console, progress

    with progress() as report:
        trained = train(workload, seed=seed, data=data, out=out, progress=report)
    console().print(
        f"{trained.path}: validation error {trained.validation_error:.2f} %, test error {trained.test_error:.2f} %, sha256 {trained.sha256}"
    )
