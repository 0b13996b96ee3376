"""``qsim list``: what can be named on the command line."""

import click

from qsim.cli.console import console, echo_json, messages, table
from qsim.errors import MissingExtra

TOPICS = ("machines", "technologies", "recipes", "workloads", "networks", "quantizers", "reports")


@click.command("list")
@click.argument("topics", nargs=-1, type=click.Choice(TOPICS), metavar="[TOPIC]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(topics: tuple[str, ...], as_json: bool) -> None:
    """List machines, technologies, recipes, workloads, networks, quantizers and reports.

    \b
    Example:
      qsim list machines technologies
    """
    found = {}
    for topic in topics or TOPICS:
        try:
            found[topic] = _entries(topic)
        except MissingExtra as error:
            if topics:
                raise
            messages.print(f"{error}", style="dim", markup=False)
    if as_json:
        echo_json(found)
        return
    for topic, entries in found.items():
        columns = list(entries[0]) if entries else []
        console().print(table(topic, columns, [list(entry.values()) for entry in entries], text_columns=len(columns)))


def _entries(topic: str) -> list[dict[str, str]]:
    from qsim.build import need_torch

    match topic:
        case "machines":
            return _machines()
        case "technologies":
            return _technologies()
        case "recipes":
            need_torch("listing recipes")
            from qsim.compress.recipe import RECIPES, load_recipe

            return [{"recipe": name, "description": load_recipe(name).description} for name in RECIPES]
        case "workloads":
            from workloads import WORKLOADS

            return [{"workload": item.name, "parameters": f"{item.parameters:,}", "citation": item.citation} for item in WORKLOADS.values()]
        case "networks":
            return _networks()
        case "quantizers":
            need_torch("listing quantizers")
            from qsim.compress.quantizers import QUANTIZERS

            return [{"quantizer": name, "description": _first_line(item)} for name, item in QUANTIZERS.items()]
        case _:
            from reports import REPORTS

            return [{"report": name, "description": _first_line(item)} for name, item in REPORTS.items()]


def _networks() -> list[dict[str, str]]:
    from workloads import NETWORKS, TRAINED

    sources = dict.fromkeys(NETWORKS, "synthetic") | {name: f"trained: {item.package.name}" for name, item in TRAINED.items()}
    return [
        {"network": name, "parameters": f"{item.parameters:,}", "weights": sources[name], "citation": item.citation}
        for name, item in ({**NETWORKS, **TRAINED}).items()
    ]


def _machines() -> list[dict[str, str]]:
    from qsim.arch.presets import MACHINES

    return [
        {
            "machine": machine.name,
            "PEs": str(machine.array.pes),
            "PE": str(machine.array.kind),
            "clock": f"{machine.clock_hz / 1e6:g} MHz",
            "weights": "DRAM" if machine.streams_weights else f"{machine.weights.bytes // 1024} KB a PE",
            "description": machine.description,
        }
        for machine in MACHINES.values()
    ]


def _technologies() -> list[dict[str, str]]:
    from energy_models import TECHNOLOGIES
    from qsim.energy.loader import load_technology

    found = [load_technology(name) for name in TECHNOLOGIES]
    return [{"technology": item.name, "node": f"{item.node_nm} nm", "description": item.description} for item in found]


def _first_line(item: object) -> str:
    return (item if isinstance(item, str) else item.__doc__ or "").strip().splitlines()[0]
