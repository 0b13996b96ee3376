"""Whether the drawn timeline is the trace, within the resolution it states."""

from hypothesis import given
from hypothesis import strategies as st

from qsim.results import Span, Trace
from reports.timeline import BINS, MOST_OF_A_KIND, timeline


def span(unit: str, start: int, end: int, state: str = "busy") -> Span:
    return Span(unit=unit, start=start, end=end, state=state)


def test_exact_when_it_fits() -> None:
    trace = Trace(layer="a", cycles=20, spans=(span("pe0", 0, 5), span("pe0", 5, 9, "starved"), span("pe0", 12, 20)))
    line = timeline(trace)
    assert line.bin_cycles == 1
    assert [(bar.start, bar.end, bar.state) for bar in line.bars] == [(0, 5, "busy"), (5, 9, "starved"), (12, 20, "busy")]


@given(st.integers(1, 5000), st.lists(st.tuples(st.integers(1, 90), st.sampled_from(["busy", "starved", "idle"])), min_size=1, max_size=40))
def test_bars_cover_what_they_show_and_never_overlap(gap: int, pieces: list[tuple[int, str]]) -> None:
    spans, now = [], gap
    for length, state in pieces:
        spans.append(span("scan", now, now + length, state))
        now += length
    line = timeline(Trace(layer="a", cycles=now, spans=tuple(spans)))
    ends = 0
    for bar in line.bars:
        assert ends <= bar.start < bar.end <= now
        ends = bar.end
    drawn, true = (sum(b.end - b.start for b in line.bars), sum(length for length, state in pieces if state != "idle"))
    # every change of state can be moved by at most one bin
    assert abs(drawn - true) <= line.bin_cycles * (len(pieces) + 1)
    assert -(-now // line.bin_cycles) <= BINS


def test_rare_work_is_drawn_in_its_proportion() -> None:
    """One busy cycle in twenty over 24,000 cycles, bins of 100: no bin is mostly busy, 1,200 cycles are."""
    spans = [span("pe0", start, start + 1) for start in range(0, 24000, 20)]
    spans += [span("pe0", start + 1, start + 20, "starved") for start in range(0, 24000, 20)]
    line = timeline(Trace(layer="a", cycles=24000, spans=tuple(spans)))
    busy = sum(bar.end - bar.start for bar in line.bars if bar.state == "busy")
    assert abs(busy - 1200) <= line.bin_cycles == 100


def test_many_units_are_cut_and_counted_in_natural_order() -> None:
    spans = (*(span(f"pe{p}", 0, 4) for p in reversed(range(40))), span("drain", 4, 5))
    line = timeline(Trace(layer="a", cycles=5, spans=spans))
    assert line.units == (*(f"pe{p}" for p in range(MOST_OF_A_KIND)), "drain")
    assert line.left_out == 40 - MOST_OF_A_KIND


def test_a_cut_trace_is_shown_to_its_cut() -> None:
    line = timeline(Trace(layer="a", cycles=1000, spans=(span("scan", 0, 100),)))
    assert (line.shown, line.cycles) == (100, 1000)
    assert timeline(Trace(layer="a", cycles=7, spans=())).bars == ()
