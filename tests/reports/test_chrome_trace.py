"""Whether trace.json is what the Trace Event Format asks for and holds every span."""

import json

from reports.chrome_trace import chrome_trace_text
from tests.reports.sample import sample_runs

RUNS = sample_runs()


def test_events_follow_the_format() -> None:
    data = json.loads(chrome_trace_text(RUNS))
    assert data["displayTimeUnit"] in ("ms", "ns")
    assert data["otherData"]["clock_hz"]["sample-sparse-sram"] == 800e6
    named = set()
    for event in data["traceEvents"]:
        assert event["ph"] in ("X", "M")
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] > 0 and event["name"] and event["cat"]
            assert (event["pid"], event["tid"]) in named
        elif event["name"] == "thread_name":
            named.add((event["pid"], event["tid"]))


def test_every_span_is_there() -> None:
    events = json.loads(chrome_trace_text(RUNS))["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found = {(e["pid"], names[e["pid"], e["tid"]], e["ts"], e["ts"] + e["dur"], e["name"]) for e in events if e["ph"] == "X"}
    expected = {(p, s.unit, s.start, s.end, s.state) for p, run in enumerate(RUNS, 1) if run.trace for s in run.trace.spans}
    assert found == expected
