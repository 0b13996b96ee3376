"""Layers of a module that cannot be exported: what its submodules are and see while it runs once on example inputs.

What happens between the layers is unknown, so each layer is fed by a hole that depends on the inputs and on all layers before it. The
weights, shapes and order of the layers are exact.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from qsim.compress.aten.lowering import Lowering, numpy_type
from qsim.model.draft import Draft
from qsim.model.network import Network, Operator, TensorType

REASON = "what happens between the modules is unknown, as torch.export failed"


def network_of_hooks(module: nn.Module, example_inputs: Sequence[torch.Tensor], title: str, reason: str) -> Network:
    """Return the layers of ``module`` as a network whose connections are holes."""
    draft = Draft(name=title, source=f"PyTorch module {title}, by hooks ({reason})")
    for place, tensor in enumerate(example_inputs):
        draft.add_input(f"input{place}", _type(tensor))
    before = list(draft.inputs)
    calls, results = _calls(module, example_inputs)
    stored: dict[int, str] = {}
    for number, (path, layer, value, result) in enumerate(calls, 1):
        fed = _hole(draft, f"between.{number}", before, [value])[0]
        low = Lowering(draft, node=_Call(path, result))
        arguments = {
            name: _store(draft, stored, f"{path}.{name}", tensor) for name, tensor in layer.named_parameters(recurse=False)
        }  # fmt: skip
        output = _LAYERS[type(layer)](low, layer, fed, arguments)
        before.append(output)
    outputs = _hole(draft, "between.end", before, results)
    return draft.finish(outputs, allow_unsupported=True)


class _Call:
    """Stands for a node of a program: one call of a module."""

    def __init__(self, path: str, result: torch.Tensor) -> None:
        self.name = path
        self.meta = {"nn_module_stack": {path: (path, None)}, "val": result}


def _type(tensor: torch.Tensor) -> TensorType:
    return TensorType(tuple(tensor.shape), numpy_type(tensor.dtype))


def _calls(module: nn.Module, inputs: Sequence[torch.Tensor]) -> tuple[list[tuple[str, nn.Module, Any, Any]], list[torch.Tensor]]:
    """Run the module; return every call of a known layer as (path, layer, input, result), and the results of the whole."""
    found: list[tuple[str, nn.Module, Any, Any]] = []

    def hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(layer: nn.Module, given: Any, result: Any) -> None:
            found.append((path, layer, given[0].detach(), result[0] if isinstance(result, tuple) else result))

        return record

    handles = [
        layer.register_forward_hook(hook(path or "network")) for path, layer in module.named_modules() if type(layer) in _LAYERS
    ]  # fmt: skip
    try:
        with torch.no_grad():
            result = module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    return found, leaves


def _hole(draft: Draft, name: str, inputs: Sequence[str], results: Sequence[torch.Tensor]) -> tuple[str, ...]:
    outputs = tuple(draft.fresh_tensor(f"{name}.{place}") for place in range(len(results)))
    draft.hints = {**draft.hints, **{output: _type(result) for output, result in zip(outputs, results, strict=True)}}
    operator = Operator(name=draft.fresh(name), kind="torch.forward", inputs=tuple(inputs), outputs=outputs)
    draft.add_hole(operator, REASON)
    return outputs


def _store(draft: Draft, stored: dict[int, str], name: str, tensor: torch.Tensor) -> str:
    """Store a parameter; one that is tied to another is the same constant."""
    key = tensor.data_ptr()
    if key not in stored:
        stored[key] = draft.add_constant(draft.fresh_tensor(name), tensor.detach().cpu().numpy(), weight=True)
    return stored[key]


def _translate(low: Lowering, name: str, given: dict[str, Any]) -> str:
    from qsim.compress.aten import ATEN

    found = ATEN[name](low, given)
    return found if isinstance(found, str) else found[0]


def _linear(low: Lowering, layer: Any, x: str, given: dict[str, str]) -> str:
    return _translate(low, "linear", {"input": x, "weight": given["weight"], "bias": given.get("bias")})


def _convolution(low: Lowering, layer: Any, x: str, given: dict[str, str]) -> str:
    arguments = {"input": x, "weight": given["weight"], "bias": given.get("bias"), "stride": layer.stride, "padding": layer.padding}
    arguments |= {"dilation": layer.dilation, "groups": layer.groups}
    if layer.transposed:
        arguments["output_padding"] = layer.output_padding
    return _translate(low, "conv2d", arguments)


def _recurrent(low: Lowering, layer: Any, x: str, given: dict[str, str]) -> str:
    directions = 2 if layer.bidirectional else 1
    batch = low.shape(x)[0 if layer.batch_first else 1]
    zeros = low.emit("ConstantOfShape", low.integers([layer.num_layers * directions, batch, layer.hidden_size]), dtype="float32")
    name = {nn.LSTM: "lstm", nn.GRU: "gru"}[type(layer)]
    arguments = {
        "input": x, "hx": [zeros, zeros] if name == "lstm" else zeros, "params": list(given.values()), "has_biases": layer.bias,
        "num_layers": layer.num_layers, "train": False, "bidirectional": layer.bidirectional, "batch_first": layer.batch_first,
    }  # fmt: skip
    return _translate(low, name, arguments)


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS: dict[type[nn.Module], Callable[[Lowering, Any, str, dict[str, str]], str]] = {
    nn.Linear: _linear,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
}
