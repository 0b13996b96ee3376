"""The numbers of a report as files for other programs."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from qsim.results import RunResult, run_to_json
from qsim.units import PJ_PER_J
from reports.views import component_joules, label_runs, layer_views, time_by_class

CSV_FIELDS = ("machine", "workload", "recipe", "technology", "layer", "item", "quantity", "unit", "value")


def json_text(runs: Sequence[RunResult]) -> str:
    """Return the runs as :func:`qsim.results.load_runs` reads them, without their traces."""
    return "[" + ",\n".join(run_to_json(replace(run, trace=None)) for run in runs) + "]\n"


def csv_text(runs: Sequence[RunResult]) -> str:
    """Return one row a number; ``layer`` is empty for the whole network, ``item`` names a component of the energy or a class of units."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for label, run in zip(label_runs(runs), runs, strict=True):
        head = (label, run.workload.name, run.recipe.name, run.technology.name)
        writer.writerows(
            (*map(_inert, (*head, layer, item)), quantity, unit, repr(value)) for layer, item, quantity, unit, value in _numbers(run)
        )
    return stream.getvalue()


def _inert(text: str) -> str:
    """Return ``text`` so that a spreadsheet does not take it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _numbers(run: RunResult) -> Iterator[tuple[str, str, str, str, float]]:
    yield "", "", "file size", "byte", run.file_bytes
    yield "", "", "float32 size", "byte", run.float_bytes
    yield "", "", "compression ratio", "1", run.ratio
    if run.quality is not None:
        if run.quality.test_error is not None:
            yield "", "", "test error", "percent", run.quality.test_error
        if run.quality.float_test_error is not None:
            yield "", "", "float32 test error", "percent", run.quality.float_test_error
    yield "", "", "cycles", "cycle", run.cycles
    yield "", "", "time", "s", run.seconds
    yield "", "", "energy", "J", run.energy.total_pj / PJ_PER_J
    for component, joules in component_joules(run).items():
        yield "", component, "energy", "J", joules
    for layer in layer_views(run):
        yield layer.name, "", "cycles", "cycle", layer.cycles
        yield layer.name, "", "time", "s", layer.seconds
        yield layer.name, "", "dynamic energy", "J", layer.joules
        yield layer.name, "", "MACs issued", "1", layer.macs
        yield layer.name, "", "dense MACs", "1", layer.dense_macs
        yield layer.name, "", "DRAM traffic", "byte", layer.dram_bytes
        if layer.operand_bytes:
            yield layer.name, "", "written at run time", "byte", layer.operand_bytes
    for kind, states in time_by_class(run).items():
        for state, cycles in states.items():
            yield "", kind, f"unit time {state}", "unit-cycle", cycles
