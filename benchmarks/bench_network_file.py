"""How fast the matrices of VGG-16 (138,357,544 parameters) are encoded to a ``.qsn`` file and decoded from it, in how much memory.

Synthetic weights, 4-bit codebook codes, at the densities of Deep Compression and with every weight kept. One process each. Encoding is
the time from the quantised matrix to its streams and the whole file, decoding that from the bytes of the file to float32 weights. Peak
memory is that of everything while a matrix is encoded or the file decoded, the float weights of the network and the matrix itself
included; the quantiser's own is a row by itself (Linux only).
"""

import subprocess
import sys

MEASURE = """
import pathlib, re, sys, time
import numpy as np
import qsim.model.network_file as module
from qsim.compress.post_training import Coding, PostTraining
from qsim.estimate import OPTIONS, machine_layer, matrix_layers, machine_weights, restore
from workloads import NETWORKS
def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024
workload, kept = NETWORKS[sys.argv[1]], sys.argv[2] == "all"
before = status("VmRSS")
network = workload.build(0)
coding, took, wall, matrices, peak, whole = PostTraining(coding=Coding.CODEBOOK, bits=4), 0.0, 0.0, [], 0.0, 0.0
refs = pathlib.Path("/proc/self/clear_refs")
for layer in map(machine_layer, matrix_layers(network)):
    form = coding.quantise(machine_weights(network, layer), 1.0 if kept else workload.densities.get(layer.name, workload.density))
    whole = max(whole, status("VmHWM"))
    refs.write_text("5")
    start, clock = time.process_time(), time.perf_counter()
    matrices.append(module.CodedMatrix.of(layer.layer.weight, layer.layer.part, layer.name, form, OPTIONS))
    took += time.process_time() - start
    wall += time.perf_counter() - clock
    del form
    peak = max(peak, status("VmHWM"))
start, clock = time.process_time(), time.perf_counter()
data = module.NetworkFile(network=network, matrices=tuple(matrices)).data
took += time.process_time() - start
wall += time.perf_counter() - clock
peak = max(peak, status("VmHWM"))
encoding, whole = peak - before, max(peak, whole) - before
parameters = network.parameters
del network, matrices
refs.write_text("5")
start, clock = time.process_time(), time.perf_counter()
found = restore(module.NetworkFile.from_bytes(data))
cpu, clock = time.process_time() - start, time.perf_counter() - clock
print(took, wall, encoding, cpu, clock, status("VmHWM") - before, len(data), parameters, whole)
"""


def run() -> list[dict[str, object]]:
    """Return the rows."""
    return [*_rows("as Deep Compression keeps", "published"), *_rows("every weight kept", "all")]


def _rows(name: str, kept: str) -> list[dict[str, object]]:
    words = [sys.executable, "-c", MEASURE, "vgg-16", kept]
    found = list(map(float, subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()))
    size = 4 * found[7] / 2**20
    on = f"SYNTHETIC weights, {name}, file {found[6] / 1e6:,.1f} MB"
    rows = []
    for verb, (cpu, wall, memory) in {"encode": found[:3], "decode": found[3:6]}.items():
        rows.append({"name": f"VGG-16: {verb}", "value": cpu, "unit": "CPU s", "target": "< 60", "on": f"{on}; {wall:.1f} s wall"})
        rows.append({"name": f"VGG-16: {verb}, peak memory / float32", "value": memory / size, "unit": "x", "target": "< 3", "on": on})
    return [*rows, {"name": "VGG-16: quantise, peak memory / float32", "value": found[8] / size, "unit": "x", "target": "", "on": on}]
