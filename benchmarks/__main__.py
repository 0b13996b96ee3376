"""Run all benchmarks, print one table, write JSON and, beside it, the picture of what CPU time is linear in."""

import argparse
import importlib
import json
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bench_cost import draw
from qsim import __version__
from qsim.files import write_text_atomically

MODULES = (
    "bench_start",
    "bench_sim",
    "bench_files",
    "bench_cost",
    "bench_networks",
    "bench_import",
    "bench_compress",
    "bench_peers",
    "bench_network_file",
)


def main() -> None:
    """Print the table and write the JSON file."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    parser.add_argument("--only", choices=MODULES, action="append")
    arguments = parser.parse_args()
    console = Console(width=150)
    rows: list[dict[str, object]] = []
    for name in arguments.only or MODULES:
        console.print(f"{name} ...", style="dim")
        rows += importlib.import_module(f"benchmarks.{name}").run()
    table = Table("figure", "value", "unit", "target", "measured on", title="qsim benchmarks", title_justify="left")
    for row in rows:
        value = row["value"]
        text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(str(row["name"]), text, str(row["unit"]), str(row.get("target", "")), str(row.get("on", "")))
    console.print(table)
    record = {"qsim": __version__, "python": platform.python_version(), "machine": platform.machine(), "rows": rows}
    write_text_atomically(arguments.out, json.dumps(record, indent=1) + "\n")
    console.print(f"written to {arguments.out}")
    fits = [row for row in rows if "points" in row or "costs" in row]
    if fits:
        picture = arguments.out.with_name(f"{arguments.out.stem}-cost.svg")
        draw(*fits, picture)
        console.print(f"written to {picture}")


if __name__ == "__main__":
    main()
