"""``qsim bench-methods``: every compression method at several rates, on one network."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsim.cli.options import data_option, image_indices, images_option, json_option, technology_option

if TYPE_CHECKING:
    from qsim.compress.activations import ActivationPoint
    from qsim.methods import MethodBench, MethodPoint
    from qsim.peers import PeerRow

COLUMNS = (
    "from", "method", "settings", "bytes", "by context", "bits/weight", "ratio", "valid. err", "test err", "CPU s",
    "machine", "cycles", "energy",
)  # fmt: skip


@click.command("bench-methods")
@click.argument("workload", default="lenet-300-100")
@click.option("--only", default="", metavar="METHOD,...", help="Only these methods.")
@click.option("--epochs", default=1, show_default=True, type=click.IntRange(0, 100), help="Of fine-tuning, for every method.")
@click.option("--prune-epochs", default=12, show_default=True, type=click.IntRange(1, 200), help="For the pruned network.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--peers", is_flag=True, help="Also what scikit-learn, faiss, constriction, torchao and nncodec do with the same weights.")
@click.option("--activations", is_flag=True, help="Also the float network with activations of 8 to 4 bits, simulated and in integers.")
@technology_option
@images_option
@data_option
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/methods"),
    show_default=True,
    help="Folder for JSON and figure.",
)
@json_option
def command(
    workload: str,
    only: str,
    epochs: int,
    prune_epochs: int,
    seed: int,
    peers: bool,
    activations: bool,
    technology: str,
    images: str,
    data: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Compress one network by every method at several rates; writes methods.json and the Pareto picture as SVG and PNG. A run that was
    killed goes on from its last point when it is given again; peers and activations are measured anew.

    \b
    Example:
      qsim bench-methods lenet-300-100 --only kmeans,ecsq,uniform
    """
    from qsim.cli.console import console, progress
    from qsim.errors import QsimError
    from qsim.files import write_bytes_atomically, write_text_atomically
    from qsim.methods import STEPS, bench_methods
    from reports.pareto import picture
    from workloads.mnist import load_mnist

    known = {step.method for step in STEPS}
    wanted = set(filter(None, only.split(","))) or known
    if not wanted <= known:
        raise QsimError(path="--only", rule="known methods", value=sorted(wanted - known)[0], legal=sorted(known))
    steps = [step for step in STEPS if step.method in wanted]
    with progress() as report:
        found = bench_methods(
            workload, load_mnist(data), technology=technology, images=image_indices(images), steps=steps, seed=seed,
            finetune_epochs=epochs, prune_epochs=prune_epochs, peers=peers, activations=activations,
            unfinished=out / "unfinished", progress=report,
        )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(dataclasses.asdict(found), indent=1)
    write_text_atomically(out / "methods.json", facts + "\n")
    for name, content in picture(found).items():
        write_bytes_atomically(out / name, content)
    (out / "unfinished").unlink(missing_ok=True)
    if as_json:
        click.echo(facts)
        return
    console().print(_table(found))
    if found.peers:
        console().print(_peers(found.peers))
    if found.activations:
        console().print(_activations(found.activations))
    console().print(f"{out / 'methods.json'}, {out / 'pareto.svg'}, {out / 'pareto.png'}")


def _table(found: "MethodBench") -> object:
    from qsim.cli.console import table

    best = set(found.pareto())
    caption = (
        f"Float network {found.float_error:.2f} %. Fine-tuned for {found.finetune_epochs} epochs, seed {found.seed}, {found.technology}. "
        "* no other point has fewer bytes and a lower test error."
    )
    rows = [_cells(point, point in best) for point in sorted(found.points, key=lambda item: item.bytes)]
    return table(f"{found.workload}: methods", COLUMNS, rows, caption=caption, text_columns=3)


def _peers(rows: "Sequence[PeerRow]") -> object:
    from qsim.cli.console import table

    columns = ("peer", "version", "task", "settings", "unit", "peer's", "qsim's", "peer's CPU s", "qsim's CPU s")
    cells = [
        (row.peer, row.version or "-", row.task, row.settings, row.unit, *(_figures(row) if row.installed else ("", "", "", "")))
        for row in rows
    ]
    return table("Peers on the same weights (less is better)", columns, cells, text_columns=5)


def _activations(points: "Sequence[ActivationPoint]") -> object:
    from qsim.cli.console import table

    columns = ("range", "bits", "simulated", "a range a channel", "integers")
    cells = [(point.range, str(point.bits), *map(_percent, (point.tensor, point.channel, point.integer))) for point in points]
    caption = (
        "Simulated: float scales and float weights. Integers: one binary point a layer, weights of 16 bits, logits as narrow as the rest."
    )
    return table("Activations in few bits: test error", columns, cells, caption=caption, text_columns=1)


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{error:.2f} %"


def _figures(row: "PeerRow") -> tuple[str, ...]:
    seconds = (f"{row.seconds:.2f}", f"{row.our_seconds:.2f}") if row.our_seconds else ("", "")
    return (f"{row.theirs:,.6g}", f"{row.ours:,.6g}", *seconds)


def _cells(point: "MethodPoint", best: bool) -> tuple[str, ...]:
    from qsim.units import si

    return (
        point.base,
        point.method + (" *" if best else ""),
        point.settings,
        f"{point.bytes:,}",
        f"{point.bytes_context:,}",
        f"{point.bits_per_weight:.3f}",
        f"{point.ratio:.1f}",
        f"{point.validation_error:.2f} %",
        f"{point.test_error:.2f} %",
        f"{point.seconds:.1f}",
        point.machine,
        f"{point.cycles:,.0f}",
        si(point.energy_pj * 1e-12, "J"),
    )
