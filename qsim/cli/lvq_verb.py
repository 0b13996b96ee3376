"""``qsim lvq``: a classifier of prototypes, trained on the digits, as a .qsz file."""

from pathlib import Path

import click

from qsim.cli.options import data_option, json_option


@click.command("lvq")
@click.option("--method", "-m", default="glvq", show_default=True, help="lvq21, glvq, rslvq, sng, sgng, h2mlvq, grlvq or gmlvq.")
@click.option("--per-class", type=click.IntRange(1, 100), default=4, show_default=True, help="Prototypes of each class.")
@click.option("--epochs", type=click.IntRange(1, 1000), default=10, show_default=True, help="Passes over the training digits.")
@click.option("--rank", type=click.IntRange(1, 784), help="Rows of the metric's matrix (gmlvq only; 32 unless told).")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--recipe", "-r", default="codebook", show_default=True, metavar="NAME|FILE", help="How prototypes are quantised and encoded."
)
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Where the file goes; METHOD.qsz by default.")
@data_option
@json_option
def command(
    method: str, per_class: int, epochs: int, rank: int | None, seed: int, recipe: str, out: Path | None, data: Path | None, as_json: bool
) -> None:
    """Train prototypes on the digits (learning vector quantisation) and store them as the weights of a network that the machines run.

    \b
    Examples:
      qsim lvq --method glvq --per-class 8 --out glvq.qsz
      qsim simulate glvq.qsz -m codebook-rtl-8 --images 0:10
    """
    from qsim.cli.console import console, echo_json, progress
    from qsim.lvq_file import make_lvq

    with progress() as report:
        made = make_lvq(
            method, per_class=per_class, epochs=epochs, rank=rank, seed=seed, recipe=recipe, data=data, path=out or Path(f"{method}.qsz"),
            progress=report,
        )  # fmt: skip
    if as_json:
        echo_json(made.facts)
        return
    console().print(
        f"{made.path}: {made.bytes:,} bytes for {made.prototypes} prototypes, {made.ratio:.1f}x smaller than float32; "
        f"test error {made.test_error:.2f} % (float {made.float_test_error:.2f} %)"
    )
