"""The counters at the end of every layer, kept for the host."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.counters import COUNTER_BITS, TOTALS, counters_layout
from rtl.parameters import ArrayParameters
from rtl.registers import counter_words


class CounterStore(wiring.Component):
    """Copies the counters of a layer to a memory, a few a cycle, while they stand still: from the end of a layer to the next one's start.

    ``setup`` does not stand still: it is copied first or, where ``loading`` may go on soon and is, kept in a register.

    Timing
    ------
    ``busy`` for ``copy_cycles`` cycles, the first that of ``layer_done``. ``value`` in the cycle after ``en``.

    Parameters
    ----------
    parameters : ArrayParameters
    stand_cycles : int
        Cycles, from that of ``layer_done`` on, in which the counters stand still.

    Members
    -------
    layer_done : ``In(1)``
    layer : ``In``
    counters : ``In(counters_layout(parameters))``
    busy : ``Out(1)``
        What is read may be old.
    en, block, word : ``In``
        Read a counter of a layer, both by number.
    value : ``Out(32)``
    """

    def __init__(self, parameters: ArrayParameters, stand_cycles: int) -> None:
        p = self.parameters = parameters
        self.words = counters_layout(p).size // COUNTER_BITS
        self.banks = 1
        while self.copy_cycles > stand_cycles:
            self.banks *= 2
        self.pitch = counter_words(p) // self.banks  # of a layer in a bank
        super().__init__(
            {
                "layer_done": In(1),
                "layer": In(range(p.layers + 1)),
                "counters": In(counters_layout(p)),
                "busy": Out(1),
                "en": In(1),
                "block": In(range(p.layers)),
                "word": In(ceil_log2(counter_words(p))),
                "value": Out(COUNTER_BITS),
            }
        )

    @property
    def copy_cycles(self) -> int:
        """Cycles of a copy."""
        return -(-self.words // self.banks)

    def elaborate(self, platform: object) -> Module:
        """Copy group after group; a group has a word for each bank."""
        m = Module()
        groups = self.copy_cycles
        first = (self.words - 1 if self.parameters.streamed else TOTALS.index("setup")) // self.banks
        group, copying, layer = Signal(range(groups), init=first), Signal(), Signal.like(self.layer)
        following = Signal.like(group)
        m.d.comb += [following.eq(Mux(group == groups - 1, 0, group + 1)), self.busy.eq(self.layer_done | copying)]
        with m.If(self.layer_done):
            m.d.sync += layer.eq(self.layer)
        with m.If(self.busy):
            m.d.sync += [group.eq(following), copying.eq(following != first)]
        counters, kept = Signal(counters_layout(self.parameters)), Signal(COUNTER_BITS)
        m.d.comb += counters.eq(self.counters)
        if self.parameters.streamed:
            with m.If(self.layer_done):
                m.d.sync += kept.eq(self.counters.setup)
            with m.Else():
                m.d.comb += counters.setup.eq(kept)
        values, each = Value.cast(counters), []
        bank_bits, group_bits = ceil_log2(self.banks), ceil_log2(self.pitch)
        for bank in range(self.banks):
            m.submodules[f"bank{bank}"] = store = memory.Memory(shape=COUNTER_BITS, depth=self.parameters.layers * self.pitch, init=[])
            write, read = store.write_port(), store.read_port()
            words = range(bank, groups * self.banks, self.banks)
            given = Array(values[COUNTER_BITS * word :][:COUNTER_BITS] if word < self.words else Value.cast(0) for word in words)
            m.d.comb += [
                write.addr.eq(Cat(_bits(group, group_bits), Mux(self.layer_done, self.layer, layer))),
                write.data.eq(given[group]),
                write.en.eq(self.busy),
                read.addr.eq(Cat(self.word[bank_bits:], self.block)),
                read.en.eq(self.en),
            ]
            each.append(read.data)
        chosen = Signal(bank_bits)
        with m.If(self.en):
            m.d.sync += chosen.eq(self.word)
        m.d.comb += self.value.eq(Array(each)[chosen] if bank_bits else each[0])
        return m


def _bits(value: Value, width: int) -> Value:
    """Return ``value`` in exactly ``width`` bits."""
    return Cat(value, 0)[:width] if len(value) < width else value[:width]
