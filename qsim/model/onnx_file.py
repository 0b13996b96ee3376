"""An ONNX file, read and checked, with every size of its inputs fixed."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import FileFormatError, MissingExtra
from qsim.model.network import Array, TensorType

OLDEST_OPERATOR_SET = 7  # 9 and later are tested; 7 and 8 differ in nothing that is read here
MOST_ELEMENTS = 1 << 28  # of an input: a gigabyte of float32
ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A checked model (``proto``, onnx's ModelProto) and the file that it was read from."""

    path: Path
    proto: Any

    @property
    def operator_set(self) -> int:
        """Version of ONNX's own operators."""
        return max((item.version for item in self.proto.opset_import if item.domain in ONNX_DOMAINS), default=1)

    def array(self, tensor: Any) -> Array:
        """Return the value of a TensorProto, external data included. Raises :class:`FileFormatError` for one that is broken."""
        onnx = need_onnx()
        try:
            found: Array = onnx.numpy_helper.to_array(tensor, str(self.path.parent))
        except (ValueError, TypeError, OSError, onnx.checker.ValidationError) as error:
            raise FileFormatError(f"{self.path}: tensor {tensor.name!r} cannot be read: {error}") from error
        return found


def need_onnx() -> Any:
    """Return the package onnx. Raises :class:`MissingExtra` without it."""
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtra("onnx", "reading an ONNX file") from error


def read_file(path: str | Path) -> OnnxFile:
    """Read and check a file; external data stay in their own files until they are used.

    Raises :class:`MissingExtra` without onnx and :class:`FileFormatError` for what is no ONNX file, or one that its checker refuses.
    """
    onnx, place = need_onnx(), Path(path)
    decode_error: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError
    if not place.is_file():
        raise FileFormatError(f"cannot read {place}: {'not a file' if place.exists() else 'it does not exist'}")
    try:
        onnx.checker.check_model(str(place))
        proto = onnx.load(place, load_external_data=False)
    except OSError as error:
        raise FileFormatError(f"cannot read {place}: {error.strerror}") from error
    except onnx.checker.ValidationError as error:
        raise FileFormatError(f"{place} is not a valid ONNX file: {_first_line(error)}") from error
    except (decode_error, ValueError) as error:
        raise FileFormatError(path=str(place), rule="an ONNX file", value=_first_line(error)) from error
    found = OnnxFile(place, proto)
    if found.operator_set < OLDEST_OPERATOR_SET:
        raise FileFormatError(path=f"{place} operator set", rule=f"at least {OLDEST_OPERATOR_SET}", value=found.operator_set)
    if not proto.functions:
        return found
    return OnnxFile(place, importlib.import_module("onnx.inliner").inline_local_functions(proto))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def input_types(file: OnnxFile, dims: Mapping[str, int]) -> dict[str, TensorType]:
    """Return the type of every input that is no initializer; ``dims`` gives the sizes that the file leaves open.

    A size is named as in the file (``{"N": 1}``), or by input and axis (``{"x:0": 1}``). Raises :class:`FileFormatError` for a size
    that is not given, and for a name that the file has not.
    """
    onnx, stored = need_onnx(), {item.name for item in file.proto.graph.initializer}
    used, found = set[str](), {}
    for item in file.proto.graph.input:
        if item.name in stored:
            continue
        if not item.type.HasField("tensor_type") or not item.type.tensor_type.HasField("shape"):
            raise FileFormatError(path=f"{file.path} input {item.name!r}", rule="a tensor of declared rank", value="another type")
        axes = item.type.tensor_type.shape.dim
        shape = tuple(_size(file, item.name, axis, dim, dims, used) for axis, dim in enumerate(axes))
        if math.prod(shape) > MOST_ELEMENTS:
            raise FileFormatError(path=f"{file.path} input {item.name!r}", rule=f"of at most {MOST_ELEMENTS:,} elements", value=list(shape))
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))
        found[item.name] = TensorType(shape, dtype)
    for name in dims:
        if name not in used:
            legal = sorted(_open_names(file, set(found)))
            raise FileFormatError(path="dims", rule=f"open sizes of {file.path}", value=name, legal=legal)
    return found


def _size(file: OnnxFile, name: str, axis: int, dim: Any, dims: Mapping[str, int], used: set[str]) -> int:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    by_place = f"{name}:{axis}"
    for key in (by_place, dim.dim_param):
        if key and key in dims:
            used.add(key)
            if dims[key] < 1:
                raise FileFormatError(path=f"dims.{key}", rule="at least 1", value=dims[key])
            return dims[key]
    key = dim.dim_param or by_place
    raise FileFormatError(f"{file.path}: input {name!r} leaves the size of axis {axis} open: fix it, for example {key}=1")


def _open_names(file: OnnxFile, inputs: set[str]) -> set[str]:
    found = set()
    for item in file.proto.graph.input:
        for axis, dim in enumerate(item.type.tensor_type.shape.dim if item.name in inputs else ()):
            if not (dim.HasField("dim_value") and dim.dim_value > 0):
                found.add(dim.dim_param or f"{item.name}:{axis}")
    return found


def inferred_types(path: Path, types: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """Return what ONNX's shape inference knows of every tensor, with the inputs as given; nothing for files above 2 GB."""
    onnx, file = need_onnx(), read_file(path)
    for item in file.proto.graph.input:
        for dim, size in zip(item.type.tensor_type.shape.dim, types[item.name].shape if item.name in types else (), strict=False):
            dim.dim_value = size
    try:
        proto = onnx.shape_inference.infer_shapes(file.proto, data_prop=True)
    except (ValueError, RuntimeError):
        return {}
    found = {}
    for item in (*proto.graph.value_info, *proto.graph.output):
        dims = item.type.tensor_type.shape.dim
        if item.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))
            found[item.name] = TensorType(tuple(int(dim.dim_value) for dim in dims), dtype)
    return found
