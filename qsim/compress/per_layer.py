"""Quantisers by layer: ``[quantise]`` for all, overridden for those whose names match a pattern.

::

    [quantise]
    method = "kmeans"
    entries = 8

    [[quantise.layers]]
    match = "conv*"  # *, ? and [abc] as in file names; the first pattern that matches a layer decides it
    entries = 16  # without a method, or with the same one: the settings of [quantise] but for these

    [[quantise.layers]]
    match = "ip2"
    method = "affine"  # another method has settings of its own
    bits = 4

Training through the quantisers is one training of all layers, so its settings stand in ``[quantise]`` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from qsim.compress.shared import Quantised, QuantizerInput, SharedWeights
from qsim.compress.tables import Variant, convert, read_variant
from qsim.compress.through import Quantizer, Share, ThroughTraining, quantise_layers
from qsim.errors import RecipeError

TRAINING = tuple(item.name for item in fields(ThroughTraining))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPattern:
    """The quantiser of the layers whose names ``match``."""

    match: str
    quantizer: Quantizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PerLayer:
    """``default``, and other quantisers for the layers that ``patterns`` name; the first match decides."""

    default: Quantizer
    patterns: tuple[LayerPattern, ...]

    @property
    def training(self) -> ThroughTraining:
        """How the default trains."""
        return self.default.training

    def chosen(self, names: Sequence[str]) -> list[Quantizer]:
        """Return the quantiser of each of the layers ``names``.

        Raises :class:`RecipeError` for a pattern that decides no layer.
        """
        firsts = [next((at for at, pattern in enumerate(self.patterns) if fnmatchcase(name, pattern.match)), None) for name in names]
        for at, pattern in enumerate(self.patterns):
            if at not in firsts:
                rule = f"a pattern of one of the layers {', '.join(names)} that none before it matches"
                raise RecipeError(path=f"quantise.layers[{at}].match", rule=rule, value=pattern.match)
        return [self.default if first is None else self.patterns[first].quantizer for first in firsts]

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return what passes each layer to its own quantiser."""
        chosen = self.chosen(given.layout.names)
        distinct = [quantizer for place, quantizer in enumerate(chosen) if quantizer not in chosen[:place]]
        shares = [quantizer.sharing(given, parameters) for quantizer in distinct]
        by_layer = [shares[distinct.index(quantizer)] for quantizer in chosen]

        def share(place: int, weight: Tensor) -> SharedWeights:
            return by_layer[place](place, weight)

        return share

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Quantise each layer with its own quantiser, after one training through all of them."""
        return quantise_layers(self, given)


def read_quantizer(variants: Variant, table: Mapping[str, Any]) -> Quantizer:
    """Return the quantiser of a recipe's table ``[quantise]``, one a layer where it has patterns."""
    general = {name: value for name, value in table.items() if name != "layers"}
    default: Quantizer = read_variant(variants, general, "quantise")
    found = table.get("layers", [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise RecipeError(path="quantise.layers", rule="tables with a match, [[quantise.layers]]", value=found)
    patterns = tuple(_read_pattern(variants, general, item, f"quantise.layers[{at}]") for at, item in enumerate(found))
    return PerLayer(default=default, patterns=patterns) if patterns else default


def _read_pattern(variants: Variant, general: Mapping[str, Any], table: Mapping[str, Any], path: str) -> LayerPattern:
    if "match" not in table:
        raise RecipeError(f"{path}.match is missing")
    own = {name: value for name, value in table.items() if name != "match"}
    for name in TRAINING:
        if name in own:
            raise RecipeError(f"{path}.{name} belongs into [quantise]: all layers are trained through their quantisers together")
    settings = {**general, **own} if own.get("method", general["method"]) == general["method"] else own
    return LayerPattern(match=convert(str, table["match"], f"{path}.match"), quantizer=read_variant(variants, settings, path))
