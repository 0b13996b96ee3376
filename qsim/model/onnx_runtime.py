"""ONNX Runtime as the reference of an imported ONNX file."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import FileFormatError, MissingExtra
from qsim.model.agreement import TOLERANCE, Agreement, compare
from qsim.model.network import Array, Network
from qsim.progress import Progress, silent

ERRORS_ONLY = 3


def check_onnx(
    path: str | Path,
    network: Network,
    *,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Agreement:
    """Compare a network with ONNX Runtime on the file that it was read from, with the same ``fixed`` inputs.

    Raises :class:`MissingExtra` without onnxruntime and :class:`FileFormatError` for a mismatch, or a file that ONNX Runtime refuses.
    """
    runtime = _need_runtime()
    against = f"ONNX Runtime {runtime.__version__}"
    return compare(network, _reference(runtime, path, fixed or {}), against=against, seed=seed, tolerance=tolerance, progress=progress)


def _need_runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtra("onnx", "checking a network against ONNX Runtime") from error


def _reference(runtime: Any, path: str | Path, fixed: Mapping[str, float]) -> Callable[[Mapping[str, Array]], Sequence[Array]]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL  # node by node, as the file says

    def reference(inputs: Mapping[str, Array]) -> Sequence[Array]:
        error_types = _error_types(runtime)
        try:
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            feed = dict(inputs) | {item.name: _filled(item, fixed[item.name]) for item in session.get_inputs() if item.name in fixed}
            known = {item.name for item in session.get_inputs()}
            found: Sequence[Array] = session.run(None, {name: value for name, value in feed.items() if name in known})
        except error_types as error:
            raise FileFormatError(f"ONNX Runtime cannot run {path}: {str(error).splitlines()[0]}") from error
        return found

    return reference


def _error_types(runtime: Any) -> tuple[type[Exception], ...]:
    """Return the errors of ONNX Runtime, which have only RuntimeError or ValueError in common."""
    state = runtime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented", "RuntimeException")
    return (*(getattr(state, name) for name in names), RuntimeError, ValueError)


def _filled(item: Any, value: float) -> Array:
    """Return a fixed input as ONNX Runtime wants it; open sizes are 1."""
    shape = [size if isinstance(size, int) else 1 for size in item.shape]
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(bool)": np.bool_}
    return np.full(shape, value, dtype=kinds.get(item.type, np.float32))
