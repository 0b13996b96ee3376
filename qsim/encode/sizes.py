"""Where the bits go: the columns of Deep Compression's size tables, for every layer and in total.

"P+Q" is the layer encoded without Huffman codes, "P+Q+H" with them; each at its own best index width unless the options fix one.
Every number is counted from streams that exist. Source of the columns: Han et al., ICLR 2016, tables 2 to 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qsim.encode.layers import encode_layer
from qsim.formats.layer import CompressedLayer, Dense, Form, Pyramid, ScalarCoded, StreamKind, VectorCoded
from qsim.model.compressed import CompressedModel

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRow:
    """The sizes of one layer, or of the whole file in the row named "total".

    ``kept``: weights that are stored, out of ``weights``; ``entries``: symbols in the weight streams, filler entries included.
    Bits are per entry; ``index_bits_*`` are 0 where no relative index is used. ``bytes_pq`` and ``bytes_pqh`` hold weights, index,
    codebook, tables and biases, and in the total also the file's header, so that the total's ``bytes_pqh`` is the size of the file.
    ``entropy_*``: first-order entropy per entry, the bound of any code without context.
    """

    name: str
    weights: int
    kept: int
    entries: int
    weight_bits_pq: float
    weight_bits_pqh: float
    index_bits_pq: float
    index_bits_pqh: float
    entropy_weight_bits: float
    entropy_index_bits: float
    float_bytes: int
    bytes_pq: int
    bytes_pqh: int

    @property
    def kept_share(self) -> float:
        """Share of the weights that are stored."""
        return self.kept / self.weights

    @property
    def rate_pq(self) -> float:
        """Bytes of P+Q over bytes of 32-bit floats."""
        return self.bytes_pq / self.float_bytes

    @property
    def rate_pqh(self) -> float:
        """Bytes of P+Q+H over bytes of 32-bit floats."""
        return self.bytes_pqh / self.float_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One layer and its two encodings."""

    name: str
    parameters: int
    weights: int
    kept: int
    fixed: CompressedLayer
    coded: CompressedLayer


def table(model: CompressedModel) -> list[SizeRow]:
    """Return one row a layer, in order, and a total row for the whole file."""
    plain = replace(model.options, huffman=False, context=False)
    parts = [
        _Part(
            name=layer.node.name,
            parameters=layer.node.parameters,
            weights=layer.node.weights,
            kept=kept_weights(layer.form),
            fixed=encode_layer(layer, plain),
            coded=coded,
        )
        for layer, coded in zip(model.layers, model.encoded_layers, strict=True)
    ]
    rows = [_row(part.name, [part], 0, 0) for part in parts]
    header = model.bytes_by_kind[StreamKind.HEADER]
    plain_header = replace(model, options=plain).bytes_by_kind[StreamKind.HEADER]
    return [*rows, _row("total", parts, plain_header, header)]


def kept_weights(form: Form) -> int:
    """Return the weights that a form stores: all but the pruned or, without a mask, the zero ones."""
    match form:
        case ScalarCoded():
            return int(form.codes.size if form.mask is None else form.mask.sum())
        case Dense() | Pyramid():
            return int((form.reconstruct() != 0).sum())
        case VectorCoded():
            return form.rows * form.cols


def _row(name: str, parts: Sequence[_Part], header_pq: int, header_pqh: int) -> SizeRow:
    fixed, coded = [part.fixed for part in parts], [part.coded for part in parts]
    weight, index = StreamKind.WEIGHT, StreamKind.INDEX
    return SizeRow(
        name=name,
        weights=sum(part.weights for part in parts),
        kept=sum(part.kept for part in parts),
        entries=_symbols(coded, weight),
        weight_bits_pq=_bits(fixed, weight) / max(1, _symbols(fixed, weight)),
        weight_bits_pqh=_bits(coded, weight) / max(1, _symbols(coded, weight)),
        index_bits_pq=_bits(fixed, index) / max(1, _symbols(fixed, index)),
        index_bits_pqh=_bits(coded, index) / max(1, _symbols(coded, index)),
        entropy_weight_bits=_entropy(coded, weight) / max(1, _symbols(coded, weight)),
        entropy_index_bits=_entropy(coded, index) / max(1, _symbols(coded, index)),
        float_bytes=FLOAT_BYTES * sum(part.parameters for part in parts),
        bytes_pq=sum(len(layer.payload) for layer in fixed) + header_pq,
        bytes_pqh=sum(len(layer.payload) for layer in coded) + header_pqh,
    )


def _symbols(layers: Sequence[CompressedLayer], kind: StreamKind) -> int:
    return sum(stream.symbols for layer in layers for stream in layer.streams if stream.kind is kind)


def _bits(layers: Sequence[CompressedLayer], kind: StreamKind) -> int:
    return sum(stream.bits for layer in layers for stream in layer.streams if stream.kind is kind)


def _entropy(layers: Sequence[CompressedLayer], kind: StreamKind) -> float:
    return sum(stream.entropy_bits for layer in layers for stream in layer.streams if stream.kind is kind)
