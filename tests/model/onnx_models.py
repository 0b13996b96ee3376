"""ONNX files for tests: made node by node, and exported from PyTorch modules."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from qsim.model.agreement import Agreement
from qsim.model.network import Network
from qsim.model.onnx_import import import_onnx
from qsim.model.onnx_runtime import check_onnx

NEWEST = 21  # operator set


def value_info(name: str, array: np.ndarray) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def write_nodes(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    opset: int = NEWEST,
    types: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model whose inputs are like arrays; the outputs are floats, shaped by ONNX, unless ``types`` says more."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [value_info(name, array) for name, array in inputs.items()],
        [(types or {}).get(name) or helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
    return path


def write_operator(
    path: Path,
    kind: str,
    moving: Sequence[np.ndarray | None],
    constants: Sequence[np.ndarray | None] = (),
    *,
    opset: int = NEWEST,
    outputs: int = 1,
    dtype: int | Sequence[int] = onnx.TensorProto.FLOAT,
    like_input: bool = False,
    **attributes: Any,
) -> Path:
    """Write a model of one node: inputs that move, then constants; None for an optional input that is not given.

    ``dtype``: of all outputs, or one each. ``like_input``: the output has the shape of the first input, where ONNX does not infer it.
    """
    names = [f"x{place}" if value is not None else "" for place, value in enumerate(moving)]
    fixed = [f"c{place}" if value is not None else "" for place, value in enumerate(constants)]
    results = [f"y{place}" for place in range(outputs)]
    dtypes = [dtype] * outputs if isinstance(dtype, int) else dtype
    return write_nodes(
        path,
        [helper.make_node(kind, [*names, *fixed], results, **attributes)],
        {name: value for name, value in zip(names, moving, strict=True) if value is not None},
        {name: value for name, value in zip(fixed, constants, strict=True) if value is not None},
        results,
        opset,
        {
            name: helper.make_tensor_value_info(name, kind, moving[0].shape if like_input else None)
            for name, kind in zip(results, dtypes, strict=True)
        },
    )


def agree(path: Path, **options: Any) -> tuple[Network, Agreement]:
    """Import a file and compare it with ONNX Runtime: an error of the comparison fails the test."""
    network = import_onnx(path, **options)
    agreement = check_onnx(path, network, fixed=options.get("fixed"))
    assert [found.output for found in agreement.outputs] == list(network.outputs)
    return network, agreement


def export(path: Path, module: Any, inputs: Any, **options: Any) -> Path:
    """Export a PyTorch module in evaluation mode."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, path, dynamo=False, **options)
    return path
