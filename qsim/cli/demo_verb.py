"""``qsim demo``: the main job on real data, from the trained network to the report."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from qsim.cli.options import DEFAULT_TECHNOLOGY, data_option, image_indices

if TYPE_CHECKING:
    from qsim.build import Built
    from qsim.model.compressed import CompressedModel
    from qsim.results import RunResult
    from qsim.verify import Check

WORKLOAD = "lenet-300-100"
# Which file runs on which machine: each in the form its PE was made for. The first is the baseline; the second, the same file with its
# weights on chip, tells what is saved by leaving DRAM from what is saved by compression.
DESIGNS = (
    ("dense-16b", "dense-16b-dram"),
    ("dense-16b", "dense-16b-sram"),
    ("codebook", "codebook-dram"),
    ("smallest", "sparse-huffman-dram"),
    ("smallest", "sparse-sram"),
    ("pvq", "pvq-sram"),
)
# The longest first, so that two processes end together.
RECIPES = ("smallest", "deep-compression", "pvq", "codebook", "dense-16b")
VERIFIED_LAYERS = ("ip2", "ip3")
VERIFIED_MACHINE = "sparse-rtl-4"
DIGIT = 7


@click.command("demo")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("out/demo"), show_default=True, help="Folder.")
@click.option("--images", default="0:50", show_default=True, metavar="RANGE", help="Test images to simulate.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Recipes compressed at a time.")
@data_option
def command(out: Path, images: str, workers: int, data: Path | None) -> None:
    """Compress LeNet-300-100 five ways, simulate it on six machines, price it, run a digit through the RTL, and write the report.

    Finished stages are reused by content: a second run takes seconds.

    \b
    Example:
      qsim demo --out out/demo
    """
    from qsim.build import build_all
    from qsim.cli.compare_verb import comparison, comparison_table
    from qsim.cli.console import console, messages, progress
    from qsim.cli.report_verb import compression_rows
    from qsim.cli.verify_verb import verify_table
    from qsim.model.compressed import CompressedModel
    from reports.page import write_report

    messages.print("1/4 compress: prune, quantise, fine-tune, encode")
    with progress() as report:
        files = {
            built.recipe: built for built in build_all(WORKLOAD, RECIPES, cache=out / "cache", data=data, progress=report, workers=workers)
        }
    messages.print("2/4 simulate every design, cycle by cycle, with both engines")
    runs = _simulate(files, out, image_indices(images), data)
    messages.print("3/4 run a real digit through the RTL of the last two layers")
    checks = _verify(files["smallest"], out, data)
    messages.print("4/4 report")
    with messages.status("drawing"):
        deep = CompressedModel.load(files["deep-compression"].path)
        page = write_report(
            runs,
            out,
            title="LeNet-300-100: what compression saves and costs",
            baseline=DESIGNS[0][1],
            highlight="sparse-sram",
            compression=compression_rows(deep),
            compressed="the file of the recipe deep-compression",
        )
    show = console()
    show.print(_published_table(deep))
    show.print(verify_table(checks, VERIFIED_MACHINE))
    show.print(comparison_table(runs, comparison(runs, DESIGNS[0][1])))
    show.print(f"Report: {page.resolve()}", soft_wrap=True)
    if not all(check.agree for check in checks):
        raise click.exceptions.Exit(1)


def _key(*parts: object) -> str:
    """Return a hash of the parts and of the source of everything that simulates, prices and verifies."""
    from qsim.build import source_hash

    text = json.dumps([parts, source_hash(("qsim", "rtl", "energy_models", "workloads"))], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _simulate(files: "dict[str, Built]", out: Path, images: tuple[int, ...], data: Path | None) -> "list[RunResult]":
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import messages, progress
    from qsim.energy.loader import load_technology
    from qsim.errors import QsimError
    from qsim.results import load_runs, save_runs
    from qsim.run import load_file, run_model
    from workloads.mnist import load_test

    test, technology = load_test(data), load_technology(DEFAULT_TECHNOLOGY)
    machines = [load_machine(name) for _, name in DESIGNS]
    inputs = hashlib.sha256(test.images.tobytes() + test.labels.tobytes()).hexdigest()
    key = _key([files[recipe].key for recipe, _ in DESIGNS], [machine.hash for machine in machines], technology.hash, images, inputs)
    kept = out / "cache" / f"runs-{key}.json"
    if kept.is_file():
        messages.print("    reused: same files, machines, prices, images and source")
        runs = load_runs(kept)
        save_runs(out / "runs.json", runs)  # the one there may be of other images
        return runs
    loaded = {recipe: load_file(files[recipe].path, test) for recipe, _ in DESIGNS}
    runs = []
    with progress() as report:
        for number, ((recipe, name), machine) in enumerate(zip(DESIGNS, machines, strict=True), 1):
            run = run_model(loaded[recipe], machine, technology, images=images, test=test, trace=True)
            slow = run_model(loaded[recipe], machine, technology, images=images[:1], test=test, engine="event")
            if [layer[:1] for layer in run.layers] != list(slow.layers):
                raise QsimError(
                    f"the engines disagree on {recipe} on {name}: this is a defect of qsim, please report it with {files[recipe].path}"
                )
            runs.append(run)
            report("machines (numba, checked against SimPy)", number, len(DESIGNS))
    save_runs(kept, runs)
    save_runs(out / "runs.json", runs)
    messages.print(f"    SimPy and numba agree on every cycle, stall and count of all {len(DESIGNS)} machines (image {images[0]})")
    return runs


def _verify(built: "Built", out: Path, data: Path | None) -> "list[Check]":
    import numpy as np

    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import messages, progress
    from qsim.files import write_text_atomically
    from qsim.model.compressed import CompressedModel
    from qsim.verify import Check, verify
    from workloads.mnist import load_test

    model, test, machine = CompressedModel.load(built.path), load_test(data), load_machine(VERIFIED_MACHINE)
    inputs = test.images[DIGIT : DIGIT + 1].astype(np.int64)
    kept = out / "cache" / f"checks-{_key(built.key, machine.hash, VERIFIED_LAYERS, inputs.tolist())}.json"
    if kept.is_file():
        messages.print("    reused: same file, machine, digit and source")
        return [Check(**{**item, "values": tuple(item["values"])}) for item in json.loads(kept.read_text(encoding="utf-8"))]
    with progress() as report:
        checks = verify(model, machine, inputs, (DIGIT,), build_dir=out / "rtl", layers=VERIFIED_LAYERS, progress=report)
    write_text_atomically(kept, json.dumps([dataclasses.asdict(check) for check in checks]))
    return checks


def _published_table(model: "CompressedModel") -> Table:
    from qsim.cli.console import table
    from qsim.cli.report_verb import compression_rows
    from reports.published import PUBLISHED_COMPRESSION, CompressionRow

    def cells(ours: CompressionRow, theirs: CompressionRow) -> tuple[str, ...]:
        fields = (
            "kept_percent",
            "weight_bits_pq",
            "weight_bits_pqh",
            "index_bits_pq",
            "index_bits_pqh",
            "rate_pq_percent",
            "rate_pqh_percent",
        )
        return (ours.layer, f"{ours.weights:,}", *(f"{getattr(ours, name):.2f} / {getattr(theirs, name):g}" for name in fields))

    published = PUBLISHED_COMPRESSION[WORKLOAD]
    columns = ("layer", "weights", "kept %", "weight bits", "with Huffman", "index bits", "with Huffman", "rate P+Q %", "rate P+Q+H %")
    rows = [cells(ours, theirs) for ours, theirs in zip(compression_rows(model), published.rows, strict=True)]
    return table("deep-compression: ours / published", columns, rows, caption=published.citation)
