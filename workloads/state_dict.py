"""Trained weights given by the user: state dicts as torchvision names them, as ``.safetensors`` or as ``.pth``/``.pt`` (weights only).

A :class:`Counterpart` says which module of a published model each layer of a network is, and which batch normalisation follows it; that
is folded: ``s = g / sqrt(v + e)``, weights ``s W``, bias ``s (c - m) + b``, in float64. A file with a network's own names
(``conv1.weight``, ``conv1.bias``, ...) is read as well. Nothing in a file is executed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qsim.errors import DataError, MissingExtra
from qsim.model.network import Array, Network

EPSILON = 1e-5  # of every batch normalisation in torchvision's classifiers
NORM = ("weight", "bias", "running_mean", "running_var")
IGNORED = ("num_batches_tracked",)
State = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A published model: ``modules`` gives for each layer its module and the batch normalisation behind it, or None."""

    name: str
    modules: Mapping[str, tuple[str, str | None]]

    def shapes(self, network: Network) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every tensor that the state dict has."""
        found: dict[str, tuple[int, ...]] = {}
        for layer, (module, norm) in self.modules.items():
            weight = network.constants[f"{layer}.weight"]
            found[f"{module}.weight"] = weight.shape
            names = [f"{module}.bias"] if norm is None else [f"{norm}.{part}" for part in NORM]
            found.update(dict.fromkeys(names, weight.shape[:1]))
        return found

    def constants(self, state: State) -> dict[str, Array]:
        """Return the constants of the network, batch normalisation folded."""
        found: dict[str, Array] = {}
        for layer, (module, norm) in self.modules.items():
            weight = state[f"{module}.weight"]
            if norm is None:
                found[f"{layer}.weight"], found[f"{layer}.bias"] = weight, state[f"{module}.bias"]
                continue
            scale, shift, mean, variance = (state[f"{norm}.{part}"].astype(np.float64) for part in NORM)
            factor = scale / np.sqrt(variance + EPSILON)
            spread = factor.reshape(-1, *(1,) * (weight.ndim - 1))
            found[f"{layer}.weight"] = (weight * spread).astype(np.float32)
            found[f"{layer}.bias"] = (shift - mean * factor).astype(np.float32)
        return found


def load_state(network: Network, counterpart: Counterpart | None, path: Path) -> Network:
    """Return ``network`` with the weights in ``path``: under the names of ``counterpart`` or its own, whichever the file has more of.

    Raises :class:`DataError` naming tensors that are missing, too many, of another shape or not finite.
    """
    state = _plain_names(read_state(path))
    own = {name: network.constants[name].shape for name in sorted(network.weights)}
    published = {} if counterpart is None else counterpart.shapes(network)
    named = counterpart is not None and len(state.keys() & published.keys()) >= len(state.keys() & own.keys())
    label = f"{counterpart.name}" if counterpart is not None and named else network.name
    _check(state, published if named else own, f"{path.name} for {label}")
    found = counterpart.constants(state) if counterpart is not None and named else {name: state[name] for name in own}
    return replace(network, constants={**network.constants, **found}, source=f"weights of {path.name} ({label})")


def read_state(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return every tensor of a file as float32. Raises :class:`DataError` for a file that cannot be read."""
    if not path.is_file():
        raise DataError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
    match path.suffix:
        case ".safetensors":
            return _read_safetensors(path)
        case ".pth" | ".pt":
            return _read_torch(path)
        case _:
            raise DataError(path="--weights", rule="a .safetensors, .pth or .pt file", value=path.name)


def _read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise MissingExtra("torch", "reading weights") from None
    try:
        tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{path} is not a safetensors file of numbers numpy knows: {error}") from error
    return {name: np.asarray(value, dtype=np.float32) for name, value in tensors.items() if not name.endswith(IGNORED)}


def _read_torch(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "reading weights") from None
    import pickle

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is not a PyTorch file of weights alone: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()):
        raise DataError(path=str(path), rule="a state dict: tensors by name", value=type(content).__name__)
    return {name: value.detach().to(torch.float32).numpy() for name, value in state.items() if not name.endswith(IGNORED)}


def _plain_names(state: dict[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """Return ``state`` without the prefix that data parallel training puts before every name."""
    wrapped = bool(state) and all(name.startswith("module.") for name in state)
    return {name.removeprefix("module."): value for name, value in state.items()} if wrapped else state


def _check(state: State, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    wrong: list[str] = []
    wrong += [f"{name} is missing" for name in shapes if name not in state]
    wrong += [f"{name} is not of this network" for name in state if name not in shapes]
    wrong += [
        f"{name} is {list(state[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in state and state[name].shape != shape
    ]
    wrong += [f"{name} has NaN or infinity" for name in shapes if name in state and not np.all(np.isfinite(state[name]))]
    if wrong:
        more = f", and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise DataError(f"{where}: {'; '.join(wrong[:6])}{more}")


def sequence(layers: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    """Return ``modules`` of layers without batch normalisation."""
    return {layer: (module, None) for layer, module in layers.items()}
