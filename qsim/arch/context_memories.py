"""The memories of a decoder of context-coded weights, as its algorithm (:mod:`qsim.formats.context_kernel`) has them.

=============  ==================================  =====  ==========================================================
memory         words                               bits   copies
=============  ==================================  =====  ==========================================================
slots          ``decoder.slots``                   26     16: a chance of 16 bits and its count; 8 for "kept?", 8 for symbols
column states  ``decoder.slots``                   24     1: weights kept (16), last symbol (5), kept in the last two rows (2)
logits         4096                                13     8, one for each input
chances        2 * 2815 + 1                        16     1
rates          1024                                16     8, one for each slot that learns
=============  ==================================  =====  ==========================================================

The three constant tables are priced and leak as SRAM of their size. The mixers' weights are registers.
"""

from qsim.arch.architecture import Decoder

INPUTS = 8
BANKS = 2 * INPUTS
SLOT_BITS = 16 + 10
COLUMN_BITS = 24
LOGITS, LOGIT_BITS = 1 << 12, 13
CHANCES, CHANCE_BITS = 2 * 2815 + 1, 16
RATES, RATE_BITS = 1 << 10, 16


def context_memories(decoder: Decoder) -> tuple[tuple[str, int, int, int], ...]:
    """Return name, bytes, width in bits and number of slots, column states, logits, chances and rates, in this order."""
    kinds = (
        (decoder.slots, SLOT_BITS, BANKS),
        (decoder.slots, COLUMN_BITS, 1),
        (LOGITS, LOGIT_BITS, INPUTS),
        (CHANCES, CHANCE_BITS, 1),
        (RATES, RATE_BITS, INPUTS),
    )
    return tuple(("decoder", -(-words * bits // 8), bits, copies) for words, bits, copies in kinds)
