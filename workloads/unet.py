"""U-Net: convolutions without padding on the way down, transposed convolutions on the way up, 572 x 572 x 1 to 388 x 388 x 2."""

import numpy as np

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload

WIDTHS = (64, 128, 256, 512)


def build(seed: int = 0, size: int = 572) -> Network:
    """Return the network with synthetic weights for an image of ``size`` x ``size``."""
    b = Builder("u-net", seed)
    x, skips = b.input("image", 1, 1, size, size), []
    for level, width in enumerate(WIDTHS, 1):
        x = _twice(b, f"down{level}", x, width)
        skips.append(x)
        x = b.max_pool(f"pool{level}", x, 2, 2)
    x = _twice(b, "bottom", x, 1024)
    for level, (width, skip) in enumerate(zip(WIDTHS[::-1], skips[::-1], strict=True), 1):
        own = b.channels(x)
        weight = b.weight(f"up{level}.weight", own, width, 2, 2, fan_in=own)
        x = b.op("ConvTranspose", f"up{level}", x, weight, b.bias(f"up{level}.bias", width), kernel_shape=(2, 2), strides=(2, 2))
        x = _twice(b, f"merge{level}", b.op("Concat", f"concat{level}", _cropped(b, f"crop{level}", skip, x), x, axis=1), width)
    return b.network(b.conv("classes", x, 2, 1))


def _twice(b: Builder, name: str, x: str, width: int) -> str:
    x = b.relu(b.conv(f"{name}.conv1", x, width, 3))
    return b.relu(b.conv(f"{name}.conv2", x, width, 3))


def _cropped(b: Builder, name: str, skip: str, like: str) -> str:
    """Cut the middle out of ``skip``, as large as ``like``."""
    have, want = b.draft.values[skip].shape[2], b.draft.values[like].shape[2]
    start = (have - want) // 2
    parts = [b.constant(f"{name}.{what}", np.array(ends, dtype=np.int64)) for what, ends in (
        ("starts", [start, start]), ("ends", [start + want, start + want]), ("axes", [2, 3])
    )]  # fmt: skip
    return b.op("Slice", name, skip, *parts)


WORKLOAD = NetworkWorkload(
    name="u-net",
    citation="O. Ronneberger, P. Fischer, T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, Fig. 1",
    build=build,
    parameters=31_030_658,
    parameters_source="the layers of Fig. 1 (23 convolutional layers, as the text says); the paper prints no count",
    density=0.3,
    density_source="chosen here: 30 % everywhere; no published per-layer densities",
)
