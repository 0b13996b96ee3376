"""Traces in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: one process a machine, one thread a unit.

One microsecond of the viewer is one clock cycle, so that times read as cycles. Source: "Trace Event Format" (Google, 2016), JSON object
form with complete events (``ph: "X"``) and metadata events (``ph: "M"``).
"""

import json
from collections.abc import Sequence
from typing import Any

from qsim.results import RunResult, Trace
from reports.views import label_runs, unit_class


def chrome_trace_text(runs: Sequence[RunResult]) -> str:
    """Return the JSON text of all traces in ``runs``; idle stretches are left blank."""
    events: list[dict[str, Any]] = []
    clocks: dict[str, float] = {}
    for process, (label, run) in enumerate(zip(label_runs(runs), runs, strict=True), start=1):
        if run.trace is not None:
            events += _events(process, f"{label}: {run.trace.layer}", run.trace)
            clocks[label] = run.clock_hz
    other = {"time": "1 us of the viewer is 1 clock cycle", "clock_hz": clocks}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}, separators=(",", ":"))


def _events(process: int, name: str, trace: Trace) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [_metadata("process_name", process, 0, {"name": name})]
    threads: dict[str, int] = {}
    for span in trace.spans:
        if span.unit not in threads:
            threads[span.unit] = len(threads) + 1
            events.append(_metadata("thread_name", process, threads[span.unit], {"name": span.unit}))
            events.append(_metadata("thread_sort_index", process, threads[span.unit], {"sort_index": threads[span.unit]}))
        if span.state == "idle":
            continue
        events.append(
            {
                "name": span.state,
                "cat": unit_class(span.unit),
                "ph": "X",
                "pid": process,
                "tid": threads[span.unit],
                "ts": span.start,
                "dur": span.end - span.start,
                "args": {"label": span.label} if span.label else {},
            }
        )
    return events


def _metadata(kind: str, process: int, thread: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": arguments}
