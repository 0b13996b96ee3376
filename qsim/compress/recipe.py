"""Recipes: what is done to a network, as a TOML file.

Tables ``[prune]`` and ``[quantise]`` name a ``method`` of :data:`qsim.compress.pruners.PRUNERS` and
:data:`qsim.compress.quantizers.QUANTIZERS`; their other fields are those of that method's dataclass. ``[calibration]``,
``[finetune]``, ``[fixed_point]`` and ``[encode]`` may be left out. ``[low_rank]`` cuts layers in two before all else
(:mod:`qsim.compress.low_rank`). ``order_units = true`` sorts hidden units after pruning
(:mod:`qsim.compress.order`). ``[[quantise.layers]]`` overrides ``[quantise]`` for layers by name
(:mod:`qsim.compress.per_layer`). A field that does not exist is an error, never ignored.
"""

from dataclasses import dataclass, field
from pathlib import Path

from qsim.compress.calibrate import FixedPoint
from qsim.compress.finetune import FineTuning
from qsim.compress.low_rank import LowRank
from qsim.compress.per_layer import read_quantizer
from qsim.compress.prune import Pruning
from qsim.compress.pruners import PRUNERS
from qsim.compress.pruners.given import NoPruning
from qsim.compress.quantizers import QUANTIZERS, Quantizer
from qsim.compress.synthetic import Calibration
from qsim.compress.tables import convert, read_table, read_variant, subtable
from qsim.errors import RecipeError, nearest
from qsim.files import parse_toml
from qsim.formats.symbols import EncodeOptions

FOLDER = Path(__file__).parent / "recipes"
TABLES = ("low_rank", "prune", "calibration", "quantise", "finetune", "fixed_point", "encode")
FIELDS = ("name", "description", "seed", "order_units", *TABLES)

NAMES = (
    "deep-compression", "smallest", "smallest-context", "eie", "codebook", "pvq", "dense-16b",
    "lenet-5-deep-compression", "lenet-5-smallest", "lenet-5-sparsest", "lenet-5-tiny",
    "hessian-kmeans", "uniform", "ecsq", "hierarchical", "binary", "ternary", "power-of-two",
    "affine", "mixed", "zero-shot", "vq", "pq", "rvq", "ipq",
    "movement", "taylor", "sensitivity", "lottery", "low-rank",
)  # fmt: skip
RECIPES: dict[str, Path] = {name: FOLDER / f"{name}.toml" for name in NAMES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a compressed model besides the float weights and the data. ``text`` is the TOML it was read from."""

    name: str
    quantise: Quantizer
    low_rank: LowRank = field(default_factory=LowRank)
    prune: Pruning = field(default_factory=NoPruning)
    calibration: Calibration = field(default_factory=Calibration)
    finetune: FineTuning = field(default_factory=FineTuning)
    fixed_point: FixedPoint = field(default_factory=FixedPoint)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    description: str = ""
    seed: int = 0
    order_units: bool = False
    text: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 63:
            raise RecipeError(path="seed", rule="0 to 2^63 - 1", value=self.seed)


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """Return the recipe in the TOML ``text``; ``where`` names its origin in errors.

    Raises :class:`RecipeError` for malformed TOML, an unknown or missing field, or a value outside its range.
    """
    try:
        table = parse_toml(text)
    except ValueError as error:
        raise RecipeError(f"{where} is not valid TOML: {error}") from error
    for name in table:
        if name not in FIELDS:
            raise RecipeError(f"{name} is not a field of a recipe{nearest(name, FIELDS)}; the fields are: {', '.join(FIELDS)}")
    for name in ("name", "quantise"):
        if name not in table:
            raise RecipeError(f"{name} is missing in {where}")
    return Recipe(
        name=convert(str, table["name"], "name"),
        description=convert(str, table.get("description", ""), "description"),
        seed=convert(int, table.get("seed", 0), "seed"),
        order_units=convert(bool, table.get("order_units", False), "order_units"),
        low_rank=read_table(LowRank, subtable(table, "low_rank"), "low_rank"),
        prune=read_variant(PRUNERS, {"method": "none", **subtable(table, "prune")}, "prune"),
        quantise=read_quantizer(QUANTIZERS, subtable(table, "quantise")),
        calibration=read_table(Calibration, subtable(table, "calibration"), "calibration"),
        finetune=read_table(FineTuning, subtable(table, "finetune"), "finetune"),
        fixed_point=read_table(FixedPoint, subtable(table, "fixed_point"), "fixed_point"),
        encode=read_table(EncodeOptions, subtable(table, "encode"), "encode"),
        text=text,
    )


def load_recipe(name: str | Path) -> Recipe:
    """Return a recipe by its name in :data:`RECIPES`, or from a TOML file.

    Text without a folder or ".toml" is a name; anything else is a path.
    """
    if isinstance(name, str) and not name.endswith(".toml") and "/" not in name:
        if name not in RECIPES:
            raise RecipeError(path="recipe", rule="the name of a recipe or a path ending in .toml", value=name, legal=RECIPES)
        path = RECIPES[name]
    else:
        path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
    return parse_recipe(text, str(path))
