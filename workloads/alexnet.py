"""AlexNet as in Caffe: five convolutions, two of groups, and three fully connected layers, 227 x 227 x 3."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart, sequence

# Deep Compression, Table 4: per cent of weights kept.
KEPT = {"conv1": 84, "conv2": 38, "conv3": 35, "conv4": 37, "conv5": 37, "fc6": 9, "fc7": 9, "fc8": 25}

MODULES = {
    **{f"conv{place}": f"features.{module}" for place, module in enumerate((0, 3, 6, 8, 10), 1)},
    **{f"fc{place}": f"classifier.{module}" for place, module in ((6, 1), (7, 4), (8, 6))},
}


def build(seed: int = 0) -> Network:
    """Return the network with synthetic weights."""
    b = Builder("alexnet", seed)
    x = b.relu(b.conv("conv1", b.input("image", 1, 3, 227, 227), 96, 11, stride=4))
    x = b.max_pool("pool1", _normalised(b, "norm1", x), 3, 2)
    x = b.relu(b.conv("conv2", x, 256, 5, pad=2, groups=2))
    x = b.max_pool("pool2", _normalised(b, "norm2", x), 3, 2)
    x = b.relu(b.conv("conv3", x, 384, 3, pad=1))
    x = b.relu(b.conv("conv4", x, 384, 3, pad=1, groups=2))
    x = b.relu(b.conv("conv5", x, 256, 3, pad=1, groups=2))
    x = b.op("Flatten", "flat", b.max_pool("pool5", x, 3, 2))
    x = b.relu(b.fc("fc6", x, 4096))
    x = b.relu(b.fc("fc7", x, 4096))
    return b.network(b.fc("fc8", x, 1000))


def _normalised(b: Builder, name: str, x: str) -> str:
    return b.op("LRN", name, x, size=5, alpha=1e-4, beta=0.75, bias=1.0)


WORKLOAD = NetworkWorkload(
    name="alexnet",
    citation="A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012",
    build=build,
    parameters=60_965_224,
    parameters_source="Caffe bvlc_alexnet; 61 M in Deep Compression, Table 4",
    densities={name: kept / 100 for name, kept in KEPT.items()},
    density_source="Han, Mao, Dally, Deep Compression, ICLR 2016, Table 4",
    counterpart=Counterpart(
        name="Caffe's AlexNet in torchvision's names (torchvision's own alexnet has other sizes)", modules=sequence(MODULES)
    ),
)
