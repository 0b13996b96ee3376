"""The Huffman decoder under proof: every stream of a small code against a decoder that remembers all bits."""

from types import ModuleType

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring

from qsim.formats.huffman import CanonicalHuffman
from rtl.formal.harnesses import Harness, taken
from rtl.formal.rules import assert_soon, assert_stable, assume_stable
from rtl.huffman import table_words

COMPLETE = CanonicalHuffman([2, 1, 0, 3, 3])
SINGLE = CanonicalHuffman([0, 1])  # the only kind of code in which bits can be invalid
LONGEST, WORD, WORDS = 3, 8, 2
HISTORY = WORD * WORDS


def huffman(source: ModuleType, code: CanonicalHuffman) -> Harness:
    """Loads the table, then starts once with any count and size, and sends any words.

    The symbols are those of the bits; without an error all of them came, in exactly the bits promised, with zero padding and the
    last word marked; and with an error one of that is not so. It ends: what waits neither for words nor for the consumer is
    done within a few cycles.
    """

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        running = _load(m, unit, code)
        count, bits = Signal.like(unit.start.count), Signal.like(unit.start.bits)
        with m.If(unit.start.en):
            m.d.sync += [count.eq(unit.start.count), bits.eq(unit.start.bits)]
        assume_stable(m, unit.i, "i")
        assert_stable(m, unit.o, "o")

        history, held, place = Signal(HISTORY + LONGEST), Signal(range(WORDS + 2)), Signal(range(HISTORY + 8))
        ended, symbols = Signal(), Signal(6)
        with m.If(taken(unit.i) & ~unit.done):
            m.d.comb += Assume(held < WORDS)
            word = Cat(Const(0, HISTORY + LONGEST - WORD), unit.i.payload.bits)
            m.d.sync += [history.eq(history | (word >> (held * WORD))), held.eq(held + 1), ended.eq(unit.i.payload.last)]
        symbol, length = _first_code((history << place)[: HISTORY + LONGEST], code)
        with m.If(taken(unit.o)):
            m.d.comb += [Assert(unit.o.payload == symbol), Assert(place + length <= bits), Assert(symbols < count)]
            m.d.sync += [place.eq(place + length), symbols.eq(symbols + 1)]
        padding = (history << place)[: HISTORY + LONGEST].any()
        whole = (symbols == count) & (place == bits) & ~padding & (ended | (bits == 0)) & (held * WORD < bits + WORD)
        with m.If(unit.done & running):
            m.d.comb += [Assert(~unit.o.valid), Assert((unit.error == source.HuffmanError.NONE) == whole)]
        for error in source.HuffmanError:
            if code is SINGLE or error != source.HuffmanError.INVALID_CODE:
                m.d.comb += Cover(unit.done & (unit.error == error) & running & (count > 1))
        idle = running & ~unit.done & unit.o.ready & ~unit.o.valid & (unit.i.valid | ~unit.i.ready)
        assert_soon(m, idle, 7, "idle")

    return Harness(source.HuffmanDecoder(max_length=LONGEST, symbols=4, symbol_bits=3, word_bits=WORD, count_bits=5), rules)


def _load(m: Module, unit: wiring.Component, code: CanonicalHuffman) -> Signal:
    """Write the tables in the first cycles, then start; return whether the start has been."""
    clock, running = Signal(3), Signal()
    m.d.sync += clock.eq(clock + (clock < 5))
    m.d.comb += [
        Assume(unit.lengths.en == (clock < 3)),
        Assume(unit.symbols.en == (clock < len(code.decoding_tables.symbols))),
        Assume(unit.start.en == (clock == 4)),
    ]
    for at, word in enumerate(table_words(code, LONGEST)):
        for name, value in word.items():
            m.d.comb += Assume((clock != at) | (getattr(unit.lengths, name) == value))
    for at, symbol in enumerate(code.decoding_tables.symbols):
        m.d.comb += Assume((clock != at) | ((unit.symbols.addr == at) & (unit.symbols.data == symbol)))
    m.d.comb += running.eq(clock == 5)
    return running


def _first_code(bits: Value, code: CanonicalHuffman) -> tuple[Value, Value]:
    """Return symbol and length of the code on top of ``bits``, from the list of codes."""
    symbol, length = Const(0, 3), Const(0, 2)
    for number, size in enumerate(code.lengths.tolist()):
        if size:
            here = bits[len(bits) - size :] == int(code.codes[number])
            symbol, length = Mux(here, number, symbol), Mux(here, size, length)
    return symbol, length
