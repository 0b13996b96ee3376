"""``qsim synth``: what a machine takes of an FPGA, and how fast it is there."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from qsim.cli.options import json_option

if TYPE_CHECKING:
    from rtl.synth import Synthesis


@click.command("synth")
@click.option("--machine", "-m", default="sparse-rtl-1", show_default=True, metavar="NAME|FILE", help="Machine to synthesise.")
@click.option(
    "--device",
    "-d",
    default="ecp5-25k",
    show_default=True,
    metavar="NAME",
    help="ecp5-25k, ecp5-85k, up5k, hx8k, xc7 (counts only).",
)
@click.option("--layers", default=0, show_default=True, help="Layers of a network: the whole accelerator; 0: its array only.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the placement.")
@click.option("--place/--no-place", default=True, show_default=True, help="Place and route, for the frequency.")
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/synth"),
    show_default=True,
    help="Results, by content.",
)
@json_option
def command(machine: str, device: str, layers: int, seed: int, place: bool, build: Path, as_json: bool) -> None:
    """Synthesise a machine's array for an FPGA with Yosys, place and route it with nextpnr.

    Without --layers only the array, with it the accelerator that runs a whole network alone. It stands in a scan shell of four pins,
    because it has more ports than an FPGA has pins.

    \b
    Example:
      qsim synth -m sparse-rtl-1 -d ecp5-25k
      qsim synth -m sparse-rtl-4 -d ecp5-25k --layers 4
    """
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, echo_json, progress
    from qsim.errors import MissingExtra

    try:
        from rtl.synth import synthesise
    except ImportError as error:
        raise MissingExtra("synth", "synthesis") from error
    with progress() as report:
        result = synthesise(load_machine(machine), device, build_dir=build, layers=layers, seed=seed, place=place, progress=report)
    if as_json:
        echo_json(dataclasses.asdict(result))
        return
    console().print(resource_table(result))
    if result.fmax_mhz is not None:
        console().print(path_table(result))
    console().print(_provenance(result))


def resource_table(result: "Synthesis") -> Table:
    """Build the table of what is used of the device."""
    from qsim.cli.console import table

    cells = [
        (resource, f"{result.used[resource]:,}", f"{there:,}", f"{100 * result.used[resource] / there:.1f} %" if there else "-")
        for resource, there in result.available.items()
    ]
    return table(f"{result.machine} on {result.device}", ("resource", "used", "there", ""), cells)


def _provenance(result: "Synthesis") -> str:
    shell = f"{result.shell_registers:,} flip-flops of these belong to the scan shell around it"
    tools = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())
    return f"{shell}.\nMade by {tools}, seed {result.seed}, in {times}."


def path_table(result: "Synthesis") -> Table:
    """Build the table of the critical path."""
    from qsim.cli.console import table

    assert result.fmax_mhz is not None
    cells = [(part.module, part.cells, f"{part.logic_ns:.2f}", f"{part.routing_ns:.2f}") for part in result.critical_path]
    columns = ("critical path, by module", "cells", "ns in cells", "ns in wires")
    return table(f"Fmax {result.fmax_mhz:.1f} MHz", columns, cells)
