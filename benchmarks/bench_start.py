"""How long a person waits: start of the command, and of a simulation of the whole network on four machines."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.files import compressed

REPEATS = 5
FOUR = ("dense-16b-dram", "codebook-dram", "sparse-huffman-dram", "sparse-sram")


def seconds(words: list[str]) -> float:
    """Return the median wall time of a command, after one run that fills the caches."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run([str(Path(sys.executable).parent / "qsim"), *words], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def run() -> list[dict[str, object]]:
    """Return the rows."""
    machines = [word for name in FOUR for word in ("-m", name)]
    file = str(compressed("smallest"))
    return [
        {"name": "qsim --help", "value": seconds(["--help"]), "unit": "s", "target": "< 0.5", "on": "process start included"},
        {
            "name": "qsim simulate, LeNet-300-100 on 4 machines",
            "value": seconds(["simulate", file, *machines]),
            "unit": "s",
            "target": "< 2",
            "on": "smallest.qsz, 10 images a machine, error on 10,000 images, process start included",
        },
    ]
