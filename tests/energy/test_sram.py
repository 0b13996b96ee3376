"""Whether the memory table is read exactly at its points, sensibly between them, and not at all outside."""

import csv
import math
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.energy.loader import load_technology
from qsim.energy.sram import Outside, SramTable, interpolate, read_sram_csv
from qsim.errors import TechnologyError

CSV = (files("energy_models") / "cacti_sram.csv").read_text(encoding="utf-8")
HEADER = "node_nm,cell,bytes,width_bits,read_pj,write_pj,leakage_mw,area_mm2,access_ns\n"


def table() -> SramTable:
    return read_sram_csv(CSV, node_nm=45, cell="itrs-lstp", source="test")


def test_eight_kilobytes_read_at_the_five_picojoules_of_the_literature() -> None:
    """Han 2015 and Horowitz 2014: 5 pJ per 32-bit access of a small SRAM; CACTI says 5.25."""
    value = table().value("read_pj", 8192, 32, Outside.ERROR)
    assert value == pytest.approx(5.25, abs=0.005)
    assert value == pytest.approx(5.0, rel=0.06)


def test_exact_at_every_point_of_the_grid() -> None:
    sram = table()
    rows = [row for row in csv.DictReader(CSV.splitlines()) if row["node_nm"] == "45" and row["cell"] == "itrs-lstp"]
    assert len(rows) == 65
    for row in rows:
        for quantity in ("read_pj", "write_pj", "leakage_mw"):
            assert sram.value(quantity, int(row["bytes"]), int(row["width_bits"]), Outside.ERROR) == float(row[quantity])


def test_halfway_in_the_logarithm_is_the_geometric_mean() -> None:
    assert interpolate([(1024, 2.0), (4096, 8.0)], 2048) == pytest.approx(4.0)


@given(st.integers(1024, 4 * 1024 * 1024), st.sampled_from([16, 32, 64, 128, 256]))
def test_between_its_neighbours(capacity: int, width: int) -> None:
    sram = table()
    value = sram.value("read_pj", capacity, width, Outside.ERROR)
    below = max(c for c in sram.capacities if c <= capacity)
    above = min(c for c in sram.capacities if c >= capacity)
    ends = sorted(sram.points[c, width].read_pj for c in (below, above))
    assert ends[0] * (1 - 1e-12) <= value <= ends[1] * (1 + 1e-12)


@given(st.integers(8192, 16383), st.integers(8192, 16383))
def test_monotone_between_two_points(first: int, second: int) -> None:
    sram = table()
    low, high = sorted((first, second))
    assert sram.value("read_pj", low, 32, Outside.ERROR) <= sram.value("read_pj", high, 32, Outside.ERROR) * (1 + 1e-12)


@pytest.mark.parametrize(("capacity", "width"), [(512, 32), (8 * 1024 * 1024, 32), (8192, 8), (8192, 512)])
def test_outside_is_refused_with_the_range(capacity: int, width: int) -> None:
    with pytest.raises(TechnologyError, match=r"must be between .* the range of the technology's table"):
        table().value("read_pj", capacity, width, Outside.ERROR)


def test_clamp_never_flatters() -> None:
    sram = table()
    assert sram.value("read_pj", 512, 8, Outside.CLAMP) == sram.points[1024, 16].read_pj
    for capacity, width in ((8 * 1024 * 1024, 32), (8192, 512)):
        with pytest.raises(TechnologyError):
            sram.value("read_pj", capacity, width, Outside.CLAMP)


def test_hostile_tables_are_refused() -> None:
    for text in ("", "node_nm,cell\n45,a\n", HEADER + "45,a,1024,32,x,1,1,1,1\n", HEADER + "45,a,1024,32,nan,1,1,1,1\n"):
        with pytest.raises(TechnologyError):
            read_sram_csv(text, node_nm=45, cell="a", source="test")
    holes = HEADER + "45,a,1024,32,1,1,1,1,1\n45,a,2048,64,1,1,1,1,1\n"
    with pytest.raises(TechnologyError, match="full grid"):
        read_sram_csv(holes, node_nm=45, cell="a", source="test")


def test_leakage_of_the_shipped_technology_is_the_tables() -> None:
    leakage = load_technology("cacti-45nm").leakage_mw(8192, 32)
    assert leakage is not None
    assert math.isclose(leakage, 0.000255)
    assert load_technology("han2015-45nm").leakage_mw(8192, 32) is None
