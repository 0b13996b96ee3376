"""Every form as header numbers and streams, and back: the exact content of a layer in a file.

A matrix of symbols is stored in one of four layouts: every cell (row by row), only the occupied cells as relative-index
entries (:mod:`qsim.formats.sparse`) over the cells taken row by row or column by column as one long sequence, or every cell coded by
context (:mod:`qsim.formats.context`) where the options allow it. The encoder takes the layout and index width with the fewest bits.
A ``hole`` symbol stands for an empty cell and for a filler entry.
"""

import math
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from qsim.formats.context import MAX_DEPTH, alphabet_of, decode_cells, shortest_stream
from qsim.formats.counting import Runs, count_symbols, narrowest
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import MAX_WIDTH, FixedFormat, IntArray
from qsim.formats.layer import MAX_CODEBOOK, MAX_WEIGHT_WIDTH, CompressedLayer, Dense, Form, Pyramid, ScalarCoded, StreamKind, VectorCoded
from qsim.formats.sparse import MAX_INDEX_BITS, RelativeEntries, RelativeIndex
from qsim.formats.symbols import EncodeOptions, LayerWriter, cost_bits, entropy_bits, read_fixed, read_symbols

Symbols = npt.NDArray[np.integer]
DENSE, SCALAR_CODED, PYRAMID, VECTOR_CODED, PRODUCT_CODED = range(5)
EVERY_CELL, BY_ROW, BY_COLUMN, BY_CONTEXT = range(4)
SEARCHED_INDEX_BITS = range(1, 13)


def encode_form(form: Form, bias: IntArray, bias_format: FixedFormat, options: EncodeOptions) -> CompressedLayer:
    """Return header and streams of a layer."""
    weights, writer = encode_weights(form, options), LayerWriter()
    writer.fixed("bias", StreamKind.BIAS, bias, bias_format.width)
    return CompressedLayer(header=weights.header, streams=(*weights.streams, *writer.streams))


def encode_weights(form: Form, options: EncodeOptions) -> CompressedLayer:
    """Return header and streams of a layer without its bias."""
    writer = LayerWriter()
    match form:
        case Dense():
            writer.numbers(DENSE, *_numbers(form.weight_format))
            _write_values(writer, form.values, options)
        case ScalarCoded():
            writer.numbers(SCALAR_CODED, *_numbers(form.weight_format), len(form.codebook), int(form.mask is not None))
            writer.fixed("codebook", StreamKind.CODEBOOK, form.codebook, form.weight_format.width)
            _write_codes(writer, form, options)
        case Pyramid():
            writer.numbers(PYRAMID, *_numbers(form.scale_format))
            writer.fixed("scales", StreamKind.CODEBOOK, form.scales, form.scale_format.width)
            _write_values(writer, form.pulses, options)
        case VectorCoded():
            kind = (VECTOR_CODED,) if form.segments == 1 else (PRODUCT_CODED, form.segments)
            writer.numbers(*kind, *_numbers(form.weight_format), *form.codebooks.shape)
            writer.fixed("codebook", StreamKind.CODEBOOK, form.codebooks, form.weight_format.width)
            for stage, indices in enumerate(form.indices):
                writer.symbols(f"stage{stage}", StreamKind.WEIGHT, indices.astype(np.int64), options)
        case _:
            assert_never(form)
    return CompressedLayer(header=tuple(writer.header), streams=tuple(writer.streams))


def decode_form(header: Fields, payload: Bytes, rows: int, cols: int, bias_format: FixedFormat) -> tuple[Form, IntArray]:
    """Return form and bias of a layer of ``rows`` outputs and ``cols`` inputs, the exact inverse of :func:`encode_form`.

    Takes its bytes from ``payload``. Raises :class:`FileFormatError` (or :class:`FieldError` from the form's own checks) for anything
    that :func:`encode_form` cannot have written.
    """
    form = _read_form(header, payload, rows, cols)
    bias = read_fixed(payload, "bias", rows, bias_format.width, bias_format.signed)
    header.end()
    return form, bias


def decode_weights(header: Fields, payload: Bytes, rows: int, cols: int) -> Form:
    """Return the form of a layer without bias, the exact inverse of :func:`encode_weights`; errors as for :func:`decode_form`."""
    form = _read_form(header, payload, rows, cols)
    header.end()
    return form


