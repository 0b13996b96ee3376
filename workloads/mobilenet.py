"""MobileNet-V1 and MobileNet-V2, 224 x 224 x 3: depthwise and pointwise convolutions."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart

# V1: output channels and stride of each depthwise separable convolution. V2: expansion, output channels, repeats, first stride.
V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def build_1(seed: int = 0) -> Network:
    """Return MobileNet-V1 with synthetic weights."""
    b = Builder("mobilenet-v1", seed)
    x = b.relu(b.conv("conv1", b.input("image", 1, 3, 224, 224), 32, 3, stride=2, pad=1, norm=True))
    for place, (out, stride) in enumerate(V1, 1):
        x = b.relu(b.conv(f"depthwise{place}", x, b.channels(x), 3, stride=stride, pad=1, groups=b.channels(x), norm=True))
        x = b.relu(b.conv(f"pointwise{place}", x, out, 1, norm=True))
    return b.network(b.fc("fc", b.pooled(x), 1000))


def build_2(seed: int = 0) -> Network:
    """Return MobileNet-V2 with synthetic weights."""
    b = Builder("mobilenet-v2", seed)
    x = b.relu6(b.conv("conv1", b.input("image", 1, 3, 224, 224), 32, 3, stride=2, pad=1, norm=True))
    for stage, (expansion, out, repeats, stride) in enumerate(V2, 1):
        for place in range(repeats):
            x = _inverted(b, f"block{stage}_{place + 1}", x, expansion, out, stride if place == 0 else 1)
    x = b.relu6(b.conv("conv_last", x, 1280, 1, norm=True))
    return b.network(b.fc("fc", b.pooled(x), 1000))


def _inverted(b: Builder, name: str, x: str, expansion: int, out: int, stride: int) -> str:
    """Expand, convolve each channel on its own, project; the projection is linear."""
    width, y = b.channels(x) * expansion, x
    if expansion > 1:
        y = b.relu6(b.conv(f"{name}.expand", y, width, 1, norm=True))
    y = b.relu6(b.conv(f"{name}.depthwise", y, width, 3, stride=stride, pad=1, groups=width, norm=True))
    y = b.conv(f"{name}.project", y, out, 1, norm=True)
    return b.op("Add", f"{name}.add", x, y) if stride == 1 and b.channels(x) == out else y


def _modules() -> dict[str, tuple[str, str | None]]:
    """Return torchvision's modules of MobileNet-V2: ``features`` counts the blocks through."""
    found: dict[str, tuple[str, str | None]] = {"conv1": ("features.0.0", "features.0.1"), "conv_last": ("features.18.0", "features.18.1")}
    names = [(f"block{stage}_{place + 1}", expansion) for stage, (expansion, _, repeats, _) in enumerate(V2, 1) for place in range(repeats)]
    for number, (ours, expansion) in enumerate(names, 1):
        steps = ["expand", "depthwise"] if expansion > 1 else ["depthwise"]
        for place, step in enumerate(steps):
            found[f"{ours}.{step}"] = f"features.{number}.conv.{place}.0", f"features.{number}.conv.{place}.1"
        found[f"{ours}.project"] = f"features.{number}.conv.{len(steps)}", f"features.{number}.conv.{len(steps) + 1}"
    return {**found, "fc": ("classifier.1", None)}


MOBILENET_V1 = NetworkWorkload(
    name="mobilenet-v1",
    citation="A. Howard et al., MobileNets: Efficient CNNs for Mobile Vision Applications, arXiv:1704.04861, Table 1",
    build=build_1,
    parameters=4_231_976,
    parameters_source="the layers of Table 1, batch normalisation included; 4.2 M in the paper",
    folded=10_944,
    density=0.5,
    density_source="chosen here: 50 % everywhere; no published per-layer densities",
)
MOBILENET_V2 = NetworkWorkload(
    name="mobilenet-v2",
    citation="M. Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, Table 2",
    build=build_2,
    parameters=3_504_872,
    parameters_source="torchvision mobilenet_v2; 3.4 M in the paper",
    folded=17_056,
    counterpart=Counterpart(name="torchvision mobilenet_v2", modules=_modules()),
    density=0.5,
    density_source="chosen here: 50 % everywhere; no published per-layer densities",
)
