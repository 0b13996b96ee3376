"""ONNX Runtime as the reference of an imported ONNX file.

Where the network rounds to 8 bits on the way, ONNX Runtime is asked for every tensor, and they are compared one by one.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import FileFormatError, MissingExtra
from qsim.model.agreement import TOLERANCE, Agreement, compare, compare_one_by_one, rounds
from qsim.model.network import Array, Network
from qsim.model.onnx_file import need_onnx
from qsim.progress import Progress, silent

ERRORS_ONLY = 3
MOST_BYTES = (1 << 31) - 1  # of a model in memory

Run = Callable[[Mapping[str, Array]], Sequence[Array]]


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
    told = _with_tensors(path, network) if rounds(network) else None
    if told is None:
        reference = _reference(runtime, path, str(path), None, fixed or {})
        return compare(network, reference, against=against, seed=seed, tolerance=tolerance, progress=progress)
    model, names = told
    every = _reference(runtime, path, model, names, fixed or {})
    return compare_one_by_one(
        network, lambda feed: dict(zip(names, every(feed), strict=True)), against=against, seed=seed, tolerance=tolerance, progress=progress
    )


def _with_tensors(path: str | Path, network: Network) -> tuple[bytes, list[str]] | None:
    """Return the model of a file with all tensors that the network has too as outputs, and their names; None where it is too large."""
    onnx = need_onnx()
    proto = onnx.load(path)
    made = {tensor for operator in network.operators for tensor in operator.outputs if tensor}
    names = [tensor for node in proto.graph.node for tensor in node.output if tensor in made]
    outputs = {item.name for item in proto.graph.output}
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in outputs)
    return (proto.SerializeToString(), names) if proto.ByteSize() <= MOST_BYTES else None


def _need_runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtra("onnx", "checking a network against ONNX Runtime") from error


def _reference(runtime: Any, path: str | Path, model: str | bytes, names: Sequence[str] | None, fixed: Mapping[str, float]) -> Run:
    """Return what runs a ``model`` (a file or its bytes) and returns tensors by ``names``, None: its outputs; errors name ``path``."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL  # node by node, as the file says

    def reference(inputs: Mapping[str, Array]) -> Sequence[Array]:
        error_types = _error_types(runtime)
        try:
            session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            feed = dict(inputs) | {item.name: _filled(item, fixed[item.name]) for item in session.get_inputs() if item.name in fixed}
            known = {item.name for item in session.get_inputs()}
            found: Sequence[Array] = session.run(names, {name: value for name, value in feed.items() if name in known})
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
