"""Question: does the array run a convolution as both simulators and the definition say, to the last cycle of each item and the last bit?"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES
from qsim.array_job import array_job
from qsim.compress.pipeline import compress
from qsim.compress.recipe import parse_recipe
from qsim.errors import MachineError, UnsupportedProgram
from qsim.model.compressed import CompressedModel
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation
from qsim.sim.convolution import Boundary
from qsim.sim.lower_model import lower_layer
from qsim.sim.model import simulate_layer
from qsim.sim.semantics import run_layer
from qsim.verify import verify
from rtl.job import check_job
from rtl.parameters import ArrayParameters
from rtl.verify import run_array
from tests.model.convolutions import random_convolution
from tests.model.models import random_form, random_layer
from tests.rtl.lenet import KMEANS, QUANTISE
from workloads.lenet_5 import WORKLOAD
from workloads.mnist import Split, load_mnist, load_test
from workloads.weights import load_weights

PRUNE = '[prune]\nmethod = "iterative"\ndensities = [0.66, 0.12, 0.08, 0.19]\nrounds = 1\nepochs = 0\n'
RECIPES = QUANTISE | {
    "sparse": PRUNE + KMEANS.format(15, "false"),
    "pvq": '[quantise]\nmethod = "pvq"\npulses = [1.0, 0.3, 0.1, 0.5]\nepochs = 0\n',
}


@cache
def lenet_5(kind: str) -> CompressedModel:
    recipe = parse_recipe(f'name = "no retraining"\n{RECIPES[kind]}\n[finetune]\nepochs = 0\n')
    mnist = load_mnist()
    few = replace(mnist, train=_first(mnist.train, 1_000), validation=_first(mnist.validation, 100))  # only ranges are found on them
    return compress(recipe, WORKLOAD, load_weights(WORKLOAD), few)


def _first(split: Split, count: int) -> Split:
    return Split(images=split.images[:count], labels=split.labels[:count])


def machine_of(kind: str) -> Architecture:
    if kind == "sparse":
        return MACHINES["sparse-image-rtl-8"]
    machine = MACHINES[f"{kind}-rtl-8"].replace("activations.bytes", 8192).replace("weights.bytes", 1 << 17)
    return machine.replace("pointers.bytes", 8192)


def check_digit(kind: str, layers: list[str], build_dir: Path) -> None:
    digit = load_test().images[7:8].astype(np.int64)
    for check in verify(lenet_5(kind), machine_of(kind), digit, [7], build_dir=build_dir, layers=layers):
        assert check.agree, check
        assert check.items > 10_000
        assert check.outputs == {"conv1": 24 * 24 * 20, "conv2": 8 * 8 * 50}[check.layer]
        assert len(set(check.values)) > 100


def test_both_convolutions_of_lenet_5_agree_on_a_real_digit(build_dir: Path) -> None:
    check_digit("sparse", ["conv1", "conv2"], build_dir)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "codebook", "pvq"])
def test_convolutions_agree_on_the_other_pes(kind: str, build_dir: Path) -> None:
    check_digit(kind, ["conv1", "conv2"], build_dir)


def random_geometry(rng: np.random.Generator) -> ImageGeometry:
    """Draw a window with padding on each side, strides, dilations and groups; the image is at least as large as it."""
    groups = int(rng.integers(1, 4))
    kernel, dilation = rng.integers(1, 4, 2).tolist(), rng.integers(1, 4, 2).tolist()
    least = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
    return ImageGeometry(
        height=least[0] + int(rng.integers(5)), width=least[1] + int(rng.integers(5)), channels=groups * int(rng.integers(1, 6)),
        kernel=tuple(kernel), stride=tuple(rng.integers(1, 4, 2).tolist()), padding=tuple(rng.integers(0, 3, 4).tolist()),
        dilation=tuple(dilation), groups=groups,
    )  # fmt: skip


def test_drawn_windows_agree(build_dir: Path) -> None:
    """Is each of many convolutions, one behind the other on one array, as its definition and as numba say? A layer without a window, run
    between them, is too.
    """
    rng, machine = np.random.default_rng(1), machine_of("sparse")
    bits = machine.array.accumulator_bits
    layers = [random_convolution(f"conv{number}", random_geometry(rng), "scalar_coded", rng, bits) for number in range(40)]
    flat = random_layer("fc", random_form("scalar_coded", 19, 37, 0.5, rng), Activation.NONE, rng, bits)
    layers.insert(20, flat)
    images = [rng.integers(-900, 900, (2, layer.node.inputs)) * (rng.random((2, layer.node.inputs)) < 0.6) for layer in layers]
    jobs = [array_job(layer, machine, given) for layer, given in zip(layers, images, strict=True)]
    runs = run_array(machine, jobs, build_dir, record=False)
    for layer, given, run in zip(layers, images, runs, strict=True):
        assert np.array_equal(run.outputs, run_layer(layer, given)), layer.node
        lowered = lower_layer(layer, machine, Boundary())
        assert run.cycles.tolist() == [simulate_layer(lowered, image).cycles for image in given], layer.node


def test_windows_that_the_rtl_does_not_have_are_refused() -> None:
    """Do groups on other PEs, and arrays or images too small, end in an error that says what to change?"""
    rng = np.random.default_rng(0)
    geometry = ImageGeometry(height=4, width=4, channels=2, kernel=(2, 2), groups=2)
    grouped = random_convolution("conv", geometry, "dense", rng, MACHINES["dense-rtl-8"].array.accumulator_bits)
    with pytest.raises(UnsupportedProgram, match=r"conv\.groups must be 1 to run in RTL on dense PEs.* not 2"):
        array_job(grouped, MACHINES["dense-rtl-8"], np.zeros((1, 32), dtype=np.int64))
    machine = machine_of("sparse")
    large = replace(geometry, height=120, width=120, groups=1)
    layer = random_convolution("conv", large, "scalar_coded", rng, machine.array.accumulator_bits)
    job = array_job(layer, machine, np.zeros((1, large.inputs), dtype=np.int64))
    with pytest.raises(UnsupportedProgram, match=r"layer\.window must be None for an array without windows"):
        check_job(ArrayParameters.of(machine), job, "layer")
    with pytest.raises(UnsupportedProgram, match=r"layer\.activations must be of at most 4096 rows of 4, not 14400"):
        check_job(ArrayParameters.of(machine, windows=True), job, "layer")
    with pytest.raises(MachineError, match=r"parameters\.windows must be false for networks"):
        ArrayParameters.of(machine, layers=2, windows=True)