def _read_form(header: Fields, payload: Bytes, rows: int, cols: int) -> Form:
    form: Form
    match header.integer("form", DENSE, PRODUCT_CODED):
        case 0:
            weight_format = _format(header, "weight_format")
            form = Dense(values=_read_values(header, payload, rows, cols), weight_format=weight_format)
        case 1:
            form = _read_scalar_coded(header, payload, rows, cols)
        case 2:
            scale_format = _format(header, "scale_format")
            scales = read_fixed(payload, "scales", rows, scale_format.width, scale_format.signed)
            form = Pyramid(pulses=_read_values(header, payload, rows, cols), scales=scales, scale_format=scale_format)
        case 3:
            form = _read_vector_coded(header, payload, rows, cols, 1)
        case _:
            form = _read_vector_coded(header, payload, rows, cols, header.integer("segments", 2, max(2, cols)))
    return form


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A way to store a matrix of symbols."""

    layout: int
    index_bits: int = 0
    bits: float = 0.0


def _write_values(writer: LayerWriter, values: npt.NDArray[np.integer], options: EncodeOptions) -> None:
    low = min(0, int(values.min(initial=0)))
    writer.numbers(-low)
    symbols = np.empty(values.shape, dtype=narrowest(int(values.max(initial=0)) - low))
    np.subtract(values, np.int32(low), out=symbols, dtype=np.int32, casting="unsafe")
    _write_matrix(writer, symbols, -low, options)


def _read_values(header: Fields, payload: Bytes, rows: int, cols: int) -> npt.NDArray[np.int32]:
    hole = header.integer("hole", 0, 1 << MAX_WEIGHT_WIDTH)
    symbols = _read_matrix(header, payload, rows, cols, hole, (2 << MAX_WEIGHT_WIDTH) - 1)
    values = np.empty(symbols.shape, dtype=np.int32)
    np.subtract(symbols, np.int32(hole), out=values, dtype=np.int32, casting="unsafe")
    values.setflags(write=False)
    return values


def _write_codes(writer: LayerWriter, form: ScalarCoded, options: EncodeOptions) -> None:
    size = len(form.codebook)
    codes = form.codes.astype(narrowest(size))
    if form.mask is not None:
        np.copyto(codes, size, where=~form.mask)
    _write_matrix(writer, codes, None if form.mask is None else size, options)


def _read_scalar_coded(header: Fields, payload: Bytes, rows: int, cols: int) -> ScalarCoded:
    weight_format = _format(header, "weight_format")
    size = header.integer("codebook", 1, MAX_CODEBOOK)
    masked = header.integer("masked", 0, 1)
    codebook = read_fixed(payload, "codebook", size, weight_format.width, weight_format.signed)
    symbols = _read_matrix(header, payload, rows, cols, size if masked else None, size - 1 + masked)
    codes, mask = symbols.astype(np.uint16), None
    if masked:
        mask = symbols != size
        np.copyto(codes, 0, where=~mask)
        mask.setflags(write=False)
    codes.setflags(write=False)
    return ScalarCoded(codes=codes, codebook=codebook, weight_format=weight_format, mask=mask)


def _read_vector_coded(header: Fields, payload: Bytes, rows: int, cols: int, segments: int) -> VectorCoded:
    weight_format = _format(header, "weight_format")
    stages = header.integer("stages", 1, 256)
    size = header.integer("vectors", 1, MAX_CODEBOOK)
    width = header.integer("length", 1, cols)
    flat = read_fixed(payload, "codebook", stages * size * width, weight_format.width, weight_format.signed)
    count = rows * cols // width
    indices = [read_symbols(header, payload, f"stage{stage}", count, size - 1) for stage in range(stages)]
    return VectorCoded(
        indices=np.stack(indices).astype(np.uint16),
        codebooks=flat.reshape(stages, size, width),
        rows=rows,
        cols=cols,
        weight_format=weight_format,
        segments=segments,
    )


def _write_matrix(writer: LayerWriter, symbols: Symbols, hole: int | None, options: EncodeOptions) -> None:
    best = _best_layout(symbols, hole, options)
    if options.context and _write_by_context(writer, symbols, hole, best.bits):
        return
    writer.numbers(best.layout)
    if hole is None or best.layout == EVERY_CELL:
        writer.symbols("weights", StreamKind.WEIGHT, symbols.ravel(), options)
        return
    cells = _cells(symbols, best.layout)
    places = np.flatnonzero(cells != hole)
    entries = RelativeIndex(best.index_bits).encode(places)
    values = np.full(len(entries.gaps), hole, dtype=symbols.dtype)
    values[~entries.is_filler] = cells[places]
    writer.numbers(best.index_bits, len(values))
    writer.symbols("gaps", StreamKind.INDEX, entries.gaps, options)
    writer.symbols("weights", StreamKind.WEIGHT, values, options)


def _write_by_context(writer: LayerWriter, symbols: Symbols, hole: int | None, bits: float) -> bool:
    """Write ``symbols`` by context if that takes fewer than ``bits``."""
    alphabet = alphabet_of(symbols, hole)
    if alphabet > 1 << MAX_DEPTH or symbols.size == 0:
        return False
    payload, grid = shortest_stream(symbols, hole)
    if 8 * len(payload) >= bits:
        return False
    writer.numbers(BY_CONTEXT, grid, alphabet, len(payload))
    writer.coded("weights", StreamKind.WEIGHT, payload, count_symbols(symbols))
    return True


def _read_by_context(header: Fields, payload: Bytes, rows: int, cols: int, hole: int | None, largest: int) -> IntArray:
    grid = header.integer("grid", 0, cols)
    alphabet = header.integer("alphabet", 0, min(largest + 1, 1 << MAX_DEPTH))
    size = header.integer("bytes", 1, payload.left)
    return decode_cells(payload.take("weights", size), rows, cols, hole, alphabet, grid)


def _read_matrix(header: Fields, payload: Bytes, rows: int, cols: int, hole: int | None, largest: int) -> Symbols:
    layout = header.integer("layout", EVERY_CELL, BY_CONTEXT)
    if layout == BY_CONTEXT:
        return _read_by_context(header, payload, rows, cols, hole, largest)
    if hole is None:
        Fields([layout], header.path).integer("layout", EVERY_CELL, EVERY_CELL)
    if hole is None or layout == EVERY_CELL:
        return read_symbols(header, payload, "weights", rows * cols, largest).reshape(rows, cols)
    index = RelativeIndex(header.integer("index_bits", 1, MAX_INDEX_BITS))
    count = header.integer("entries", 0, rows * cols)
    gaps = read_symbols(header, payload, "gaps", count, index.largest)
    values = read_symbols(header, payload, "weights", count, largest)
    entries = RelativeEntries(gaps=gaps, is_filler=values == hole)
    places = index.decode(entries, rows * cols)
    cells: Symbols = np.full(rows * cols, hole, dtype=narrowest(max(hole, int(values.max(initial=0)))))
    cells[places] = values[~entries.is_filler]
    return cells.reshape(rows, cols) if layout == BY_ROW else np.ascontiguousarray(cells.reshape(cols, rows).T)


def _best_layout(symbols: Symbols, hole: int | None, options: EncodeOptions) -> _Layout:
    """Return the cheapest layout. They are priced from histograms, without being written, those with the least entropy first; a
    layout whose entropy is above the best price so far cannot win, nor can any where a bit for each gap is too much.
    """
    counts = count_symbols(symbols, 0 if hole is None else hole + 1)
    price = float(cost_bits(counts, options))
    best = _Layout(layout=EVERY_CELL, bits=price)
    if hole is None:
        return best
    if options.by_column:
        price = math.inf
    kept = np.delete(counts, hole)
    if kept.sum() + entropy_bits(kept) >= price:
        return best
    widths = SEARCHED_INDEX_BITS if options.index_bits is None else (options.index_bits,)
    orders = (BY_COLUMN,) if options.by_column else (BY_ROW, BY_COLUMN)
    layouts = [_Layout(layout=layout, index_bits=width) for layout in orders for width in widths]
    runs = {layout: Runs.of(_cells(symbols, layout), hole) for layout in orders}
    histograms = {layout: _histograms(runs[layout.layout], counts, hole, layout.index_bits) for layout in layouts}
    bounds = {layout: sum(entropy_bits(found) for found in histograms[layout]) for layout in layouts}
    for layout in sorted(layouts, key=bounds.__getitem__):
        if bounds[layout] >= price:
            break
        bits = sum(cost_bits(found, options) for found in histograms[layout])
        if bits < price:
            best, price = replace(layout, bits=bits), bits
    return best


def _histograms(runs: Runs, counts: IntArray, hole: int, index_bits: int) -> tuple[IntArray, IntArray]:
    """Return the counts of gaps and of symbols when non-zeros preceded by ``runs`` zeros are indexed in ``index_bits`` bits."""
    index = RelativeIndex(index_bits)
    fillers, rest = index.split(runs.lengths)
    gaps: IntArray = np.zeros(index.largest + 1, dtype=np.int64)
    np.add.at(gaps, rest, runs.numbers)
    total = int(np.dot(fillers, runs.numbers))
    gaps[index.largest] += total
    symbols = counts.copy()
    symbols[hole] = total
    return gaps, symbols


def _cells(symbols: Symbols, layout: int) -> Symbols:
    return symbols.T.ravel() if layout == BY_COLUMN else symbols.ravel()


def _numbers(number_format: FixedFormat) -> tuple[int, int, int]:
    return number_format.width, number_format.fraction, int(number_format.signed)


def _format(header: Fields, name: str) -> FixedFormat:
    width = header.integer(f"{name}.width", 1, MAX_WIDTH)
    fraction = header.integer(f"{name}.fraction", -64, 64)
    return FixedFormat(width, fraction, bool(header.integer(f"{name}.signed", 0, 1)))
