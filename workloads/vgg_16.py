"""VGG-16: thirteen 3 x 3 convolutions and three fully connected layers, 224 x 224 x 3."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart, sequence

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# Deep Compression, Table 5: per cent of weights kept.
KEPT = (58, 22, 34, 36, 53, 24, 42, 32, 27, 34, 35, 29, 36, 4, 4, 23)
LAYERS = (*(f"conv{stage}_{place}" for stage, widths in enumerate(STAGES, 1) for place in range(1, len(widths) + 1)), "fc6", "fc7", "fc8")

PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
MODULES = (*(f"features.{place}" for place in PLACES), "classifier.0", "classifier.3", "classifier.6")


def build(seed: int = 0) -> Network:
    """Return the network with synthetic weights."""
    b = Builder("vgg-16", seed)
    x = b.input("image", 1, 3, 224, 224)
    for stage, widths in enumerate(STAGES, 1):
        for place, width in enumerate(widths, 1):
            x = b.relu(b.conv(f"conv{stage}_{place}", x, width, 3, pad=1))
        x = b.max_pool(f"pool{stage}", x, 2, 2)
    x = b.op("Flatten", "flat", x)
    x = b.relu(b.fc("fc6", x, 4096))
    x = b.relu(b.fc("fc7", x, 4096))
    return b.network(b.fc("fc8", x, 1000))


WORKLOAD = NetworkWorkload(
    name="vgg-16",
    citation="K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, configuration D",
    build=build,
    parameters=138_357_544,
    parameters_source="torchvision vgg16; 138 M in Table 2 of the paper",
    densities=dict(zip(LAYERS, (kept / 100 for kept in KEPT), strict=True)),
    density_source="Han, Mao, Dally, Deep Compression, ICLR 2016, Table 5",
    counterpart=Counterpart(name="torchvision vgg16", modules=sequence(dict(zip(LAYERS, MODULES, strict=True)))),
)
