"""A compressed network: graph, integer weights in their storage forms, and where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from qsim.errors import FieldError, FileFormatError
from qsim.files import write_bytes_atomically
from qsim.formats.arrays import check_range, check_shape, read_only
from qsim.formats.coding import decode_form, encode_form
from qsim.formats.container import content_hash, seal, unseal
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import MAX_WIDTH, FixedFormat, IntArray
from qsim.formats.layer import CompressedLayer, Form, Pyramid, StreamKind
from qsim.formats.symbols import EncodeOptions
from qsim.model.graph import Graph, MaxPool, Weighted
from qsim.model.graph_file import describe_graph, read_graph

NoteValue = str | int | float | bool | None
OUTPUT_CLASSES = "output_classes"  # the note that says which class each output stands for
FLOAT_PARAMETERS = "float_parameters"  # the note that says how many parameters the float network had, where its layers were others
MAX_FILE_BYTES = 1 << 30
MAX_WEIGHTS = 1 << 28  # about twice VGG-16
WEIGHTS_PER_BYTE = 1024  # 0.1 % of the weights kept, at a byte each


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantisedLayer:
    """A fully connected layer or a convolution with its integer weights: a form of ``node.rows`` by ``node.columns``.

    ``bias`` [rows] are integers in ``node.bias_format``. The accumulator's fraction must be that of activation times
    weight; every later intermediate must fit 62 bits.
    """

    node: Weighted
    form: Form
    bias: IntArray

    def __post_init__(self) -> None:
        name, node = self.node.name, self.node
        if (self.form.rows, self.form.cols) != (node.rows, node.columns):
            rule = f"{node.rows} rows by {node.columns} columns"
            raise FieldError(path=f"{name}.form", rule=rule, value=[self.form.rows, self.form.cols])
        object.__setattr__(self, "bias", read_only(self.bias, np.int64, 1, f"{name}.bias"))
        check_shape(self.bias, (node.rows,), f"{name}.bias")
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
        shift = self.total_fraction - node.output_format.fraction
        width += max(0, -shift)
        if width > MAX_WIDTH or shift > MAX_WIDTH:
            rule = f"so that scaled sum, shifted bias, rounding and output fit {MAX_WIDTH} bits"
            raise FieldError(path=f"{name} formats", rule=rule, value=f"{max(width, shift)} bits")

    @property
    def scale_format(self) -> FixedFormat | None:
        """Format of the scale applied at the drain, or None where there is none."""
        return self.form.scale_format if isinstance(self.form, Pyramid) else None

    @property
    def scales(self) -> IntArray | None:
        """Integer scale of every row [rows], or None where there is none."""
        return self.form.scales if isinstance(self.form, Pyramid) else None

    @property
    def total_fraction(self) -> int:
        """Fraction bits of the sum to which the bias is added."""
        scale = 0 if self.scale_format is None else self.scale_format.fraction
        return self.node.accumulator_format.fraction + scale


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressedModel:
    """A compressed network and its provenance; ``.qsz`` is its file.

    ``layers`` are the nodes of the graph that have weights, in order; :attr:`steps` has the others between them.
    ``recipe_text`` is the recipe as the user wrote it, ``weight_source`` says which float weights were compressed, ``notes``
    hold further plain facts (seed, accuracies; "output_classes": see :attr:`output_classes`, "float_parameters": see
    :attr:`float_bytes`), ``options`` steer the encoder. No ``slots``: the encoded file is computed once and kept.
    """

    graph: Graph
    layers: tuple[QuantisedLayer, ...]
    recipe_text: str = ""
    weight_source: str = ""
    notes: Mapping[str, NoteValue] = field(default_factory=dict)
    options: EncodeOptions = field(default_factory=EncodeOptions)

    def __post_init__(self) -> None:
        if tuple(layer.node for layer in self.layers) != self.graph.weighted:
            names = [layer.node.name for layer in self.layers]
            raise FieldError(path="model.layers", rule="the nodes of the graph, in order, without pools", value=names)
        for key, value in self.notes.items():
            if not isinstance(key, str) or not isinstance(value, str | int | float | bool | None):
                raise FieldError(path=f"model.notes.{key}", rule="text, a number, a truth value or None", value=value)
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))
        _ = self.output_classes, self.float_bytes

    @property
    def float_bytes(self) -> int:
        """Bytes of the float32 parameters of the network that was compressed: those of the graph, unless a note says otherwise.

        Raises :class:`FieldError` for a note that is not a positive number.
        """
        count = self.notes.get(FLOAT_PARAMETERS, self.graph.parameters)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count < 1 << 48:
            raise FieldError(path=f"model.notes.{FLOAT_PARAMETERS}", rule="a positive whole number", value=count)
        return 4 * count

    @property
    def output_classes(self) -> IntArray:
        """The class of each output of the last layer [outputs]: its number, unless a note says otherwise.

        Raises :class:`FieldError` for a note that is not a number for each output.
        """
        outputs = self.graph.nodes[-1].outputs
        text = self.notes.get(OUTPUT_CLASSES)
        if text is None:
            return np.arange(outputs)
        words = text.split() if isinstance(text, str) else []
        if len(words) != outputs or not all(word.isdecimal() and len(word) < 10 for word in words):
            raise FieldError(path=f"model.notes.{OUTPUT_CLASSES}", rule=f"{outputs} numbers, one an output", value=text)
        return np.array([int(word) for word in words], dtype=np.int64)

    @property
    def steps(self) -> tuple[QuantisedLayer | MaxPool, ...]:
        """Every node of the graph, in order: a layer with its weights, or a pool."""
        layers = iter(self.layers)
        return tuple(node if isinstance(node, MaxPool) else next(layers) for node in self.graph.nodes)

    @cached_property
    def encoded_layers(self) -> tuple[CompressedLayer, ...]:
        """Header and streams of every layer, as in the file."""
        return tuple(encode_form(layer.form, layer.bias, layer.node.bias_format, self.options) for layer in self.layers)

    @cached_property
    def data(self) -> bytes:
        """The whole file."""
        area = sum(node.weights for node in self.graph.weighted)
        metadata = [
            *describe_graph(self.graph),
            _option_numbers(self.options),
            [list(layer.header) for layer in self.encoded_layers],
            self.recipe_text,
            self.weight_source,
            dict(self.notes),
        ]
        data = seal(metadata, b"".join(layer.payload for layer in self.encoded_layers))
        if area > most_weights(len(data)):
            raise FieldError(path="model.layers", rule=f"at most {most_weights(len(data))} weights in {len(data)} bytes", value=area)
        return data

    @property
    def file_bytes(self) -> int:
        """The exact size of the file."""
        return len(self.data)

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything in the file after the hash itself, in hexadecimal."""
        return content_hash(self.data)

    @property
    def bytes_by_kind(self) -> dict[StreamKind, int]:
        """The file's bytes by what they are spent on; the sum is exactly :attr:`file_bytes`."""
        split = {kind: sum(layer.bytes_of(kind) for layer in self.encoded_layers) for kind in StreamKind}
        split[StreamKind.HEADER] += self.file_bytes - sum(split.values())
        return split

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_bytes_atomically(Path(path), self.data)

    @classmethod
    def load(cls, path: str | Path) -> "CompressedModel":
        """Read a file. Raises :class:`FileFormatError` for one that is not exactly what :meth:`save` wrote."""
        place = Path(path)
        try:
            if not place.is_file():
                raise FileFormatError(f"{place} is not a file" if place.exists() else f"{place} does not exist")
            if place.stat().st_size > MAX_FILE_BYTES:
                raise FileFormatError(path=f"size of {place}", rule=f"at most {MAX_FILE_BYTES} bytes", value=place.stat().st_size)
            data = place.read_bytes()
        except OSError as error:
            raise FileFormatError(f"cannot read {place}: {error.strerror}") from error
        try:
            return cls.from_bytes(data)
        except FileFormatError as error:
            raise FileFormatError(f"{place}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> "CompressedModel":
        """Read the content of a file, the exact inverse of :attr:`data`; errors as for :meth:`load`."""
        content, payload = unseal(data)
        try:
            return cls._read(Fields(content, "metadata"), Bytes(payload, "payload"), most_weights(len(data)))
        except FieldError as error:
            raise FileFormatError(f"the file describes an impossible model: {error}") from error

    @classmethod
    def _read(cls, metadata: Fields, payload: Bytes, most: int) -> "CompressedModel":
        graph = read_graph(metadata, most)
        numbers = metadata.fields("options")
        options = EncodeOptions(
            index_bits=numbers.integer("index_bits", 0, 16) or None,
            huffman=bool(numbers.integer("huffman", 0, 1)),
            max_code_length=numbers.integer("max_code_length", 1, 15),
            by_column=bool(numbers.left and numbers.integer("by_column", 1 if numbers.left == 1 else 0, 1)),
            context=bool(numbers.left and numbers.integer("context", 1, 1)),
        )
        numbers.end()
        headers = metadata.fields("layers")
        layers = []
        for node in graph.weighted:
            header = headers.fields(node.name)
            form, bias = decode_form(header, payload, node.rows, node.columns, node.bias_format)
            layers.append(QuantisedLayer(node=node, form=form, bias=bias))
        headers.end()
        texts = metadata.text("recipe"), metadata.text("weight_source")
        notes = metadata.plain_map("notes")
        metadata.end()
        payload.end()
        return cls(graph=graph, layers=tuple(layers), recipe_text=texts[0], weight_source=texts[1], notes=notes, options=options)


def _option_numbers(options: EncodeOptions) -> list[int]:
    """Return the encoder options as they are stored; ``by_column`` and ``context`` only up to the last that is set."""
    rest = [int(options.by_column), 1] if options.context else [1] * options.by_column
    return [options.index_bits or 0, int(options.huffman), options.max_code_length, *rest]


def most_weights(file_bytes: int) -> int:
    """Return how many weights a file of this size may stand for, so that a small hostile file cannot ask for all memory."""
    return min(MAX_WEIGHTS, WEIGHTS_PER_BYTE * file_bytes + (1 << 20))
