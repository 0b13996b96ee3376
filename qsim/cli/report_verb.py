"""``qsim report``: the HTML page, figures and data of simulated runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qsim.model.compressed import CompressedModel
    from reports.published import CompressionRow


@click.command("report")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("report"), show_default=True, help="Folder.")
@click.option("--baseline", metavar="MACHINE", help="Machine the others are compared with (the first run's by default).")
@click.option(
    "--compression", type=click.Path(path_type=Path, dir_okay=False), help="A .qsz file whose size table stands beside the published one."
)
@click.option("--title", default="What it saves and what it costs", show_default=True, help="Title of the page.")
def command(files: tuple[Path, ...], out: Path, baseline: str | None, compression: Path | None, title: str) -> None:
    """Write one self-contained HTML page, its figures as SVG and PNG, and its data as CSV and JSON.

    Runs made with --trace also give a timeline and trace.json for Perfetto.

    \b
    Example:
      qsim simulate lenet.qsz --trace --out run.json
      qsim report run.json --compression lenet.qsz --out report/
    """
    from qsim.cli.console import console, messages
    from qsim.model.compressed import CompressedModel
    from qsim.results import load_runs
    from reports.page import write_report

    runs = [run for path in files for run in load_runs(path)]
    rows = compression_rows(CompressedModel.load(compression)) if compression else []
    with messages.status("drawing"):
        page = write_report(runs, out, title=title, baseline=baseline, compression=rows, compressed=compression.name if compression else "")
    console().print(f"{page}: open it in a browser; figures, data.csv and data.json are beside it")


def compression_rows(model: "CompressedModel") -> "list[CompressionRow]":
    """Return the size table of a file in the columns of the published one."""
    from qsim.encode.sizes import table
    from reports.published import CompressionRow

    return [
        CompressionRow(
            layer=row.name,
            weights=row.weights,
            kept_percent=100 * row.kept_share,
            weight_bits_pq=row.weight_bits_pq,
            weight_bits_pqh=row.weight_bits_pqh,
            index_bits_pq=row.index_bits_pq,
            index_bits_pqh=row.index_bits_pqh,
            rate_pq_percent=100 * row.rate_pq,
            rate_pqh_percent=100 * row.rate_pqh,
        )
        for row in table(model)
    ]
