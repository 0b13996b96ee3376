# amaranth: UnusedElaboratable=no
"""Asks whether the pyramid units in RTL give the bits of the software: index to point, and point times activations times scale."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.lib import data

from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import Pyramid
from qsim.formats.pvq import count_points, nearest_points, point_of
from rtl.emit import emit
from rtl.pvq.dot import PyramidDot
from rtl.pvq.index import PyramidIndex
from rtl.toolchain import build_model, run_bench
from tests.rtl import decoders

TOP = "decoders"


def dot_vectors(unit: str, rng: np.random.Generator) -> dict[str, Any]:
    """Rows of a Pyramid layer times one input vector, and rows of extremes; the outputs by numpy."""
    dot = PyramidDot(**decoders.DOT[unit])
    layout = dot.i.payload.shape()
    pair = layout["pairs"].shape.elem_shape
    value_bits, pulse_bits, scale_bits = pair["value"].width, pair["pulse"].width, layout["scale"].width
    low, high = -(1 << (value_bits - 1)), (1 << (value_bits - 1)) - 1
    columns, pulses = 26, min(40, dot.max_pulses)
    rows = nearest_points(rng.laplace(size=(12, columns)) ** 3, pulses)
    rows = np.clip(rows, -(1 << (pulse_bits - 1)), (1 << (pulse_bits - 1)) - 1)
    rows[0], rows[1] = 0, 0
    rows[1, 3] = -(1 << (pulse_bits - 1))
    scales = np.r_[0, (1 << scale_bits) - 1, rng.integers(0, 1 << scale_bits, len(rows) - 2)]
    form = Pyramid(pulses=rows, scales=scales, scale_format=FixedFormat(scale_bits, 8, False))
    values = np.where(rng.random(columns) < 0.3, rng.choice([low, high], columns), rng.integers(low, high, columns))
    expected = (form.reconstruct() @ values) * form.scales
    assert expected.tolist() == [dot.reference(row, values, int(scale)) for row, scale in zip(rows, scales, strict=True)]
    beats, busy, last_beats = [], [], []
    for row, scale in zip(rows, scales, strict=True):
        for at in range(0, columns, dot.lanes):
            here = slice(at, at + dot.lanes)
            last = at + dot.lanes >= columns
            beats.append(_beat(layout, row[here], values[here], int(scale) if last else 0x55, last))
            busy.append(max(1, int(np.abs(row[here]).max())))
        assert sum(busy[len(busy) - len(range(0, columns, dot.lanes)) :]) == dot.cycles(row)
        last_beats.append(len(beats) - 1)
    width = dot.o.payload.shape().width
    outputs = [int(output) & ((1 << width) - 1) for output in expected]
    return {"beats": beats, "beat_cycles": busy, "last_beats": last_beats, "outputs": outputs}


def _beat(layout: data.StructLayout, pulses: np.ndarray, values: np.ndarray, scale: int, last: bool) -> int:
    pairs = [{"value": int(value), "pulse": int(pulse)} for value, pulse in zip(values, pulses, strict=True)]
    return layout.const({"pairs": pairs, "scale": scale, "last": int(last)}).as_bits()


def index_vectors(unit: str, rng: np.random.Generator) -> dict[str, Any]:
    """All points of a small pyramid, the ends and a sample of a large one; the coordinates by the software decoder."""
    n, k = decoders.INDEX[unit]
    layout = PyramidIndex(n, k).o.payload.shape()
    points = count_points(n, k)
    indices = [*range(min(points, 20)), *range(max(0, points - 20), points), *rng.integers(0, points, 40).tolist()]
    coordinates, steps = [], []
    for number, index in enumerate(indices):
        point = point_of(index, n, k).tolist()
        coordinates += [layout.const({"pulse": pulse, "last": int(at == n - 1)}).as_bits() for at, pulse in enumerate(point)]
        steps += (number * (n + k) + np.cumsum(np.abs(point) + 1) - 1).tolist()
    return {"size": [n, k], "points": points, "indices": indices, "coordinates": coordinates, "steps": steps}


@pytest.mark.rtl
def test_pyramid_units(build_dir: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    cases = {
        "dot": {unit: dot_vectors(unit, rng) for unit in decoders.DOT},
        "index": {unit: index_vectors(unit, rng) for unit in decoders.INDEX},
    }
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases))
    model = build_model(emit(decoders.Decoders, TOP, build_dir, Path(decoders.__file__).read_text()), TOP)
    run_bench(model, TOP, "tests.rtl.bench_pyramid", {"QSIM_CASES": str(path)}, tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PyramidDot(lanes=0), "lanes and max_pulses must be at least 1, not 0"),
        (lambda: PyramidDot(pulse_bits=1), "widths must be at least 2 (scale 1), not 1"),
        (lambda: PyramidIndex(0, 3), "dimensions and pulses must be at least 1, not 0"),
        (lambda: PyramidIndex(40, 40), "an index must have at most 64 bits, not 98"),
    ],
)
def test_impossible_units_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError) as found:
        make()
    assert str(found.value) == message
