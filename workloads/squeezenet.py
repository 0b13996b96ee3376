"""SqueezeNet 1.0, 224 x 224 x 3: fire modules, without fully connected layers."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload
from workloads.state_dict import Counterpart, sequence

# Squeezed and expanded channels of each fire module; a pool stands before fire4 and fire8 (1-based from fire2).
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOLED = (4, 8)

MODULES = {
    "conv1": "features.0",
    **{
        f"fire{fire}.{part}": f"features.{place}.{name}"
        for fire, place in enumerate((3, 4, 5, 7, 8, 9, 10, 12), 2)
        for part, name in (("squeeze", "squeeze"), ("expand1", "expand1x1"), ("expand3", "expand3x3"))
    },
    "conv10": "classifier.1",
}


def build(seed: int = 0) -> Network:
    """Return the network with synthetic weights."""
    b = Builder("squeezenet", seed)
    x = b.relu(b.conv("conv1", b.input("image", 1, 3, 224, 224), 96, 7, stride=2))
    x = b.max_pool("pool1", x, 3, 2, ceil=True)
    for place, (squeezed, expanded) in enumerate(FIRES, 2):
        x = b.relu(b.conv(f"fire{place}.squeeze", x, squeezed, 1))
        parts = [b.relu(b.conv(f"fire{place}.expand{size}", x, expanded, size, pad=size // 2)) for size in (1, 3)]
        x = b.op("Concat", f"fire{place}", *parts, axis=1)
        if place in POOLED:
            x = b.max_pool(f"pool{place}", x, 3, 2, ceil=True)
    x = b.relu(b.conv("conv10", x, 1000, 1))
    return b.network(b.pooled(x))


WORKLOAD = NetworkWorkload(
    name="squeezenet",
    citation="F. Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, arXiv:1602.07360, Table 1",
    build=build,
    parameters=1_248_424,
    parameters_source="torchvision squeezenet1_0",
    density=0.33,
    density_source="chosen here: 33 % everywhere; no published per-layer densities",
    counterpart=Counterpart(name="torchvision squeezenet1_0", modules=sequence(MODULES)),
)
