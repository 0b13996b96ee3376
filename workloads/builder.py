"""Float networks written layer by layer, with seeded synthetic weights: for sizes, speed and cost of networks whose weights are not here.

Weights are normal with standard deviation ``sqrt(2 / inputs of an output)`` (He et al., ICCV 2015), biases 0. Batch normalisation is
folded: a convolution has a bias in its place, and :attr:`Builder.folded` counts the parameters that this leaves out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qsim.model.draft import Draft
from qsim.model.network import Array, Attribute, Network, Operator, TensorType
from workloads.state_dict import Counterpart

FLOAT = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkWorkload:
    """A network from the literature.

    ``build(seed)`` makes it with synthetic weights. ``parameters``: as published, batch normalisation with its scale and shift included;
    ``folded``: how many of them folding leaves out. ``densities``: weights kept, by layer, as published, or ``density`` for all others,
    chosen here where ``density_source`` says so. ``counterpart``: the published model whose trained weights fit.
    """

    name: str
    citation: str
    build: Callable[[int], Network]
    parameters: int
    parameters_source: str
    folded: int = 0
    densities: Mapping[str, float] = field(default_factory=dict)
    density: float = 1.0
    density_source: str
    counterpart: Counterpart | None = None


class Builder:
    """Appends operators; every method returns the tensor that it makes."""

    def __init__(self, name: str, seed: int) -> None:
        source = f"SYNTHETIC weights: normal, deviation sqrt(2 / inputs), seed {seed}"
        self.draft = Draft(name=name, source=source)
        self.random = np.random.default_rng(seed)
        self.folded = 0

    def input(self, name: str, *shape: int) -> str:
        """Declare an input."""
        self.draft.add_input(name, TensorType(shape, FLOAT))
        return name

    def constant(self, name: str, value: Array) -> str:
        """Store a constant that is no weight."""
        return self.draft.add_constant(name, value)

    def weight(self, name: str, *shape: int, fan_in: int) -> str:
        """Draw a weight."""
        values = self.random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(math.sqrt(2 / fan_in))
        return self.draft.add_constant(name, values, weight=True)

    def bias(self, name: str, size: int) -> str:
        """Return a bias of zeros."""
        return self.draft.add_constant(name, np.zeros(size, dtype=np.float32), weight=True)

    def op(self, kind: str, name: str, *inputs: str, outputs: int = 1, **attributes: Attribute) -> str:
        """Append any operator; returns its first output."""
        names = tuple(name if place == 0 else f"{name}.{place}" for place in range(outputs))
        self.draft.add(Operator(name=name, kind=kind, inputs=inputs, outputs=names, attributes=attributes))
        return names[0]

    def channels(self, tensor: str) -> int:
        """Return the size of axis 1."""
        return int(self.draft.values[tensor].shape[1])

    def conv(
        self,
        name: str,
        x: str,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = True,
        norm: bool = False,
    ) -> str:
        """A convolution; with ``norm`` its bias is what a folded batch normalisation leaves."""
        own = self.channels(x) // groups
        weight = self.weight(f"{name}.weight", out, own, kernel, kernel, fan_in=own * kernel * kernel)
        self.folded += out * norm
        parts = (x, weight, self.bias(f"{name}.bias", out)) if bias or norm else (x, weight)
        return self.op("Conv", name, *parts, kernel_shape=(kernel, kernel), strides=(stride, stride), pads=(pad,) * 4, group=groups)

    def relu(self, x: str) -> str:
        """A ReLU."""
        return self.op("Relu", f"{x}.relu", x)

    def relu6(self, x: str) -> str:
        """A clip to 0 to 6."""
        for name, value in (("zero", 0.0), ("six", 6.0)):
            if name not in self.draft.constants:
                self.constant(name, np.array(value, dtype=np.float32))
        return self.op("Clip", f"{x}.relu6", x, "zero", "six")

    def max_pool(self, name: str, x: str, kernel: int, stride: int, pad: int = 0, *, ceil: bool = False) -> str:
        """A max pool."""
        return self.op("MaxPool", name, x, kernel_shape=(kernel, kernel), strides=(stride, stride), pads=(pad,) * 4, ceil_mode=int(ceil))

    def fc(self, name: str, x: str, out: int, *, bias: bool = True) -> str:
        """A fully connected layer over axis 1."""
        own = self.channels(x)
        weight = self.weight(f"{name}.weight", out, own, fan_in=own)
        parts = (x, weight, self.bias(f"{name}.bias", out)) if bias else (x, weight)
        return self.op("Gemm", name, *parts, transB=1)

    def pooled(self, x: str) -> str:
        """A global average and what is left of it as a vector."""
        return self.op("Flatten", "flat", self.op("GlobalAveragePool", "pool", x))

    def network(self, *outputs: str) -> Network:
        """Return the network."""
        return self.draft.finish(outputs, allow_unsupported=False)
