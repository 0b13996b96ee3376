"""The decoder of context-coded weights as a machine sees it: its stream, its time and its accesses.

A layer (or the block of a convolution that is loaded together) is one stream of :mod:`qsim.formats.context`, its matrix taken column by
column, because that is how tiles come. Bits and decisions of a column are counted from that very stream. A decision takes
``decoder.decision_cycles`` cycles: the slots that it teaches and the bit that it gives choose what the next one reads, so decisions do not
overlap. Before the first, each word of the banks is set back, a word of all banks a cycle.

What a decision does is read off the coder's loop (``_decide`` in :mod:`qsim.formats.context_kernel`); none of it is fitted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qsim.actions import Access, Action
from qsim.arch.architecture import Architecture, Decoder
from qsim.arch.context_memories import BANKS, INPUTS, context_memories
from qsim.errors import UnsupportedProgram
from qsim.formats.context import MAX_DEPTH, alphabet_of, depth_of, encode_rows, slots_of
from qsim.formats.fixed import IntArray
from qsim.formats.layer import Form, Pyramid, ScalarCoded
from qsim.units import BITS_PER_BYTE

MIXER_BITS = 32
OPERAND_BITS = 16
MULTIPLICATIONS = 3 * INPUTS + 1  # to mix, to teach mixer and slots; one for the interval
ADDITIONS = (INPUTS - 1) + INPUTS + 2 * INPUTS + 4  # sum; mixer; slots (difference, move); error, range, middle, comparison


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContextStream:
    """``bits`` [cols] and ``decisions`` [cols] of each column of a layer; ``slots`` of a bank that are used."""

    bits: IntArray
    decisions: IntArray
    slots: int


def context_stream(form: Form, machine: Architecture, layer: str) -> ContextStream:
    """Return the stream of ``form`` by column. Raises :class:`UnsupportedProgram` for one that the decoder of ``machine`` cannot hold."""
    assert machine.decoder is not None
    cells, hole = _cells(form, machine)
    alphabet = alphabet_of(cells, hole)
    if alphabet > 1 << MAX_DEPTH:
        raise UnsupportedProgram(path="decoder.coding", rule=f"huffman for the {alphabet} symbols of {layer}", value="context")
    depth = depth_of(alphabet)
    slots = slots_of(cells.shape[1], depth)
    if slots > machine.decoder.slots:
        raise UnsupportedProgram(path="decoder.slots", rule=f"at least {slots}, for {layer}", value=machine.decoder.slots)
    payload, ends = encode_rows(cells, hole)
    ends[-1] = len(payload)
    kept = np.full(len(cells), cells.shape[1]) if hole is None else np.count_nonzero(cells != hole, axis=1)
    decisions = (0 if hole is None else cells.shape[1]) + kept * depth
    return ContextStream(bits=np.diff(ends, prepend=0) * BITS_PER_BYTE, decisions=decisions.astype(np.int64), slots=slots)


def _cells(form: Form, machine: Architecture) -> tuple[npt.NDArray[np.int64], int | None]:
    """Return the symbols of ``form`` [cols, rows] and the one that stands for an empty cell."""
    match form:
        case ScalarCoded():
            codes = form.codes.T.astype(np.int64)
            if form.mask is None:
                return codes, None
            return np.where(form.mask.T, codes, len(form.codebook)), len(form.codebook)
        case Pyramid():
            lowest = min(0, int(form.pulses.min(initial=0)))
            return form.pulses.T.astype(np.int64) - lowest, -lowest
        case _:
            raise UnsupportedProgram(path="decoder", rule="absent on a dense machine, whose weights are not coded", value=machine.decoder)


def context_actions(decoder: Decoder, decisions: int, cleared: int) -> Iterable[tuple[Access, int]]:
    """Return what ``decisions`` and ``cleared`` words of every bank cost."""
    slots, columns, logits, chances, rates = (
        Access(unit=name, action=Action.SRAM_READ, width_bits=width, capacity_bytes=size)
        for name, size, width, _ in context_memories(decoder)
    )
    yield slots, INPUTS * decisions
    yield _write(slots), INPUTS * decisions + BANKS * cleared
    yield columns, decisions
    yield _write(columns), decisions
    yield logits, INPUTS * decisions
    yield chances, decisions
    yield rates, INPUTS * decisions
    for action in (Action.REGISTER_READ, Action.REGISTER_WRITE):
        yield Access(unit="decoder", action=action, width_bits=MIXER_BITS), INPUTS * decisions
    yield Access(unit="decoder", action=Action.INT_MULTIPLY, width_bits=OPERAND_BITS), MULTIPLICATIONS * decisions
    yield Access(unit="decoder", action=Action.INT_ADD, width_bits=MIXER_BITS), ADDITIONS * decisions


def _write(read: Access) -> Access:
    return Access(unit=read.unit, action=Action.SRAM_WRITE, width_bits=read.width_bits, capacity_bytes=read.capacity_bytes)
