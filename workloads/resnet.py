"""ResNet-18 and ResNet-50 for ImageNet, 224 x 224 x 3."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart

WIDTHS = (64, 128, 256, 512)
CITATION = "K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016, Table 1"


def _stem(name: str, seed: int) -> tuple[Builder, str]:
    b = Builder(name, seed)
    x = b.relu(b.conv("conv1", b.input("image", 1, 3, 224, 224), 64, 7, stride=2, pad=3, norm=True))
    return b, b.max_pool("pool1", x, 3, 2, 1)


def _shortcut(b: Builder, name: str, x: str, out: int, stride: int) -> str:
    if stride == 1 and b.channels(x) == out:
        return x
    return b.conv(f"{name}.shortcut", x, out, 1, stride=stride, norm=True)


def _basic(b: Builder, name: str, x: str, width: int, stride: int) -> str:
    y = b.relu(b.conv(f"{name}.conv1", x, width, 3, stride=stride, pad=1, norm=True))
    y = b.conv(f"{name}.conv2", y, width, 3, pad=1, norm=True)
    return b.relu(b.op("Add", f"{name}.add", y, _shortcut(b, name, x, width, stride)))


def _bottleneck(b: Builder, name: str, x: str, width: int, stride: int) -> str:
    y = b.relu(b.conv(f"{name}.conv1", x, width, 1, norm=True))
    y = b.relu(b.conv(f"{name}.conv2", y, width, 3, stride=stride, pad=1, norm=True))
    y = b.conv(f"{name}.conv3", y, 4 * width, 1, norm=True)
    return b.relu(b.op("Add", f"{name}.add", y, _shortcut(b, name, x, 4 * width, stride)))


def _build(name: str, seed: int, *, blocks: tuple[int, ...], bottleneck: bool) -> Network:
    b, x = _stem(name, seed)
    block = _bottleneck if bottleneck else _basic
    for stage, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True), 2):
        for place in range(count):
            x = block(b, f"conv{stage}_{place + 1}", x, width, 2 if place == 0 and stage > 2 else 1)
    return b.network(b.fc("fc", b.pooled(x), 1000))


def build_18(seed: int = 0) -> Network:
    """Return ResNet-18 with synthetic weights."""
    return _build("resnet-18", seed, blocks=(2, 2, 2, 2), bottleneck=False)


def build_50(seed: int = 0) -> Network:
    """Return ResNet-50 with synthetic weights; as in torchvision the 3 x 3 convolution has the stride."""
    return _build("resnet-50", seed, blocks=(3, 4, 6, 3), bottleneck=True)


def _modules(blocks: tuple[int, ...], convolutions: int) -> dict[str, tuple[str, str | None]]:
    """Return torchvision's modules; the first block of a stage that changes size has a shortcut of its own."""
    found: dict[str, tuple[str, str | None]] = {"conv1": ("conv1", "bn1"), "fc": ("fc", None)}
    for stage, count in enumerate(blocks, 1):
        for place in range(count):
            ours, theirs = f"conv{stage + 1}_{place + 1}", f"layer{stage}.{place}"
            for number in range(1, convolutions + 1):
                found[f"{ours}.conv{number}"] = f"{theirs}.conv{number}", f"{theirs}.bn{number}"
            if place == 0 and (stage > 1 or convolutions == 3):
                found[f"{ours}.shortcut"] = f"{theirs}.downsample.0", f"{theirs}.downsample.1"
    return found


RESNET_18 = NetworkWorkload(
    name="resnet-18",
    citation=CITATION,
    build=build_18,
    parameters=11_689_512,
    parameters_source="torchvision resnet18",
    folded=4_800,
    counterpart=Counterpart(name="torchvision resnet18", modules=_modules((2, 2, 2, 2), 2)),
    density=0.3,
    density_source="chosen here: 30 % everywhere; no published per-layer densities",
)
RESNET_50 = NetworkWorkload(
    name="resnet-50",
    citation=CITATION,
    build=build_50,
    parameters=25_557_032,
    parameters_source="torchvision resnet50",
    folded=26_560,
    counterpart=Counterpart(name="torchvision resnet50", modules=_modules((3, 4, 6, 3), 3)),
    density=0.3,
    density_source="chosen here: 30 % everywhere; no published per-layer densities",
)
