"""How fast an ONNX file is read, in how much memory, and how fast the float reference runs.

The files are made here, with random weights: 100 MB of fully connected layers, and VGG-16 (138,357,544 parameters, 553 MB).
Time and peak memory are those of a process of its own, the memory less what it takes before it reads (Linux only).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MEASURE = """
import pathlib, re, sys, time
import numpy as np
import onnx, onnx.checker, onnx.numpy_helper
import qsim.model.onnx_import, qsim.model.onnx_runtime
from qsim.model.agreement import random_inputs
from qsim.model.reference import run
def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024
path, checked = sys.argv[1], sys.argv[2] == "checked"
before, start = status('VmRSS'), time.perf_counter()
network = qsim.model.onnx_import.import_onnx(path)
read, memory = time.perf_counter() - start, status('VmHWM') - before
feed = random_inputs(network, 0)
start = time.perf_counter()
run(network, feed)
ran, total = time.perf_counter() - start, status('VmHWM') - before
error = qsim.model.onnx_runtime.check_onnx(path, network).max_error if checked else -1
print(read, memory, ran, total, error)
"""
SIDE = 2560  # a layer of 26 MB


def run() -> list[dict[str, object]]:
    """Return the rows."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows("100 MB of fully connected layers", _connected(Path(folder) / "connected.onnx", 4), checked=True)
        rows += _rows("VGG-16, 224 x 224", _vgg16(Path(folder) / "vgg16.onnx"), checked=True)
    return rows


def _rows(name: str, path: Path, *, checked: bool) -> list[dict[str, object]]:
    words = [sys.executable, "-c", MEASURE, str(path), "checked" if checked else "read"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    read, memory, ran, total, error = map(float, found)
    size = path.stat().st_size / 2**20
    on = f"{size:,.0f} MB file, random weights, one process of its own"
    return [
        {"name": f"{name}: read", "value": read, "unit": "s", "target": "< 10 at 100 MB", "on": on},
        {"name": f"{name}: peak memory / file, reading", "value": memory / size, "unit": "x", "target": "< 3", "on": on},
        {"name": f"{name}: float reference, one input", "value": ran, "unit": "s", "target": "a few", "on": on},
        {"name": f"{name}: peak memory / file, reference", "value": total / size, "unit": "x", "target": "", "on": on},
        {"name": f"{name}: max error against ONNX Runtime", "value": error, "unit": "of output", "target": "< 1e-4", "on": on},
    ]


def _save(path: Path, nodes: list[object], constants: dict[str, np.ndarray], shape: list[int]) -> Path:
    import onnx
    from onnx import helper, numpy_helper

    value = helper.make_tensor_value_info
    out = value("y", onnx.TensorProto.FLOAT, [1, None])
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "made", [value("x", onnx.TensorProto.FLOAT, shape)], [out], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return weights that keep the size of activations (He et al. 2015)."""
    return (rng.standard_normal(shape, dtype=np.float32) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


def _connected(path: Path, layers: int) -> Path:
    from onnx import helper

    rng, nodes, constants = np.random.default_rng(0), [], {}
    for place in range(layers):
        constants[f"w{place}"] = _random(rng, SIDE, SIDE)
        output = "y" if place == layers - 1 else f"h{place}"
        nodes.append(helper.make_node("Gemm", [f"h{place - 1}" if place else "x", f"w{place}"], [output], transB=1))
    return _save(path, nodes, constants, [1, SIDE])


def _vgg16(path: Path) -> Path:
    """Return VGG-16 as in Simonyan and Zisserman 2015, configuration D."""
    from onnx import helper

    rng, nodes, constants = np.random.default_rng(0), [], {}
    tensor, channels = "x", 3

    def add(kind: str, *weights: np.ndarray, **attributes: object) -> None:
        nonlocal tensor
        place = len(nodes)
        names = [f"{kind}{place}.{number}" for number in range(len(weights))]
        constants.update(zip(names, weights, strict=True))
        nodes.append(helper.make_node(kind, [tensor, *names], [f"t{place}"], name=f"{kind}{place}", **attributes))
        tensor = f"t{place}"

    for block, wide in zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512), strict=True):
        for _ in range(block):
            add("Conv", _random(rng, wide, channels, 3, 3), np.zeros(wide, np.float32), pads=[1, 1, 1, 1])
            add("Relu")
            channels = wide
        add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten")
    for outputs, inputs in ((4096, 25088), (4096, 4096), (1000, 4096)):
        add("Gemm", _random(rng, outputs, inputs), np.zeros(outputs, np.float32), transB=1)
    nodes.append(helper.make_node("Identity", [tensor], ["y"]))
    return _save(path, nodes, constants, [1, 3, 224, 224])
