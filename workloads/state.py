"""Networks from a state dictionary: tensors by the names that PyTorch gives them, which decide every size.

Files are read with what can hold no code: safetensors, or ``torch.load`` with ``weights_only``.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qsim.errors import DataError, MissingExtra
from qsim.model.batch_norm import fold_batch_norm
from qsim.model.network import Array, Network
from workloads.builder import Builder

State = Mapping[str, Array]
UNREADABLE = (RuntimeError, ValueError, TypeError, KeyError, OSError, EOFError, pickle.UnpicklingError)


def read_state(path: Path, part: str | None = None) -> State:
    """Return the tensors of a .safetensors file or of one that ``torch.save`` wrote, there of its entry ``part`` if given.

    Raises :class:`MissingExtra` without safetensors or PyTorch, and :class:`DataError` for what is no such file.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise MissingExtra("torch", "reading trained weights") from None
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
        found = found if part is None else found[part]
        return {name: value.numpy() for name, value in found.items() if isinstance(value, torch.Tensor)}
    except (*UNREADABLE, SafetensorError, AttributeError) as error:
        raise DataError(f"{path} is not a file of weights: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


class StateBuilder(Builder):
    """A builder whose weights come from ``state``; sizes are those of the tensors there."""

    def __init__(self, name: str, source: str, state: State) -> None:
        super().__init__(name, 0)
        self.draft.source = source
        self.state = state

    def tensor(self, name: str, rank: int) -> Array:
        """Return a tensor of ``rank`` axes as float32. Raises :class:`DataError` where it is missing or has another rank."""
        if name not in self.state:
            raise DataError(f"the weights of {self.draft.name} lack the tensor {name!r}")
        value = self.state[name]
        if value.ndim != rank or not np.all(np.isfinite(value)):
            raise DataError(path=f"{self.draft.name}: {name}", rule=f"of {rank} axes and finite", value=list(value.shape))
        return np.ascontiguousarray(value, dtype=np.float32)

    def trained(self, name: str, rank: int) -> str:
        """Store a tensor as a weight, once."""
        return name if name in self.draft.constants else self.draft.add_constant(name, self.tensor(name, rank), weight=True)

    def layer(self, name: str, x: str, *, stride: tuple[int, int], pads: tuple[int, int, int, int], groups: int = 1) -> str:
        """A convolution; ``pads`` are top, left, bottom, right. It has a bias where the state has one."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        kernel = self.tensor(weight, 4).shape[2:]
        parts = [x, self.trained(weight, 4), *([self.trained(bias, 1)] if bias in self.state else [])]
        return self.op("Conv", name, *parts, kernel_shape=tuple(map(int, kernel)), strides=stride, pads=pads, group=groups)

    def normalised(self, name: str, x: str, epsilon: float) -> str:
        """Batch normalisation with the statistics of training."""
        parts = [self.trained(f"{name}.{part}", 1) for part in ("weight", "bias")]
        parts += [self.constant(f"{name}.{part}", self.tensor(f"{name}.{part}", 1)) for part in ("running_mean", "running_var")]
        return self.op("BatchNormalization", name, x, *parts, epsilon=epsilon)

    def linear(self, name: str, x: str) -> str:
        """A fully connected layer over the last of two axes."""
        return self.op("Gemm", name, x, self.trained(f"{name}.weight", 2), self.trained(f"{name}.bias", 1), transB=1)

    def network(self, *outputs: str) -> Network:
        """Return the network with batch normalisation folded where a layer stands before it."""
        return fold_batch_norm(super().network(*outputs))
