"""Is every shipped recipe sound, and does every mistake in a recipe name the field, the rule and the nearest legal name?"""

from pathlib import Path

import pytest

from qsim.compress.clusters import Start
from qsim.compress.curvature import Curvature
from qsim.compress.pruners import PRUNERS
from qsim.compress.pruners.given import KeepZeros, NoPruning
from qsim.compress.pruners.gradual import GradualPruning
from qsim.compress.pruners.iterative import IterativePruning
from qsim.compress.pruners.structured import StructuredPruning
from qsim.compress.quantizers import QUANTIZERS
from qsim.compress.quantizers.kmeans import KMeans
from qsim.compress.recipe import RECIPES, load_recipe, parse_recipe
from qsim.errors import RecipeError

MINIMAL = 'name = "x"\n[quantise]\nmethod = "fixed"\n'


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe_loads_under_its_own_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe.text == RECIPES[name].read_text(encoding="utf-8")


def test_deep_compression_has_the_papers_settings() -> None:
    recipe = load_recipe("deep-compression")
    # arXiv:1510.00149 Table 2: 8, 9 and 26 % kept, 6-bit weights; linear initialisation, section 3.2.
    assert isinstance(recipe.prune, IterativePruning)
    assert recipe.prune.densities == (0.08, 0.09, 0.26)
    assert isinstance(recipe.quantise, KMeans)
    assert 32 <= recipe.quantise.entries < 64
    assert recipe.quantise.start is Start.LINEAR


@pytest.mark.parametrize("name", ["smallest", "eie"])
def test_sparse_recipes_fit_a_16_entry_table_with_a_slot_for_zero(name: str) -> None:
    quantise = load_recipe(name).quantise
    assert isinstance(quantise, KMeans)
    assert quantise.entries <= 15


def test_every_method_has_a_recipe() -> None:
    used = {type(load_recipe(name).quantise) for name in RECIPES}
    assert used == set(QUANTIZERS.values())
    pruned = {type(load_recipe(name).prune) for name in RECIPES}
    assert pruned >= set(PRUNERS.values()) - {KeepZeros, StructuredPruning}


def test_defaults_fill_what_is_left_out() -> None:
    recipe = parse_recipe(MINIMAL)
    assert isinstance(recipe.prune, NoPruning)
    assert recipe.finetune.epochs == 0
    assert recipe.fixed_point.activation_bits == 16
    assert recipe.encode.index_bits is None


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + '[prune]\nmethod = "gradual"\ndensity = 1\nepochs = 3\n', encoding="utf-8")
    assert load_recipe(path).prune == GradualPruning(density=1.0, epochs=3)
    assert load_recipe(str(path)).name == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not valid TOML"),
        ('name = "x"', "quantise is missing"),
        ('[quantise]\nmethod = "fixed"', "name is missing"),
        (MINIMAL + "[prun]\n", r"prun is not a field of a recipe \(did you mean 'prune'\?\)"),
        (MINIMAL + '[prune]\nmethod = "gradual"\ndensty = 0.1', r"prune.densty is not a field \(did you mean 'density'\?\)"),
        (MINIMAL + '[prune]\nmethod = "gradual"', "prune.density is missing"),
        (MINIMAL + '[prune]\nmethod = "gradual"\ndensity = 0.0', "prune.density must be above 0, at most 1, not 0.0"),
        (MINIMAL + '[prune]\nmethod = "gradual"\ndensity = "3 %"', "prune.density must be a number, not '3 %'"),
        (
            MINIMAL + '[prune]\nmethod = "gradul"',
            r"legal values: none, zeros, iterative, sensitivity, gradual, lottery, structured \(did you mean 'gradual'",
        ),
        (MINIMAL + '[prune]\nmethod = "iterative"\ndensities = [0.1, 2]', r"prune.densities\[1\] must be above 0"),
        (MINIMAL + '[prune]\nmethod = "iterative"\ndensities = 0.1', "prune.densities must be a list"),
        (MINIMAL + "[finetune]\nepochs = 1.5", "finetune.epochs must be a whole number, not 1.5"),
        (MINIMAL + "[finetune]\nepochs = true", "finetune.epochs must be a whole number, not True"),
        (MINIMAL + "[finetune]\nepochs = -1", "finetune.epochs must be at least 0"),
        (MINIMAL + "[fixed_point]\nweight_bits = 17", "fixed_point.weight_bits must be 2 to 16, not 17"),
        (MINIMAL + "[encode]\nindex_bits = 99", "index_bits must be 1 to 16"),
        ("seed = -1\n" + MINIMAL, "seed must be 0 to"),
        ('seed = "a"\n' + MINIMAL, "seed must be a whole number"),
        ("finetune = 3\n" + MINIMAL, "finetune must be a table"),
        ('name = "x"\n[quantise]\nmethod = "kmeans"\nentries = 0', "quantise.entries must be 1 to 65536, not 0"),
        ('name = "x"\n[quantise]\nmethod = "kmeans"\nentries = 4\nstart = "linar"', r"quantise.start must be .*\(did you mean 'linear'"),
        ('name = "x"\n[quantise]\nmethod = "kmeans"\nentries = 4\nzero = 1', "quantise.zero must be true or false"),
        ('name = "x"\n[quantise]\nmethod = "pvq"\npulses = [0]', r"quantise.pulses\[0\] must be above 0, at most 64"),
        ('name = "x"\n[quantise]\n', "quantise.method must be a known method, not None"),
    ],
)  # fmt: skip
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"legal values: .*smallest.*\(did you mean 'smallest'\?\)"):
        load_recipe("smalest")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml cannot be read"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "9" * 5_000])
def test_hostile_toml_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="not valid TOML"):
        parse_recipe(text)


def test_a_value_of_a_table_is_named_as_it_is_written() -> None:
    error = RecipeError(path="quantise.curvature", rule="adam", value=Curvature.HESSIAN)
    assert str(error) == "quantise.curvature must be adam, not 'hessian'"
