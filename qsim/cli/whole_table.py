"""The table of ``qsim verify --whole``: what was compared of a network that ran alone in RTL, and what differs."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from qsim.verify_network import NetworkCheck


def whole_table(check: "NetworkCheck", machine: str) -> Table:
    """Build the table, one row a number that was compared."""
    from qsim.cli.console import table

    logits = f"{check.logits:,}"
    torch = "not installed" if check.logit_differences_torch is None else str(check.logit_differences_torch)
    rows = [
        ("logits, bit for bit", "numpy", logits, str(check.logit_differences_numpy)),
        ("logits, bit for bit", "PyTorch", logits, torch),
        ("class", "numpy", f"{check.inputs:,}", str(check.class_differences)),
    ]
    rows += [(_words(name), "numba", f"{count:,}", str(check.fast_differences.get(name, 0))) for name, count in check.compared.items()]
    if check.event_inputs:
        share = sum(check.compared.values()) * check.event_inputs // check.inputs
        rows.append(("all of these counters", "SimPy", f"{share:,}", str(sum(check.event_differences.values()))))
    speed = f"{check.clocks / check.cpu_seconds:,.0f}" if check.cpu_seconds else "-"
    caption = f"{check.inputs:,} inputs, {check.cycles:,} cycles of layers; {speed} simulated cycles a CPU second, loading included."
    if check.first_difference:
        caption += f" First difference: {check.first_difference}."
    return table(f"Whole networks on the RTL of {machine}", ("compared", "with", "numbers", "differ"), rows, caption=caption)


def _words(name: str) -> str:
    return name if " " in name else f"{name.replace('_', ' ')} of a layer"
