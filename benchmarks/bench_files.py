"""How small the files are, and how fast they are written and read."""

import time

from benchmarks.files import compressed
from qsim.model.compressed import CompressedModel
from qsim.run import load_file
from workloads.mnist import load_test

RECIPES = {"smallest": ">= 120 at <= 1.64 %", "deep-compression": ">= 40"}


def run() -> list[dict[str, object]]:
    """Return the rows."""
    rows: list[dict[str, object]] = []
    test = load_test()
    for recipe, target in RECIPES.items():
        path = compressed(recipe)
        loaded = load_file(path, test)
        assert loaded.quality is not None
        error = f"{loaded.quality.test_error:.2f} % test error, {loaded.file_bytes:,} bytes on disk"
        ratio = 4 * loaded.model.graph.parameters / loaded.file_bytes
        rows.append({"name": f"{recipe}: float32 bytes / file", "value": ratio, "unit": "x", "target": target, "on": error})
        start = time.perf_counter()
        model = CompressedModel.load(path)
        read = time.perf_counter() - start
        size = f"{model.graph.parameters:,} parameters"
        rows.append({"name": f"{recipe}: read and decode", "value": read * 1e3, "unit": "ms", "on": size})
    return rows
