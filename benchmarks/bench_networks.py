"""How fast whole networks are simulated, cycle exact with all counters, and that the cost is linear in non-zero columns times PEs.

Weights are synthetic at the published densities, activations from inference on one random image. The peers' figures are not measured
here: docs/timing.md quotes them with their source.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import altair as alt
import numpy as np

from benchmarks.bench_sim import best
from qsim.arch.presets import EIE
from qsim.arch.timing import TIMINGS
from qsim.sim.fast_pixels import map_of, simulate_pixels
from qsim.sim.pixels import PixelPrograms, narrowest

TARGETS = {"vgg-16": "< 3 s, < 2 GB", "resnet-50": "< 3 s", "alexnet": "< 3 s", "resnet-18": "", "mobilenet-v1": "", "squeezenet": ""}
PLOT = Path("out/bench-cost.svg")


def run() -> list[dict[str, object]]:
    """Return the rows."""
    rows: list[dict[str, object]] = []
    for name, target in TARGETS.items():
        done = subprocess.run([sys.executable, "-m", "benchmarks.network", name], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        seconds, cycles = found["simulate"], found["cycles"]
        size = f"{cycles:,} cycles on 64 PEs; {found['gigabytes']:.2f} GB with weights, preparation and inference"
        before = f"prepared in {found['prepare']:.1f} s, inferred in {found['inference']:.1f} s"
        speed = f"{found['pe_items'] / seconds / 1e9:.2f} G PE-items/s; {before}"
        rows.append({"name": f"{name} simulated, one image", "value": seconds, "unit": "CPU s", "target": target, "on": size})
        rows.append({"name": f"{name} cycles", "value": cycles / seconds / 1e6, "unit": "M/CPU s", "target": ">= 50", "on": speed})
    return [*rows, _linear()]


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


def _linear() -> dict[str, object]:
    """Fit the time to a constant an item and one a PE-item, and draw it."""
    found = []
    for pes in (32, 64, 128, 256):
        for density in (0.1, 0.2, 0.4, 0.8):
            pixels = layer(pes, density)
            items = int(simulate_pixels(pixels).uses.sum())
            seconds = best(partial(simulate_pixels, pixels), 5)
            found.append({"PEs": pes, "items": items, "seconds": seconds, "PE-items": items * pes})
    terms = np.array([[row["items"], row["PE-items"]] for row in found], dtype=np.float64)
    measured = np.array([row["seconds"] for row in found])
    cost, *_ = np.linalg.lstsq(terms, measured, rcond=None)
    share = 1 - float(np.sum((measured - terms @ cost) ** 2) / np.sum((measured - measured.mean()) ** 2))
    chart = alt.Chart(alt.Data(values=found)).mark_line(point=True).encode(x="PE-items:Q", y="seconds:Q", color="PEs:N")
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    chart.save(PLOT)
    text = f"{cost[0] * 1e9:.1f} ns an item + {cost[1] * 1e12:.0f} ps a PE-item, 32 to 256 PEs, 10 to 80 % activations; {PLOT}"
    return {"name": "cost linear in non-zero columns x PEs", "value": share, "unit": "R2", "target": ">= 0.97", "on": text}
