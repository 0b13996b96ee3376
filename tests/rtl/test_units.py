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
from rtl.emit import emit, rtlil_text
from rtl.load import load_layout
from rtl.nonzero import NonZeroScan
from rtl.parameters import ArrayParameters
from rtl.pe import PE_VARIANTS
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
@pytest.mark.parametrize("bench", ["stream", "codebook", "scan", "elements", "lane"])
def test_unit(bench: str, model: Path, tmp_path: Path) -> None:
    p = units.PARAMETERS
    layouts = {"item": p.item, "layer": p.layer} | {f"load {unit}": load_layout(p) for unit in ("scan", "lane")}
    layouts["load scaled_lane"] = load_layout(units.OF_KIND[PEKind.PVQ])
    for kind, of_kind in units.OF_KIND.items():
        layouts |= {f"load {kind}": load_layout(of_kind), f"layer {kind}": of_kind.layer, f"pointer {kind}": of_kind.column_pointer}
    sent = json.dumps({name: places(layout) for name, layout in layouts.items()})
    run_bench(model, TOP, f"tests.rtl.bench_{bench}", {"QSIM_LAYOUTS": sent}, tmp_path)


@pytest.mark.parametrize("kind", PEKind)
def test_latencies_are_those_of_the_timing_table(kind: PEKind) -> None:
    timing, parameters = TIMINGS[kind], units.OF_KIND[kind]
    assert timing.scan_start_latency == NonZeroScan.start_latency == BroadcastArray.scan_start_latency
    assert timing.pipeline_latency == PE_VARIANTS[kind].pipeline_latency
    assert timing.drain_start_latency == BroadcastArray.drain_start_latency
    assert timing.drain_latency == DrainLane(parameters, units.OUTPUT, 0).latency


def test_only_dense_and_coded_pes_multiply() -> None:
    """The pvq PE adds and subtracts: nothing in it is a multiplication, and one for each lane of the drain is."""
    products = {kind: rtlil_text(PE_VARIANTS[kind](parameters, 0), "pe").count("cell $mul") for kind, parameters in units.OF_KIND.items()}
    # One of the weight; without pointers, one of the column by the rows.
    assert products == {PEKind.DENSE: 2, PEKind.CODEBOOK: 2, PEKind.SPARSE: 1, PEKind.PVQ: 0}
    assert rtlil_text(DrainLane(units.OF_KIND[PEKind.PVQ], units.OUTPUT, 0), "lane").count("cell $mul") == 1


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
