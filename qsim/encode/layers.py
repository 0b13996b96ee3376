"""One layer as bits, and back."""

from qsim.formats.coding import decode_form, encode_form
from qsim.formats.fields import Bytes, Fields
from qsim.formats.layer import CompressedLayer
from qsim.formats.symbols import EncodeOptions
from qsim.model.compressed import QuantisedLayer
from qsim.model.graph import Weighted


def encode_layer(layer: QuantisedLayer, options: EncodeOptions | None = None) -> CompressedLayer:
    """Return the header and streams of ``layer`` with exact bit counts; the default options search for the smallest."""
    return encode_form(layer.form, layer.bias, layer.node.bias_format, options or EncodeOptions())


def decode_layer(node: Weighted, encoded: CompressedLayer) -> QuantisedLayer:
    """Return the layer, the exact inverse of :func:`encode_layer`.

    Raises :class:`qsim.errors.FileFormatError` for header or streams that :func:`encode_layer` cannot have written.
    """
    payload = Bytes(encoded.payload, node.name)
    form, bias = decode_form(Fields(encoded.header, node.name), payload, node.rows, node.columns, node.bias_format)
    payload.end()
    return QuantisedLayer(node=node, form=form, bias=bias)
