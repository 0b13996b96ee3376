"""A small task for whole compressions: 8 x 8 digits, a network of three layers, trained in a second."""

from dataclasses import replace
from functools import cache

import numpy as np

from qsim.compress.task import FloatState
from qsim.compress.train import Descent, train_reference
from qsim.model.graph import Activation
from workloads import WORKLOADS
from workloads.mnist import Mnist, Split, load_mnist
from workloads.workload import LayerShape, Workload

SIDE = 8
TASK: Workload = replace(
    WORKLOADS["lenet-300-100"],
    name="small",
    layers=(
        LayerShape(name="a", inputs=SIDE * SIDE, outputs=48, activation=Activation.RELU),
        LayerShape(name="b", inputs=48, outputs=32, activation=Activation.RELU),
        LayerShape(name="c", inputs=32, outputs=10, activation=Activation.NONE),
    ),
)


@cache
def data() -> Mnist:
    """The first digits of MNIST, every 3 x 3 pixels one."""
    full = load_mnist()
    return replace(full, train=_shrunk(full.train, 4_000), validation=_shrunk(full.validation, 500), test=_shrunk(full.test, 500))


@cache
def state() -> FloatState:
    """The trained float network."""
    return train_reference(TASK, data(), Descent(epochs=12), seed=0).state


def _shrunk(split: Split, count: int) -> Split:
    images = split.images[:count].reshape(count, 28, 28)[:, 2:26, 2:26].reshape(count, SIDE, 3, SIDE, 3).mean(axis=(2, 4))
    return Split(images=images.astype(np.uint8).reshape(count, -1), labels=split.labels[:count])
