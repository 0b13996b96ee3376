"""A compressed network: graph, integer weights in their storage forms, and where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from qsim.errors import FieldError
from qsim.formats.arrays import check_range, check_shape, read_only
from qsim.formats.fixed import MAX_WIDTH, FixedFormat, IntArray
from qsim.formats.layer import Form, Pyramid
from qsim.model.graph import FullyConnected, Graph

NoteValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantisedLayer:
    """A layer with its integer weights.

    ``bias`` [outputs] are integers in ``node.bias_format``. The accumulator's fraction must be that of activation times
    weight; every later intermediate must fit 62 bits.
    """

    node: FullyConnected
    form: Form
    bias: IntArray

    def __post_init__(self) -> None:
        name, node = self.node.name, self.node
        if (self.form.rows, self.form.cols) != (node.outputs, node.inputs):
            rule = f"{node.outputs} rows by {node.inputs} columns"
            raise FieldError(path=f"{name}.form", rule=rule, value=[self.form.rows, self.form.cols])
        object.__setattr__(self, "bias", read_only(self.bias, np.int64, 1, f"{name}.bias"))
        check_shape(self.bias, (node.outputs,), f"{name}.bias")
        check_range(self.bias, node.bias_format.minimum, node.bias_format.maximum, f"{name}.bias")
        product = node.input_format.fraction + self.form.weight_format.fraction
        if node.accumulator_format.fraction != product:
            rule = f"of fraction {product} (activation + weight)"
            raise FieldError(path=f"{name}.accumulator_format", rule=rule, value=str(node.accumulator_format))
        width = node.input_format.width + self.form.weight_format.width
        if width > MAX_WIDTH:
            raise FieldError(path=f"{name} formats", rule=f"so that a product fits {MAX_WIDTH} bits", value=f"{width} bits")
        self._check_drain()

    def _check_drain(self) -> None:
        name, node = self.node.name, self.node
        shift = self.total_fraction - node.bias_format.fraction
        if shift < 0:
            rule = f"of fraction at most {self.total_fraction}, that of the sum it is added to"
            raise FieldError(path=f"{name}.bias_format", rule=rule, value=str(node.bias_format))
        scale_width = 0 if self.scale_format is None else self.scale_format.width
        width = max(node.accumulator_format.width + scale_width, node.bias_format.width + shift) + 1
        width += max(0, node.output_format.fraction - self.total_fraction)
        if width > MAX_WIDTH:
            rule = f"so that scaled sum, shifted bias and output fit {MAX_WIDTH} bits"
            raise FieldError(path=f"{name} formats", rule=rule, value=f"{width} bits")

    @property
    def scale_format(self) -> FixedFormat | None:
        """Format of the scale applied at the drain, or None where there is none."""
        return self.form.scale_format if isinstance(self.form, Pyramid) else None

    @property
    def scales(self) -> IntArray | None:
        """Integer scale of every row [outputs], or None where there is none."""
        return self.form.scales if isinstance(self.form, Pyramid) else None

    @property
    def total_fraction(self) -> int:
        """Fraction bits of the sum to which the bias is added."""
        scale = 0 if self.scale_format is None else self.scale_format.fraction
        return self.node.accumulator_format.fraction + scale


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressedModel:
    """A compressed network and its provenance; ``.qsz`` is its file.

    ``recipe_text`` is the recipe as the user wrote it, ``weight_source`` says which float weights were compressed, ``notes``
    hold further plain facts (seed, accuracies). No ``slots``: the encoded file is computed once and kept.
    """

    graph: Graph
    layers: tuple[QuantisedLayer, ...]
    recipe_text: str = ""
    weight_source: str = ""
    notes: Mapping[str, NoteValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(layer.node for layer in self.layers) != self.graph.nodes:
            names = [layer.node.name for layer in self.layers]
            raise FieldError(path="model.layers", rule="the nodes of the graph, in order", value=names)
        for key, value in self.notes.items():
            if not isinstance(key, str) or not isinstance(value, str | int | float | bool | None):
                raise FieldError(path=f"model.notes.{key}", rule="text, a number, a truth value or None", value=value)
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))
