"""Do networks read from PyTorch compute what their modules compute, and are tied weights, holes and failures told?"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from qsim.compress.torch_import import from_torch, import_pt2
from qsim.errors import FileFormatError
from qsim.model.matrix_layers import LayerKind, matrix_layers
from tests.model import torch_models as models


def imported(module: nn.Module, *shape: int):
    torch.manual_seed(0)
    found = from_torch(module, (torch.randn(shape),))
    assert found.agreement is not None and found.agreement.max_error is not None and found.agreement.max_error < 1e-5
    return found.network


@pytest.mark.parametrize(
    ("module", "shape", "layers"),
    [
        (models.Residual(), (1, 4, 9, 9), 3),
        (models.UNetPiece(), (2, 3, 8, 8), 4),
        (models.Encoder(causal=True), (2, 6, 16), 6),
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 6, 16), 6),
    ],
)
def test_modules_compute_the_same(module, shape, layers):
    network = imported(module, *shape)
    assert len(matrix_layers(network)) == layers
    assert not any(operator.kind == "BatchNormalization" for operator in network.operators)


def test_names_and_weights_are_those_of_the_module():
    module = models.lenet5()
    network = imported(module, 1, 1, 28, 28)
    assert [(layer.name, layer.weight, layer.bias) for layer in matrix_layers(network)] == [
        (place, f"{place}.weight", f"{place}.bias") for place in ("0", "2", "5", "7")
    ]
    assert network.parameters == 431_080 == sum(value.numel() for value in module.parameters())
    assert network.constants["5.weight"].ctypes.data == module[5].weight.data_ptr()  # not copied


class Recurrent(nn.Module):
    def __init__(self, kind: str, **options) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(5, 7, num_layers=2, **options)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out, state = self.layer(x)
        return out, state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize(
    ("kind", "options"),
    [("LSTM", {"bidirectional": True, "batch_first": True}), ("LSTM", {"bias": False}), ("GRU", {}), ("RNN", {"nonlinearity": "relu"})],
)
def test_recurrent_layers(kind, options):
    network = imported(Recurrent(kind, **options), 3, 4, 5)
    directions = 2 if "bidirectional" in options else 1
    assert len(matrix_layers(network)) == 4 * directions
    assert network.parameters == sum(value.numel() for value in Recurrent(kind, **options).parameters())


class Functions(nn.Module):
    """Functions that have no layer of their own."""

    def forward(self, x: Tensor) -> Tensor:
        y = functional.pad(x, (1, 2, 0, 1), value=0.5)
        y = functional.leaky_relu(y, 0.1) + functional.silu(y) * functional.mish(y) - functional.elu(y)
        y = y + functional.hardswish(y) + functional.hardsigmoid(y) + functional.hardtanh(y) + functional.softplus(y) + functional.relu6(y)
        y = torch.where(y > 1, y, y.clamp(min=-1)) + torch.maximum(y, -y).sqrt() + (1 - y) ** 2 + (y.abs() + 1).rsqrt()
        y = torch.stack([y.split([1, 2], 1)[0] * 2, y[:, 2:]], 0).mean(0)
        y = y.masked_fill(y < 0, 0.25) / y.square().sum(-1, keepdim=True).add(1)
        return torch.cat([y.amax(2), y.var(2, unbiased=False), y.std(2), y.select(2, 0), y.flip(2).cumsum(2).narrow(2, 0, 1).squeeze(2)], 1)


def test_functions_compute_the_same():
    imported(Functions(), 2, 3, 5, 6)


class Pools(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (
            functional.max_pool2d(x, 3, 2, 1, ceil_mode=True), functional.avg_pool2d(x, 2, 2, 1), functional.adaptive_avg_pool2d(x, 3),
            functional.adaptive_max_pool2d(x, 1), functional.interpolate(x, scale_factor=1.5, mode="nearest"),
            functional.interpolate(x, size=(5, 9), mode="bilinear", align_corners=True), functional.pixel_shuffle(x, 2),
            functional.interpolate(x, size=(5, 9), mode="bicubic"),
            functional.interpolate(x, scale_factor=1.5, mode="bicubic", align_corners=True),
            functional.group_norm(x, 2), functional.layer_norm(x, [7, 7]), functional.log_softmax(x, 1),
        )  # fmt: skip


def test_pooling_resizing_and_normalisation_compute_the_same():
    network = imported(Pools(), 2, 4, 7, 7)
    assert len(network.outputs) == 12


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line, self.volume = nn.Conv1d(2, 4, 3, padding="same", dilation=2, groups=2), nn.Conv3d(2, 4, 3, padding="valid")
        self.up = nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.line(x.flatten(2)), self.volume(x), self.up(x.flatten(1, 2).flatten(2)[:, :4, None])


def test_convolutions_over_one_to_three_axes():
    network = imported(Convolutions(), 2, 2, 5, 6, 5)
    assert [layer.groups for layer in matrix_layers(network)] == [2, 1, 2]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(20, 6), nn.Linear(6, 20, bias=False)
        self.out.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.table(tokens))


def test_tied_weights_count_once():
    found = from_torch(Tied(), (torch.zeros(2, 5, dtype=torch.int64),))
    assert found.network.parameters == 120
    assert found.agreement is not None and found.agreement.max_error is not None


def test_a_module_in_training_is_read_in_evaluation_and_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train()
    network = imported(module, 2, 4)
    assert [operator.kind for operator in network.operators] == ["Gemm"]
    assert module.training


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.sort(self.a(x)).values)


def test_an_unsupported_operator_is_named_and_can_be_a_hole():
    with pytest.raises(FileFormatError, match=r"1 operator not supported: 'sort' \(aten.sort\): no such operator here"):
        from_torch(Odd(), (torch.randn(2, 4),))
    found = from_torch(Odd(), (torch.randn(2, 4),), allow_unsupported=True, check=True)
    assert [(layer.name, layer.macs) for layer in matrix_layers(found.network)] == [("a", 32), ("b", 24)]
    assert found.agreement is not None and found.agreement.unchecked == found.network.outputs


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.last = nn.Linear(4, 4), nn.Conv2d(1, 2, 3, padding=1), nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = self.first(y if y.sum() > 0 else -y)
        return self.last(self.conv(y[None, None])[0])[0]


def test_where_export_fails_the_layers_are_known_by_hooks(capfd):
    with pytest.raises(FileFormatError, match=r"Branching: torch.export failed: .*data-dependent"):
        from_torch(Branching(), (torch.randn(3, 4),))
    found = from_torch(Branching(), (torch.randn(3, 4),), allow_unsupported=True)
    layers = matrix_layers(found.network)
    assert [layer.name for layer in layers] == ["first", "first_2", "conv", "last.input", "last.recurrent"]
    assert layers[0].weight == layers[1].weight == "first.weight"
    assert [layer.macs for layer in layers] == [48, 48, 12 * 2 * 9, 6 * 12 * 4, 6 * 12 * 3]
    assert found.agreement is None
    assert found.network.parameters == sum(value.numel() for value in Branching().parameters())
    assert {hole.kind for hole in found.network.holes} == {"torch.forward"}
    assert layers[2].kind is LayerKind.CONVOLUTION
    assert capfd.readouterr().err == ""


def test_programs_are_read_from_their_files(tmp_path):
    module = models.Residual().eval()
    torch.export.save(torch.export.export(module, (torch.randn(1, 4, 9, 9),), strict=False), tmp_path / "n.pt2")
    found = import_pt2(tmp_path / "n.pt2")
    assert (found.network.name, found.network.passes) == ("n", ("batch norm folded: 3",))
    assert found.agreement is not None and found.agreement.max_error is not None and found.agreement.max_error < 1e-5
    (tmp_path / "n.pt2").write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match=r"n\.pt2 must be a program of torch.export"):
        import_pt2(tmp_path / "n.pt2")
    with pytest.raises(FileFormatError, match="it does not exist"):
        import_pt2(tmp_path / "absent.pt2")
