"""What the fast engine's CPU time is linear in. One convolution, 32 to 256 PEs, 10 to 80 % activations.

Two least-squares fits: a line over non-zero columns times PEs, ``seconds = a + b columns PEs``, and a cost of every column beside that of
a column at a PE, ``seconds = columns (c + d PEs)``. R2 is the share of the variance of the measured times that a fit explains. The points
are in the JSON (``points``); :func:`draw` draws them with both fits.
"""

from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from benchmarks.bench_sim import best
from qsim.arch.presets import EIE
from qsim.arch.timing import TIMINGS
from qsim.sim.fast_pixels import map_of, simulate_pixels
from qsim.sim.pixels import PixelPrograms, narrowest

PES = (32, 64, 128, 256)
DENSITIES = (0.1, 0.2, 0.4, 0.8)
REPEATS = 5


def layer(pes: int, density: float) -> PixelPrograms:
    """Return a 3 x 3 convolution of 28 x 28 pixels with 256 channels in and out, a tenth of its weights kept."""
    rng = np.random.default_rng(0)
    y, x = np.divmod(np.arange(26 * 26), 26)
    ky, kx = np.divmod(np.arange(9), 3)
    reads = (y[:, None] + ky) * 28 + x[:, None] + kx
    service = np.maximum(rng.binomial(max(1, 256 // pes), 0.1, (9 * 256, pes)), 1)
    return PixelPrograms(
        name="cost",
        queue=EIE.array.queue,
        timing=TIMINGS[EIE.array.kind],
        service=narrowest(service),
        stride=256,
        reads=reads.astype(np.int32),
        map=map_of(rng.random((28 * 28, 256)) < density, EIE.scan.row_width),
        drain_rows=-(-256 // pes),
    )


def measure() -> list[dict[str, float]]:
    """Return a point for each number of PEs and density: columns, columns x PEs, CPU seconds."""
    found = []
    for pes in PES:
        for density in DENSITIES:
            pixels = layer(pes, density)
            columns = int(simulate_pixels(pixels).uses.sum())
            found.append(
                {"pes": pes, "columns": columns, "work": columns * pes, "seconds": best(partial(simulate_pixels, pixels), REPEATS)}
            )
    return found


def explained(measured: np.ndarray, fitted: np.ndarray) -> float:
    """Return R2, ``1 - residual sum of squares / total sum of squares``."""
    return 1 - float(np.sum((measured - fitted) ** 2) / np.sum((measured - measured.mean()) ** 2))


def run() -> list[dict[str, object]]:
    """Return a row for each fit; the first has the points."""
    points = measure()
    columns, work, seconds = (np.array([point[name] for point in points], dtype=np.float64) for name in ("columns", "work", "seconds"))
    slope, start = np.polyfit(work, seconds, 1)
    terms = np.stack([columns, work], axis=1)
    (column, pe), *_ = np.linalg.lstsq(terms, seconds, rcond=None)
    where = f"{PES[0]} to {PES[-1]} PEs, {100 * DENSITIES[0]:.0f} to {100 * DENSITIES[-1]:.0f} % activations"
    return [
        {
            "name": "CPU time as a line over non-zero columns x PEs",
            "value": explained(seconds, start + slope * work),
            "unit": "R2",
            "on": f"{start * 1e3:.2f} ms + {slope * 1e12:.0f} ps x columns x PEs; {where}",
            "points": points,
            "line": {"start": float(start), "slope": float(slope)},
        },
        {
            "name": "CPU time as non-zero columns x (c + d PEs)",
            "value": explained(seconds, terms @ (column, pe)),
            "unit": "R2",
            "target": ">= 0.97",
            "on": f"columns x ({column * 1e9:.1f} ns + {pe * 1e12:.0f} ps x PEs); {where}",
            "costs": {"column": float(column), "pe": float(pe)},
        },
    ]


def draw(line: dict[str, Any], planes: dict[str, Any], path: Path) -> None:
    """Draw the points, the line over columns x PEs (black) and the fit with a cost of every column (coloured), as SVG."""
    points, fit, costs = line["points"], line["line"], planes["costs"]
    ends = [{"work": x, "seconds": fit["start"] + fit["slope"] * x} for x in (0, max(point["work"] for point in points))]
    other = [{**point, "seconds": point["columns"] * (costs["column"] + costs["pe"] * point["pes"])} for point in points]
    x = alt.X("work:Q", title="non-zero columns x PEs", axis=alt.Axis(format="~s"))
    y = alt.Y("seconds:Q", title="CPU time of the fast engine, s")
    color = alt.Color("pes:N", title="PEs", sort=list(PES))
    measured = alt.Chart(alt.Data(values=points)).mark_point(filled=True, size=50).encode(x=x, y=y, color=color)
    straight = alt.Chart(alt.Data(values=ends)).mark_line(color="black", strokeDash=[4, 3]).encode(x=x, y=y)
    each = alt.Chart(alt.Data(values=other)).mark_line(strokeWidth=1).encode(x=x, y=y, color=color)
    texts = [f"{row['name']}: {str(row['on']).split(';')[0]}, R2 = {row['value']:.4f}" for row in (line, planes)]
    title = alt.Title(text="Fast engine, one core", subtitle=[f"black: {texts[0]}", f"coloured: {texts[1]}"], anchor="start")
    path.parent.mkdir(parents=True, exist_ok=True)
    (straight + each + measured).properties(title=title, width=560, height=340).save(path)
