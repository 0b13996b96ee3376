# amaranth: UnusedElaboratable=no
"""Asks whether every unit is exact on its own, in every pattern of idle cycles and back-pressure: one model, one bench a unit."""

import json
from pathlib import Path

import pytest
from amaranth.lib import data

from qsim.arch.architecture import PEKind
from qsim.arch.timing import TIMINGS
from qsim.errors import MachineError
from qsim.formats.fixed import FixedFormat, Overflow
from rtl.array import BroadcastArray
from rtl.codebook import CodebookLookup
from rtl.drain import DrainLane
from rtl.emit import emit
from rtl.load import load_layout
from rtl.nonzero import NonZeroScan
from rtl.parameters import ArrayParameters
from rtl.pe.fetch import segment_layout
from rtl.pe.sparse import SparseMac
from rtl.stream import Queue
from rtl.toolchain import build_model, run_bench
from tests.rtl import units

TOP = "units"


def places(layout: data.StructLayout) -> dict[str, tuple[int, int]]:
    return {name: (field.offset, field.width) for name, field in layout}


@pytest.fixture(scope="module")
def model(build_dir: Path) -> Path:
    return build_model(emit(units.Units, TOP, build_dir, Path(units.__file__).read_text()), TOP)


@pytest.mark.rtl
@pytest.mark.parametrize("bench", ["stream", "codebook", "scan", "sparse", "lane"])
def test_unit(bench: str, model: Path, tmp_path: Path) -> None:
    p = units.PARAMETERS
    layouts = {"load": load_layout(p), "item": p.item, "layer": p.layer, "segment": segment_layout(p)}
    sent = json.dumps({name: places(layout) for name, layout in layouts.items()})
    run_bench(model, TOP, f"tests.rtl.bench_{bench}", {"QSIM_LAYOUTS": sent}, tmp_path)


def test_latencies_are_those_of_the_timing_table() -> None:
    timing = TIMINGS[PEKind.SPARSE]
    assert timing.scan_start_latency == NonZeroScan.start_latency == BroadcastArray.scan_start_latency
    assert timing.pipeline_latency == SparseMac.pipeline_latency == BroadcastArray.pipeline_latency
    assert timing.drain_start_latency == BroadcastArray.drain_start_latency
    assert timing.drain_latency == DrainLane.latency == BroadcastArray.drain_latency


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Queue(8, 0), "depth must be at least 1, not 0"),
        (lambda: CodebookLookup(0, 16), "code_bits must be 1 to 16, not 0"),
        (lambda: CodebookLookup(4, 1), "weight_bits must be at least 2, not 1"),
        (lambda: ArrayParameters(pes=0), "parameters.pes must be at least 1, not 0"),
        (lambda: ArrayParameters(pes=1, entries_per_row=6), "parameters.entries_per_row must be a power of two, not 6"),
        (
            lambda: DrainLane(units.PARAMETERS, FixedFormat(16, 0, overflow=Overflow.WRAP), 0),
            "layer.output_format must be a signed, saturating format, not 's16.0 wrap'",
        ),
    ],
)
def test_impossible_units_are_refused(make, message: str) -> None:
    with pytest.raises((ValueError, MachineError)) as found:
        make()
    assert str(found.value) == message
