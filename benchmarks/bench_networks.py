"""How fast whole networks are simulated, cycle exact with all counters.

Weights are synthetic at the published densities, activations from inference on one random image. The peers' figures are not measured
here: docs/timing.md quotes them with their source.
"""

import json
import subprocess
import sys

TARGETS = {"vgg-16": "< 3 s, < 2 GB", "resnet-50": "< 3 s", "alexnet": "< 3 s", "resnet-18": "", "mobilenet-v1": "", "squeezenet": ""}


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
    return rows
