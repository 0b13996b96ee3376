"""Question: does every quantiser of the table keep the contract: exact, repeatable, better with more bits, run by a machine?"""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from qsim.arch.presets import MACHINES
from qsim.compress.finetune import effective
from qsim.compress.network import Layout, Samples
from qsim.compress.pipeline import compress
from qsim.compress.quantizers import QUANTIZERS, Quantizer
from qsim.compress.quantizers.affine import Affine
from qsim.compress.quantizers.binary import Binary
from qsim.compress.quantizers.ecsq import EntropyConstrained
from qsim.compress.quantizers.fixed import FixedPointWeights
from qsim.compress.quantizers.hessian import HessianKMeans
from qsim.compress.quantizers.hierarchical import Hierarchical
from qsim.compress.quantizers.ipq import IterativeProductQuantisation
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.quantizers.mixed import MixedAffine
from qsim.compress.quantizers.power_of_two import PowersOfTwo
from qsim.compress.quantizers.pvq import PyramidVectors
from qsim.compress.quantizers.ternary import Ternary
from qsim.compress.quantizers.uniform import UniformSteps
from qsim.compress.quantizers.vector import ProductQuantisation, ResidualQuantisation, VectorKMeans
from qsim.compress.recipe import Recipe
from qsim.compress.reference import TorchReference
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.errors import RecipeError
from qsim.model.compressed import CompressedModel
from qsim.progress import silent
from qsim.sim.model import simulate_model
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state

# Settings of rising rate, and the machine on which the files run.
LADDERS: dict[str, tuple[str, tuple[Quantizer, ...]]] = {
    "kmeans": ("codebook-dram", tuple(KMeans(entries=k, start="optimal") for k in (2, 4, 8, 16))),
    "hessian-kmeans": ("codebook-dram", tuple(HessianKMeans(entries=k, start="optimal") for k in (2, 4, 8, 16))),
    "uniform": ("codebook-dram", tuple(UniformSteps(entries=k) for k in (2, 4, 8, 16))),
    "ecsq": ("codebook-dram", tuple(EntropyConstrained(bits=bits, entries=16) for bits in (0.5, 1, 2, 3))),
    "hierarchical": ("codebook-dram", tuple(Hierarchical(entries=k) for k in (2, 4, 8, 16))),
    "binary": ("codebook-dram", (Binary(),)),
    "ternary": ("codebook-dram", (Ternary(),)),
    "power-of-two": ("codebook-dram", tuple(PowersOfTwo(bits=bits) for bits in (2, 3, 4))),
    "affine": ("codebook-dram", tuple(Affine(bits=bits, symmetric=False) for bits in (2, 3, 4))),
    "mixed": ("codebook-dram", tuple(MixedAffine(budget_bytes=budget, choices=(2, 3, 4)) for budget in (1_500, 1_800, 2_400))),
    "vq": ("dense-16b-dram", tuple(VectorKMeans(entries=k, length=4) for k in (4, 16, 64, 256))),
    "pq": ("dense-16b-dram", tuple(ProductQuantisation(entries=k, length=4) for k in (2, 4, 8, 16))),
    "ipq": ("dense-16b-dram", tuple(IterativeProductQuantisation(entries=k, length=4) for k in (4, 16, 64, 256))),
    "rvq": ("dense-16b-dram", tuple(ResidualQuantisation(entries=16, length=4, stages=stages) for stages in (1, 2, 3, 5))),
    "fixed": ("dense-16b-dram", (FixedPointWeights(),)),
    "pvq": ("pvq-sram", tuple(PyramidVectors(pulses=(ratio,) * 3, epochs=0) for ratio in (0.5, 1, 2, 4))),
}
LAYOUT = Layout.of(TASK.layers)


def given(parameters: torch.Tensor, masks: tuple[np.ndarray, ...] | None = None) -> QuantizerInput:
    return QuantizerInput(
        layout=LAYOUT, parameters=parameters, masks=masks, samples=Samples.of(data().train, TASK.normalisation),
        generator=torch.Generator().manual_seed(1), random=np.random.default_rng(1), progress=silent,
    )  # fmt: skip


