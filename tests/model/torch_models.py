"""Small PyTorch modules for tests of the importers, and VGG-16 as a network without a framework."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from qsim.model.draft import Draft
from qsim.model.network import Attribute, Network, Operator, TensorType

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def trained_norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with statistics unlike those of a fresh one."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            value.uniform_(0.5, 1.5)
    return norm


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(),
        nn.Linear(500, 10),
    )  # fmt: skip


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 6, 3, 2, 1, bias=False), trained_norm(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, 1, 2, dilation=2, groups=2), trained_norm(6)
        self.down, self.bn3 = nn.Conv2d(4, 6, 1, 2, bias=False), trained_norm(6)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        out = functional.relu(self.bn2(self.conv2(inner)) + self.bn3(self.down(x)))
        return functional.adaptive_avg_pool2d(out, 1).flatten(1)


class UNetPiece(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.deep, self.up = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.leave = nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = functional.relu(self.enter(x))
        deep = functional.relu(self.deep(functional.max_pool2d(skip, 2)))
        wide = functional.interpolate(deep[:, :4], scale_factor=2.0, mode="bilinear")
        near = functional.interpolate(wide, size=(4, 4), mode="nearest")
        wide = wide + functional.interpolate(near, scale_factor=2, mode="nearest")
        return torch.sigmoid(self.leave(torch.cat([skip, self.up(deep), wide], 1)))


def mobilenet_block() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(6, 24, 1, bias=False), trained_norm(24), nn.ReLU6(), nn.Conv2d(24, 24, 3, 2, 1, groups=24, bias=False), trained_norm(24),
        nn.ReLU6(), nn.Conv2d(24, 8, 1, bias=False), trained_norm(8),
    )  # fmt: skip


class Encoder(nn.Module):
    """A transformer encoder layer, its attention composed by hand as most exporters write it."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.project, self.out, self.norm1, self.norm2 = nn.Linear(16, 48), nn.Linear(16, 16), nn.LayerNorm(16), nn.LayerNorm(16)
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        query, key, value = (part.reshape(batch, steps, 4, 4).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = self.norm1(x + self.out(found.transpose(1, 2).reshape(batch, steps, width)))
        return self.norm2(x + self.narrow(functional.gelu(self.wide(x))))


class Shapes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.view(x.size(0), x.size(1), -1)
        turned = flat.permute(0, 2, 1).expand(x.size(0), x.size(2) * x.size(3), x.size(1))
        return torch.cat([turned, turned + 1], 1)[:, : x.shape[2]]


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(50, 8), nn.Linear(8, 50)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.table(tokens).mean(1))


def vgg16_network(classes: int = 1000) -> Network:
    """VGG-16 with zero weights that take no memory."""
    draft = Draft(name="vgg16", source="made in the test")
    draft.add_input("x", TensorType((1, 3, 224, 224), np.dtype(np.float32)))
    tensor, channels = "x", 3

    def add(kind: str, name: str, *shapes: tuple[int, ...], attributes: Mapping[str, Attribute]) -> None:
        nonlocal tensor
        weights = [draft.add_constant(f"{name}.{place}", np.zeros(shape, np.float32), weight=True) for place, shape in enumerate(shapes)]
        draft.add(Operator(name=name, kind=kind, inputs=(tensor, *weights), outputs=(f"{name}.out",), attributes=attributes))
        tensor = f"{name}.out"

    for number, wide in enumerate(VGG16):
        if isinstance(wide, str):
            add("MaxPool", f"pool{number}", attributes={"kernel_shape": (2, 2), "strides": (2, 2)})
            continue
        add("Conv", f"conv{number}", (wide, channels, 3, 3), (wide,), attributes={"pads": (1, 1, 1, 1)})
        add("Relu", f"relu{number}", attributes={})
        channels = wide
    add("Flatten", "flatten", attributes={})
    for number, (outputs, inputs) in enumerate(((4096, 25088), (4096, 4096), (classes, 4096))):
        add("Gemm", f"fc{number}", (outputs, inputs), (outputs,), attributes={"transB": 1})
    return draft.finish([tensor], allow_unsupported=False)
