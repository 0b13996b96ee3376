"""ResNet-32 for CIFAR-10, 32 x 32 x 3, with shortcuts without parameters: subsampled and padded with channels of zeros (option A)."""

import numpy as np

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart


def build(seed: int = 0) -> Network:
    """Return the network with synthetic weights."""
    b = Builder("resnet-32", seed)
    x = b.relu(b.conv("conv1", b.input("image", 1, 3, 32, 32), 16, 3, pad=1, norm=True))
    for stage, width in enumerate((16, 32, 64), 1):
        for place in range(1, 6):
            x = _block(b, f"conv{stage}_{place}", x, width)
    return b.network(b.fc("fc", b.pooled(x), 10))


def _block(b: Builder, name: str, x: str, width: int) -> str:
    grows = width - b.channels(x)
    y = b.relu(b.conv(f"{name}.conv1", x, width, 3, stride=2 if grows else 1, pad=1, norm=True))
    y = b.conv(f"{name}.conv2", y, width, 3, pad=1, norm=True)
    if grows:
        x = b.max_pool(f"{name}.every_second", x, 1, 2)
        pads = b.constant(f"{name}.channels", np.array([0, grows // 2, 0, 0, 0, grows - grows // 2, 0, 0], dtype=np.int64))
        x = b.op("Pad", f"{name}.pad", x, pads)
    return b.relu(b.op("Add", f"{name}.add", y, x))


MODULES: dict[str, tuple[str, str | None]] = {
    "conv1": ("conv1", "bn1"),
    **{
        f"conv{stage}_{place + 1}.conv{number}": (f"layer{stage}.{place}.conv{number}", f"layer{stage}.{place}.bn{number}")
        for stage in (1, 2, 3)
        for place in range(5)
        for number in (1, 2)
    },
    "fc": ("linear", None),
}

WORKLOAD = NetworkWorkload(
    name="resnet-32",
    citation="K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2",
    build=build,
    parameters=464_154,
    parameters_source="Choi, El-Khamy, Lee, ICLR 2017, Table 1",
    folded=1_136,
    counterpart=Counterpart(name="resnet32 of Y. Idelbayev's pytorch_resnet_cifar10", modules=MODULES),
    density=0.2,
    density_source="Choi, El-Khamy, Lee, ICLR 2017, Table 1: 20 % kept of the whole network; here of every layer",
)
