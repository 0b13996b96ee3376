"""One network in a process of its own: ``python -m benchmarks.network NAME`` prints the figures as JSON, so that its memory is its own."""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from qsim.arch.presets import MACHINES
from qsim.estimate import Plan, infer_zeros, prepare, simulate
from qsim.sim.fast import warm_up
from workloads import NETWORKS

MACHINE = "sparse-layer-dram"
Result = TypeVar("Result")


def timed(action: Callable[[], Result]) -> tuple[Result, float]:
    """Return what ``action`` returns and its process time in seconds."""
    start = time.process_time()
    found = action()
    return found, time.process_time() - start


def main(name: str) -> None:
    """Build, prepare, infer on one random image and simulate; the kernels are compiled before, as `make setup` does."""
    workload = NETWORKS[name]
    plan = Plan(density=workload.density, densities=workload.densities)
    warm_up()
    prepared, before = timed(lambda: prepare(workload.build(0), MACHINES[MACHINE], plan))
    random = np.random.default_rng(0)
    image = {tensor: random.random(prepared.network.tensors[tensor].shape, dtype=np.float32) for tensor in prepared.network.inputs}
    zeros, inference = timed(lambda: infer_zeros(prepared, image))
    results, seconds = timed(lambda: simulate(prepared, zeros))
    cycles = sum(result.cycles for result in results)
    items = sum(result.events["columns"] for result in results) * MACHINES[MACHINE].array.pes
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = {"prepare": before, "inference": inference, "simulate": seconds, "cycles": cycles, "pe_items": items, "gigabytes": gigabytes}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
