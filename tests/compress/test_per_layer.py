"""Question: does each layer get the quantiser of the first pattern that matches its name, and is every mistake in a pattern told?"""

from pathlib import Path

import numpy as np
import pytest
import torch

from qsim.compress.network import Layout, Samples
from qsim.compress.per_layer import PerLayer
from qsim.compress.pipeline import compress
from qsim.compress.quantizers.affine import Affine
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.recipe import parse_recipe
from qsim.compress.reference import TorchReference
from qsim.compress.shared import QuantizerInput
from qsim.errors import RecipeError
from qsim.formats.layer import Dense, Pyramid, ScalarCoded, VectorCoded
from qsim.model.compressed import CompressedModel
from qsim.progress import silent
from qsim.sim.semantics import infer
from tests.compress.small import TASK, data, state

LAYOUT = Layout.of(TASK.layers)
HEAD = 'name = "mixed"\n[quantise]\nmethod = "kmeans"\nentries = 8\nstart = "optimal"\n'


def pattern(match: str, settings: str) -> str:
    return f'[[quantise.layers]]\nmatch = "{match}"\n{settings}\n'


MIXED = HEAD + pattern("a", "entries = 4") + pattern("[ab]", 'method = "affine"\nbits = 3')


def given() -> QuantizerInput:
    return QuantizerInput(
        layout=LAYOUT, parameters=LAYOUT.pack(state()), masks=None, samples=Samples.of(data().train, TASK.normalisation),
        generator=torch.Generator().manual_seed(1), random=np.random.default_rng(1), progress=silent,
    )  # fmt: skip


def test_the_first_match_decides_and_the_method_is_inherited() -> None:
    found = parse_recipe(MIXED).quantise
    assert isinstance(found, PerLayer)
    first, second, third = found.chosen(LAYOUT.names)
    assert first == KMeans(entries=4, start="optimal")  # type: ignore[arg-type]  # the enumeration's text
    assert second == Affine(bits=3)
    assert third == KMeans(entries=8, start="optimal")  # type: ignore[arg-type]


def test_each_layer_is_what_its_quantiser_alone_makes_of_it() -> None:
    mixed = parse_recipe(MIXED).quantise
    assert isinstance(mixed, PerLayer)
    found = mixed.quantise(given())
    for place, quantizer in enumerate(mixed.chosen(LAYOUT.names)):
        assert torch.equal(found.layers[place].weights(), quantizer.quantise(given()).layers[place].weights())


def test_every_form_in_one_file_is_exact_and_the_recipe_is_in_it(tmp_path: Path) -> None:
    text = (
        'name = "mixed"\n[quantise]\nmethod = "pvq"\npulses = [1]\nepochs = 1\n'
        + pattern("a", 'method = "vq"\nentries = 64\nlength = 4')
        + pattern("c*", 'method = "fixed"')
    )
    model = compress(parse_recipe(text), TASK, state(), data())
    assert [type(layer.form) for layer in model.layers] == [VectorCoded, Pyramid, Dense]
    model.save(tmp_path / "x.qsz")
    again = CompressedModel.load(tmp_path / "x.qsz")
    assert again.recipe_text == text
    images = data().test.images[:50]
    assert np.array_equal(infer(again, images).logits, TorchReference(model)(images))


def test_all_layers_are_trained_through_together_and_pruned_weights_stay_zero() -> None:
    prune = '[prune]\nmethod = "gradual"\ndensity = 0.3\nepochs = 1\n'
    text = HEAD + "epochs = 1\nnoise = 0.5\n" + pattern("b", 'method = "fixed"') + pattern("c", 'method = "binary"') + prune
    model = compress(parse_recipe(text), TASK, state(), data())
    assert [type(layer.form) for layer in model.layers] == [ScalarCoded, Dense, ScalarCoded]
    assert sum(np.count_nonzero(layer.form.reconstruct()) for layer in model.layers) <= round(0.3 * LAYOUT.weight_count)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (pattern("d*", "entries = 4"), r"quantise\.layers\[0\]\.match must be a pattern of one of the layers a, b, c .* not 'd\*'"),
        (pattern("*", "entries = 4") + pattern("a", "entries = 2"), r"quantise\.layers\[1\]\.match must be a pattern"),
        ("[[quantise.layers]]\nentries = 4", r"quantise\.layers\[0\]\.match is missing"),
        (pattern("a", "entrys = 4"), r"quantise\.layers\[0\]\.entrys is not a field \(did you mean 'entries'"),
        (pattern("a", 'method = "affin"'), r"quantise\.layers\[0\]\.method must be a known method"),
        (pattern("a", "epochs = 4"), r"quantise\.layers\[0\]\.epochs belongs into \[quantise\]"),
        ("[[quantise.layers]]\nmatch = 3", r"quantise\.layers\[0\]\.match must be text"),
        ("layers = 3", r"quantise\.layers must be tables"),
    ],
)  # fmt: skip
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        compress(parse_recipe(HEAD + text), TASK, state(), data())