def quantised(quantizer: Quantizer) -> Quantised:
    return quantizer.quantise(given(LAYOUT.pack(state())))


@cache
def finest(name: str) -> CompressedModel:
    return compress(Recipe(name=name, quantise=LADDERS[name][1][-1]), TASK, state(), data())


def importance_of(quantizer: Quantizer) -> np.ndarray:
    """What the errors of a weighted quantiser count by."""
    if not isinstance(quantizer, HessianKMeans):
        return np.ones(LAYOUT.weight_count)
    found = quantizer.importance(given(LAYOUT.pack(state())), LAYOUT.pack(state()))
    return np.concatenate([part.ravel() for part in found])


def test_every_quantizer_has_a_ladder() -> None:
    assert set(LADDERS) == set(QUANTIZERS)
    assert all(isinstance(step, QUANTIZERS[name]) for name, (_, steps) in LADDERS.items() for step in steps)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_error_falls_as_bits_rise(name: str) -> None:
    original, count = LAYOUT.pack(state()).numpy(), LAYOUT.weight_count
    weight = importance_of(LADDERS[name][1][0])
    errors = [
        float(np.average((effective(LAYOUT, quantised(step)).numpy()[:count] - original[:count]) ** 2, weights=weight))
        for step in LADDERS[name][1]
    ]
    assert all(after < before for before, after in pairwise(errors)), errors


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_same_seed_gives_the_same_file(name: str) -> None:
    again = compress(Recipe(name=name, quantise=LADDERS[name][1][-1]), TASK, state(), data())
    assert again.content_hash == finest(name).content_hash


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_file_is_exact_and_runs_in_the_integer_references_and_on_its_machine(name: str, tmp_path: Path) -> None:
    model, images = finest(name), data().test.images[:20]
    model.save(tmp_path / "x.qsz")
    again = CompressedModel.load(tmp_path / "x.qsz")
    for layer, other in zip(model.layers, again.layers, strict=True):
        assert np.array_equal(layer.form.reconstruct(), other.form.reconstruct())
    logits = infer(again, images).logits
    assert np.array_equal(TorchReference(model)(images), logits)
    found = simulate_model(again, MACHINES[LADDERS[name][0]], images[:2].astype(np.int64))
    assert all(result.cycles > 0 for layer in found.layers for result in layer)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_integers_follow_the_float_weights(name: str) -> None:
    """The integer logits are those of the quantised float network up to the rounding of 16 bits."""
    step, samples = LADDERS[name][1][-1], data().test.images[:200]
    model = compress(Recipe(name=name, quantise=step, seed=1), TASK, state(), data())
    shared = quantised(step)
    values = torch.from_numpy((samples / 255 - TASK.normalisation.mean) / TASK.normalisation.deviation).float()
    for place, weights in enumerate(layer.weights() for layer in shared.layers):
        values = values @ weights.t() + LAYOUT.biases(LAYOUT.pack(state()))[place]
        values = values.relu() if LAYOUT.relu[place] else values
    assert np.mean(infer(model, samples).classes == values.argmax(1).numpy()) >= 0.98


@pytest.mark.parametrize("name", QUANTIZERS)
def test_nan_and_empty_layers_are_refused(name: str) -> None:
    broken = LAYOUT.pack(state())
    broken[5] = float("nan")
    with pytest.raises(RecipeError, match="weights must be finite numbers"):
        LADDERS[name][1][0].quantise(given(broken))
    masks = tuple(np.full(shape, place != 1) for place, shape in enumerate(LAYOUT.shapes))
    with pytest.raises(RecipeError, match=r"b\.weights must be at least one that is not pruned"):
        LADDERS[name][1][0].quantise(given(LAYOUT.pack(state()), masks))


@pytest.mark.parametrize("name", ["binary", "ternary", "uniform"])
def test_training_through_the_quantiser_lowers_the_error(name: str) -> None:
    plain = LADDERS[name][1][0]
    trained = replace(plain, epochs=4)
    wrong = [compress(Recipe(name=name, quantise=step), TASK, state(), data()).notes["validation_errors"] for step in (plain, trained)]
    assert wrong[1] < wrong[0]
