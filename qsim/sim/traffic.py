"""What a layer's weights take in DRAM: exact bits of every column, and the symbols that the entropy decoder has to decode.

=========  =========================================================================================================
machine    bits of a column
=========  =========================================================================================================
dense      rows * weight_bits: the weights as they are
codebook   rows * code_bits; with a decoder their Huffman codes
sparse     entries * entry_bits + P pointers, the memory image of the PEs; with a decoder the Huffman codes of the column
pvq        in the order of its rows: a count of entries, then code and gap of each, dealt to the PEs as they are decoded
by context with a decoder of that coding: the bytes of the stream (:mod:`qsim.sim.context_decoder`), whatever the PEs
=========  =========================================================================================================

Huffman codes are optimal for the layer under the decoder's ``max_code_bits``; their tables of code lengths travel with the
codebook, the row scales and the biases in the first tile.
"""

from dataclasses import dataclass

import numpy as np

from qsim.arch.architecture import Architecture, Coding, PEKind
from qsim.encode.interleave import interleave
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from qsim.formats.huffman import MAX_ALPHABET, CanonicalHuffman
from qsim.formats.layer import Form, ScalarCoded
from qsim.sim.context_decoder import context_stream
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pe.work import Work


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnTraffic:
    """``bits`` [cols] and ``symbols`` [cols] of each column in DRAM; the bits of the code tables, how many tables there are and
    how many symbols they hold together.

    Of context-coded weights ``symbols`` are decisions and ``table_symbols`` the words of each bank that are set back at the start.
    """

    bits: IntArray
    symbols: IntArray
    table_bits: int = 0
    tables: int = 0
    table_symbols: int = 0


def column_traffic(form: Form, work: Work, machine: Architecture, layer: str) -> ColumnTraffic:
    """Return what each column of a layer takes in DRAM."""
    if machine.decoder is not None and machine.decoder.coding is Coding.CONTEXT:
        stream = context_stream(form, machine, layer)
        return ColumnTraffic(bits=stream.bits, symbols=stream.decisions, table_symbols=stream.slots)
    if machine.decoder is not None:
        return _coded(form, machine, layer)
    bits = work.entries.sum(axis=0) * machine.array.entry_bits
    if PE_VARIANTS[machine.array.kind].pointers:
        bits = bits + machine.array.pes * machine.pointers.width_bits
    return ColumnTraffic(bits=bits, symbols=np.zeros_like(bits))


def decoder_cycles(symbols: IntArray, table_symbols: int, machine: Architecture) -> IntArray:
    """Return the cycles that each tile of ``symbols`` [T] takes in the decoder, 0 without one."""
    decoder = machine.decoder
    if decoder is None:
        return np.zeros_like(symbols)
    if decoder.coding is Coding.HUFFMAN:
        return -(-symbols // decoder.symbols_per_cycle)
    cycles = symbols * decoder.decision_cycles
    cycles[0] += table_symbols
    return cycles


def _coded(form: Form, machine: Architecture, layer: str) -> ColumnTraffic:
    assert machine.decoder is not None
    total = ColumnTraffic(bits=np.zeros(form.cols, dtype=np.int64), symbols=np.zeros(form.cols, dtype=np.int64))
    for symbols, column, alphabet in _symbols(form, machine):
        lengths, table = _lengths(symbols, alphabet, machine, layer)
        bits = np.bincount(column, lengths[symbols], minlength=form.cols).astype(np.int64)
        total = ColumnTraffic(
            bits=total.bits + bits,
            symbols=total.symbols + np.bincount(column, minlength=form.cols),
            table_bits=total.table_bits + table,
            tables=total.tables + 1,
            table_symbols=total.table_symbols + int(np.count_nonzero(lengths)),
        )
    if total.table_symbols > machine.decoder.table_symbols:
        rule = f"at least {total.table_symbols}, the symbols in the codes of {layer}"
        raise UnsupportedProgram(path="decoder.table_symbols", rule=rule, value=machine.decoder.table_symbols)
    return total


def _lengths(symbols: IntArray, alphabet: int, machine: Architecture, layer: str) -> tuple[IntArray, int]:
    assert machine.decoder is not None
    counts = np.bincount(symbols, minlength=alphabet)
    limit = machine.decoder.max_code_bits
    occurring = int(np.count_nonzero(counts))
    if occurring > 1 << limit or alphabet > MAX_ALPHABET:
        rule = f"enough for the {occurring} symbols of {layer}"
        raise UnsupportedProgram(path="decoder.max_code_bits", rule=rule, value=machine.decoder.max_code_bits)
    code = CanonicalHuffman.from_counts(counts, limit)
    return code.lengths, code.table_bits


def _symbols(form: Form, machine: Architecture) -> list[tuple[IntArray, IntArray, int]]:
    """Return each stream as its symbols, the column of each symbol, and the size of its alphabet."""
    array = machine.array
    if array.kind is PEKind.DENSE:
        raise UnsupportedProgram(path="decoder", rule="absent on a dense machine, whose weights are not coded", value=machine.decoder)
    if array.kind is PEKind.CODEBOOK:
        assert isinstance(form, ScalarCoded)
        codes = form.codes.T.astype(np.int64)
        return [(codes.ravel(), np.repeat(np.arange(form.cols), form.rows), len(form.codebook))]
    image = interleave(form, pes=1, index_bits=array.index_bits, code_bits=array.code_bits)
    counts = image.entries[0]
    column = np.repeat(np.arange(form.cols), counts)
    lowest = 0 if image.table is not None else -(1 << (array.code_bits - 1))
    return [
        (image.codes - lowest, column, 1 << array.code_bits),
        (image.gaps, column, 1 << array.index_bits),
        (counts, np.arange(form.cols), int(counts.max(initial=0)) + 1),
    ]
