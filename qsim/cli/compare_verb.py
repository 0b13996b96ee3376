"""``qsim compare``: simulated runs side by side."""

from pathlib import Path

import click
from rich.table import Table

from qsim.cli.console import console, echo_json, table
from qsim.errors import DataError
from qsim.results import RunResult, load_runs
from qsim.units import si


@click.command("compare")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--baseline", metavar="MACHINE", help="Machine the others are compared with (the first run's by default).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(files: tuple[Path, ...], baseline: str | None, as_json: bool) -> None:
    """Put simulated runs side by side: size, error, time, energy and what was saved.

    \b
    Example:
      qsim compare dense.json sparse.json --baseline dense-16b-dram
    """
    runs = [run for path in files for run in load_runs(path)]
    if not runs:
        raise DataError(path="files", rule="at least one run", value="none")
    rows = comparison(runs, baseline)
    if as_json:
        echo_json(rows)
    else:
        console().print(comparison_table(runs, rows))


def comparison(runs: list[RunResult], baseline: str | None) -> list[dict[str, object]]:
    """Return one row a run; savings are against the first run on machine ``baseline`` (the first run if None)."""
    names = [run.architecture.name for run in runs]
    if baseline is not None and baseline not in names:
        raise click.BadParameter(f"no run on {baseline!r}; machines here: {', '.join(dict.fromkeys(names))}", param_hint="--baseline")
    first = runs[names.index(baseline) if baseline is not None else 0]
    return [
        {
            "machine": run.architecture.name,
            "recipe": run.recipe.name,
            "technology": run.technology.name,
            "file_bytes": run.file_bytes,
            "ratio": run.ratio,
            "test_error_percent": run.quality.test_error if run.quality else None,
            "cycles": run.cycles,
            "time_s": run.seconds,
            "energy_pj": run.energy.total_pj,
            "energy_saving": first.energy.total_pj / run.energy.total_pj,
            "speed_up": first.seconds / run.seconds,
            "inputs": len(run.inputs),
            "run_time_operands": operands(run),
            "not_simulated": list(run.gaps),
        }
        for run in runs
    ]


def operands(run: RunResult) -> dict[str, int]:
    """Return what products of two activations took of one inference: operands written at run time, which are no bytes of the file.

    ``products`` of them, the ``macs`` of both operands in full, ``bytes`` in the weight memories, ``dram_bytes`` read for that.
    """
    found = [inputs[0] for inputs in run.layers if "operand_elements" in inputs[0].events]
    return {
        "products": len(found),
        "macs": sum(layer.dense_macs for layer in found),
        "bytes": sum(layer.events["operand_bytes"] for layer in found),
        "dram_bytes": sum(layer.events.get("operand_dram_bytes", 0) for layer in found),
    }


def operand_text(run: RunResult) -> str:
    """In words; empty for a run without such products."""
    found = operands(run)
    if not found["products"]:
        return ""
    return (
        f"{found['products']} products of two activations, {found['macs']:,} MACs: operands of {found['bytes']:,} bytes written at run "
        f"time, {found['dram_bytes']:,} bytes of DRAM read for them; no bytes of the file"
    )


def comparison_table(runs: list[RunResult], rows: list[dict[str, object]]) -> Table:
    """Build the terminal table of :func:`comparison`."""
    written = [operands(run)["bytes"] for run in runs]
    more = ("operands",) if any(written) else ()
    beside = ("x less energy", "x faster") if len(runs) > 1 else ()
    columns = ("machine", "recipe", "file", *more, "ratio", "test error", "cycles", "time", "energy", *beside)
    cells = [
        (
            run.architecture.name,
            run.recipe.name,
            f"{run.file_bytes:,} B",
            *(f"{size:,} B" if size else "-" for _ in more),
            f"{run.ratio:.1f}x",
            f"{run.quality.test_error:.2f} %" if run.quality and run.quality.test_error is not None else "-",
            f"{run.cycles:,.0f}",
            si(run.seconds, "s"),
            si(run.energy.total_pj * 1e-12, "J"),
            *((f"{row['energy_saving']:.1f}", f"{row['speed_up']:.1f}") if beside else ()),
        )
        for run, row, size in zip(runs, rows, written, strict=True)
    ]
    technologies = ", ".join(dict.fromkeys(run.technology.name for run in runs))
    inputs = "different inputs, so that time and energy are not comparable" if _differ(runs) else f"{len(runs[0].inputs)} inputs"
    caption = f"One inference, mean over {inputs}. Energy: {technologies}. Ratio: float32 parameter bytes over file bytes."
    caption += " Operands: written at run time, no bytes of the file." if more else ""
    return table("Designs", columns, cells, caption=_synthetic(runs) + caption, text_columns=2)


def _synthetic(runs: list[RunResult]) -> str:
    """Return the sentence that names the networks whose weights are made up."""
    names = dict.fromkeys(run.workload.name for run in runs if run.synthetic_weights)
    return f"SYNTHETIC weights: {', '.join(names)}. " if names else ""


def _differ(runs: list[RunResult]) -> bool:
    """Whether the runs saw different inputs: the time and energy of machines that skip zeros depend on them."""
    return len({run.inputs for run in runs}) > 1
