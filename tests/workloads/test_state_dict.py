"""Are trained weights of others read exactly, and is everything that does not fit named?"""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from qsim.errors import DataError
from qsim.model.reference import run
from workloads import NETWORKS
from workloads.state_dict import IGNORED, load_state, read_state

# Tensors in the state dicts of torchvision 0.29.1, one counter for each batch normalisation included.
TENSORS = {"vgg-16": 32, "resnet-18": 122, "resnet-50": 320, "mobilenet-v2": 314, "squeezenet": 52}


class Block(nn.Module):
    """A block of ResNet-32 with a shortcut without parameters."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, 2 if before != width else 1, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2, self.grows = nn.BatchNorm2d(width), nn.BatchNorm2d(width), width - before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.grows:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.grows // 2, self.grows // 2))
        return torch.relu(y + x)


class ResNet32(nn.Module):
    """Names as in pytorch_resnet_cifar10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16) for _ in range(5)))
        self.layer2 = nn.Sequential(Block(16, 32), *(Block(32, 32) for _ in range(4)))
        self.layer3 = nn.Sequential(Block(32, 64), *(Block(64, 64) for _ in range(4)))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


@pytest.fixture(scope="module")
def trained() -> ResNet32:
    """Return a module whose batch normalisations differ from the identity."""
    torch.manual_seed(0)
    module = ResNet32().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.2, 0.2)
    return module


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pytorch_file_computes_what_pytorch_computes(trained, wrapped, tmp_path) -> None:
    """Also where the file is a checkpoint of data parallel training."""
    state = trained.state_dict()
    content = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "best_prec1": 92.6} if wrapped else state
    torch.save(content, tmp_path / "w.th.pth")
    workload = NETWORKS["resnet-32"]
    network = load_state(workload.build(0), workload.counterpart, tmp_path / "w.th.pth")
    assert "SYNTHETIC" not in network.source
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)
    found = run(network, {"image": image})[network.outputs[0]]
    with torch.no_grad():
        expected = trained(torch.from_numpy(image)).numpy()
    assert np.max(np.abs(found - expected)) < 1e-5 * np.max(np.abs(expected))


@pytest.mark.parametrize("name", TENSORS)
def test_as_many_tensors_as_torchvision_has(name) -> None:
    workload = NETWORKS[name]
    assert workload.counterpart is not None
    network = workload.build(0)
    shapes = workload.counterpart.shapes(network)
    norms = sum(norm is not None for _, norm in workload.counterpart.modules.values())
    assert len(shapes) + norms == TENSORS[name]
    assert {f"{layer}.{part}" for layer in workload.counterpart.modules for part in ("weight", "bias")} == network.weights
    trained = sum(int(np.prod(shape)) for tensor, shape in shapes.items() if "running" not in tensor)
    assert trained == workload.parameters


def test_own_names_and_what_does_not_fit(tmp_path) -> None:
    workload, path = NETWORKS["resnet-32"], tmp_path / "w.safetensors"
    network = workload.build(3)
    state = {name: np.array(network.constants[name]) for name in network.weights}
    save_file(state, path)
    read = load_state(workload.build(0), workload.counterpart, path)
    assert all(np.array_equal(read.constants[name], value) for name, value in state.items())
    broken = {**state, "more": np.zeros(2, dtype=np.float32), "fc.bias": np.zeros(9, dtype=np.float32)}
    del broken["conv1.bias"]
    broken["conv1.weight"] = np.full_like(state["conv1.weight"], np.nan)
    save_file(broken, path)
    with pytest.raises(DataError) as caught:
        load_state(workload.build(0), workload.counterpart, path)
    for words in ("conv1.bias is missing", "more is not of this network", "fc.bias is [9], not [10]", "conv1.weight has NaN"):
        assert words in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("executed",))

    torch.save({"x": Hostile()}, tmp_path / "hostile.pth")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "noise.safetensors").write_bytes(b"noise" * 9)
    (tmp_path / "net.onnx").write_bytes(b"")
    for name in ("hostile.pth", "list.pt", "empty.pth", "noise.safetensors", "net.onnx", "none.pth"):
        with pytest.raises(DataError) as caught:
            read_state(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert IGNORED == ("num_batches_tracked",)
