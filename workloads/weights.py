"""Float checkpoints: read and write the weights of a workload as safetensors, which hold numbers only, never code.

A checkpoint has, for each layer ``x``, float32 ``x.weight`` [rows, columns] and ``x.bias`` [rows]. Rows are outputs or output channels,
columns inputs or the elements of a window in the order of :mod:`qsim.model.geometry`.
"""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.errors import DataError, MissingExtra
from qsim.files import write_bytes_atomically
from workloads.workload import Workload

FloatState = dict[str, npt.NDArray[np.float32]]
SHIPPED = Path(__file__).parent / "data"


def expected_shapes(workload: Workload) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor in a checkpoint of ``workload``, in layer order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in workload.layers:
        shapes[f"{layer.name}.weight"] = (layer.rows, layer.columns)
        shapes[f"{layer.name}.bias"] = (layer.rows,)
    return shapes


def check_state(workload: Workload, state: FloatState, where: str) -> None:
    """Raise :class:`DataError` unless ``state`` has exactly the workload's tensors, in shape, and finite."""
    shapes = expected_shapes(workload)
    for name in state.keys() - shapes.keys():
        raise DataError(path=f"{where}: tensor name", rule=f"a tensor of {workload.name}", value=name, legal=shapes)
    for name, shape in shapes.items():
        if name not in state:
            raise DataError(f"{where} lacks the tensor {name!r} of {workload.name}")
        if state[name].shape != shape:
            raise DataError(path=f"{where}: {name} shape", rule=str(shape), value=state[name].shape)
        if not np.all(np.isfinite(state[name])):
            raise DataError(path=f"{where}: {name}", rule="finite numbers", value="NaN or infinity")


def load_weights(workload: Workload, path: Path | None = None) -> FloatState:
    """Return the float32 checkpoint at ``path``, or the shipped one, whose SHA-256 digest is checked."""
    source = SHIPPED / workload.checkpoint if path is None else path
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise DataError(f"the checkpoint {source} cannot be read: {error.strerror}") from error
    if path is None and hashlib.sha256(raw).hexdigest() != workload.checkpoint_sha256:
        raise DataError(f"{source} is not the checkpoint this version ships: its SHA-256 digest differs from {workload.checkpoint_sha256}")
    state = _decode(raw, source)
    check_state(workload, state, str(source))
    return {name: state[name] for name in expected_shapes(workload)}


def _decode(raw: bytes, source: Path) -> FloatState:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError:
        raise MissingExtra("torch", "reading a float checkpoint") from None
    try:
        tensors = load(raw)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{source} is not a safetensors file of numbers numpy knows: {error}") from error
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}


def save_weights(workload: Workload, state: FloatState, path: Path) -> str:
    """Write ``state`` to ``path`` and return the SHA-256 digest of the file."""
    try:
        from safetensors.numpy import save
    except ImportError:
        raise MissingExtra("torch", "writing a float checkpoint") from None
    check_state(workload, state, "the state to save")
    raw: bytes = save({name: np.ascontiguousarray(state[name], dtype=np.float32) for name in expected_shapes(workload)})
    write_bytes_atomically(path, raw)
    return hashlib.sha256(raw).hexdigest()
