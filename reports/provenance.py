"""Where everything in a report comes from: hashes, seeds, versions, weights, and what is a stand-in."""

from collections.abc import Callable, Sequence

from qsim.results import RunResult, Source
from reports.table import Column, Field, Group, Table
from reports.text import quantity
from reports.views import Machine, layer_views

SHORT_HASH = 12


def provenance_table(machines: Sequence[Machine]) -> Table:
    """Return what was run, one row a property, one column a machine."""
    rows: tuple[tuple[str, Callable[[RunResult], Field]], ...] = (
        ("Workload", lambda run: _source(run.workload)),
        ("Recipe", lambda run: _source(run.recipe)),
        ("Compressed file", lambda run: _source(run.model)),
        ("Machine", lambda run: _source(run.architecture)),
        ("Technology", lambda run: _source(run.technology)),
        ("Weights", lambda run: Field(text=run.weight_source or "not stated")),
        ("Clock", lambda run: Field(text=quantity(run.clock_hz, "Hz"), value=run.clock_hz)),
        ("Inputs", lambda run: Field(text=index_ranges(run.inputs))),
        ("Seed", lambda run: Field(text=str(run.seed), value=run.seed)),
        ("Engine", lambda run: Field(text=run.engine)),
        ("qsim", lambda run: Field(text=run.version)),
    )
    return Table(
        key="provenance",
        caption=f"What was run; hashes are the first {SHORT_HASH} digits of SHA-256 over the content",
        columns=(Column(head="", numeric=False), *(Column(head=machine.label, numeric=False) for machine in machines)),
        groups=(Group(rows=tuple((Field(text=name), *(read(machine.run) for machine in machines)) for name, read in rows)),),
    )


def _source(source: Source) -> Field:
    return Field(text=f"{source.name} · {source.hash[:SHORT_HASH]}", hint=source.hash)


def index_ranges(indices: Sequence[int]) -> str:
    """Return indices with consecutive runs joined: ``0–3, 7``; the rest is counted after eight runs."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in runs[:8]]
    more = sum(last - first + 1 for first, last in runs[8:])
    return ", ".join(texts) + (f" and {more:,} more" if more else "")


def remarks(machines: Sequence[Machine]) -> list[str]:
    """Return what a reader must know before believing a number: synthetic weights, what is written at run time or not simulated, stand-in
    prices, leakage that is not known.
    """
    made_up = [machine.label for machine in machines if machine.run.synthetic_weights]
    found = []
    if made_up:
        found.append(
            f"Synthetic weights, not trained ones: {', '.join(made_up)}. Cycles and energy are those of this sparsity; errors mean nothing."
        )
    if any(machine.run.energy.leakage_pj is None for machine in machines):
        names = sorted({machine.run.technology.name for machine in machines if machine.run.energy.leakage_pj is None})
        found.append(f"{', '.join(names)} gives no leakage: the energy is dynamic energy only.")
    for machine in machines:
        size = sum(layer.operand_bytes for layer in layer_views(machine.run))
        if size:
            words = f"products of two activations write {size:,.0f} bytes at run time in place of weights"
            found.append(f"{machine.label}: {words}; the file has none of them.")
        if machine.run.gaps:
            found.append(f"{machine.label}: not simulated: {'; '.join(machine.run.gaps)}.")
    found += dict.fromkeys(note for machine in machines for note in machine.run.energy.notes)
    if len({machine.run.technology.hash for machine in machines}) > 1:
        found.append("The machines are priced in different technologies; compare their energies with care.")
    return found
