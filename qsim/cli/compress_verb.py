"""``qsim compress``: a workload by a recipe into a .qsz file."""

from pathlib import Path

import click

from qsim.cli.options import OutFile, data_option, json_option

DEFAULT_RECIPES = {"lenet-5": "lenet-5-smallest"}


@click.command("compress")
@click.argument("workload", default="lenet-300-100")
@click.option(
    "--recipe",
    "-r",
    metavar="NAME|FILE",
    help="Recipe: see qsim list recipes, or a TOML file. [default: smallest; of lenet-5 lenet-5-smallest]",
)
@click.option(
    "--weights", type=click.Path(path_type=Path, dir_okay=False), help="Float checkpoint (.safetensors); the shipped one by default."
)
@click.option("--out", "-o", type=OutFile(), help="Where the file goes; RECIPE.qsz by default.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/cache"),
    show_default=True,
    help="Finished files by content.",
)
@click.option("--by-column", is_flag=True, help="Store every sparse matrix by column, for a loader in hardware, even where that is larger.")
@data_option
@json_option
def command(
    workload: str,
    recipe: str | None,
    weights: Path | None,
    out: Path | None,
    cache: Path,
    by_column: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Prune, quantise and encode a network; prints the size of the file and the error of its integer arithmetic.

    \b
    Examples:
      qsim compress lenet-300-100 --recipe deep-compression --out lenet.qsz
      qsim compress lenet-300-100 --recipe my.toml --weights my.safetensors
      qsim compress lenet-300-100 --by-column --out for-the-loader.qsz
    """
    from qsim.build import build, copy_to
    from qsim.cli.console import console, echo_json, progress
    from qsim.run import load_file
    from workloads.mnist import load_test

    with progress() as report:
        chosen = recipe or DEFAULT_RECIPES.get(workload, "smallest")
        built = build(workload, chosen, cache=cache, data=data, weights=weights, progress=report)
        path = out or Path(f"{built.recipe}.qsz")
        copy_to(built, path, by_column=by_column)
        report("test error", 0, 1)
        loaded = load_file(path, load_test(data))
        report("test error", 1, 1)
    assert loaded.quality is not None
    ratio = loaded.model.float_bytes / loaded.file_bytes
    facts = {
        "file": str(path),
        "recipe": built.recipe,
        "bytes": loaded.file_bytes,
        "ratio": ratio,
        "test_error_percent": loaded.quality.test_error,
        "float_test_error_percent": loaded.quality.float_test_error,
        "reused": built.reused,
        "by_column": loaded.model.options.by_column,
    }
    if as_json:
        echo_json(facts)
        return
    made = ("; by column" if by_column else "") + (f"; reused from {built.path}" if built.reused else "")
    console().print(
        f"{path}: {loaded.file_bytes:,} bytes, {ratio:.1f}x smaller than float32; test error {loaded.quality.test_error:.2f} % "
        f"(float {loaded.quality.float_test_error:.2f} %){made}"
    )
