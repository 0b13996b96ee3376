"""Pointer fetch: from an activation to the place of its column in the weight memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters


def segment_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a column's entries and its activation ``value``; with pulses also the ``cycles`` of all entries, at least 1.

    Where pointers are read ahead: ``start``, the place of the first entry in the weight memory, the low bits of its ``end``, whether it is
    ``empty`` or has one entry ``alone``. Elsewhere the pointers come late in a cycle and are left as they are: two ``places``, with which
    of them it ``begins`` (the other one is its end), and which of their low bits differ (``changes``).
    """
    p = parameters
    cycles = {name: field.shape for name, field in p.column_pointer if name == "cycles"}
    if p.reads_ahead:
        places = {"start": p.pointer, "end": p.place_bits, "empty": 1, "alone": 1}
    else:
        places = {"places": data.ArrayLayout(p.pointer, 2), "begins": 1, "changes": p.place_bits}
    return data.StructLayout(places | {"value": p.activation} | cycles)


def is_increment(changes: Value, before: Value) -> Value:
    """Return whether ``changes`` are those of ``before`` when 1 is added, without a carry chain: in an increment a bit changes if and only
    if the bit below it changes from 1 to 0, which can be checked for all bits side by side.
    """
    return ~(changes ^ Cat(1, (changes & before)[:-1])).any()


class PointerBanks(wiring.Component):
    """The pointer memory: reads the pointers of column ``j`` and ``j + 1`` in one cycle, from an even and an odd bank.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    load : ``In(LoadSignature(parameters))``
        Writes unit POINTERS: even pointers in the low halves of its words, odd ones in the high halves.
    item : ``In(parameters.item)``
    read : ``In(1)``
        Read the pointers of ``item``, which are there from the next cycle on.
    even, odd : ``Out(parameters.column_pointer)``
    """

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        pointer = parameters.column_pointer
        super().__init__(
            {"load": In(LoadSignature(parameters)), "item": In(parameters.item), "read": In(1), "even": Out(pointer), "odd": Out(pointer)}
        )

    def elaborate(self, platform: object) -> Module:
        """Build the two banks."""
        m = Module()
        p = self.parameters
        for name, start, address in (("even", 0, self.item.next_pair), ("odd", p.column_pointer.size, self.item.column >> 1)):
            m.submodules[name] = bank = memory.Memory(shape=p.column_pointer, depth=p.pointer_pairs, init=[])
            write, read = bank.write_port(), bank.read_port()
            connect_memory(m, self.load, write, Unit.POINTERS, self.pe)
            m.d.comb += [
                write.data.eq(self.load.word.data >> start),
                read.addr.eq(address),
                read.en.eq(self.read),
                getattr(self, name).eq(read.data),
            ]
        return m


class PointerFetch(wiring.Component):
    """Reads the pointers of column ``j`` and ``j + 1`` in one cycle, from an even and an odd bank.

    Timing
    ------
    One slot, ``latency`` 1: an item taken in cycle ``B`` is offered from ``B + 1``, and the next one is taken in the cycle in which it is
    handed over. The pointers stay on the memory's output until then; they come late in a cycle, so the choice between them is left to the
    next one.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    i : ``In(stream.Signature(parameters.item))``
    o : ``Out(stream.Signature(segment_layout(parameters)))``
    load : ``In(LoadSignature(parameters))``
        Writes unit POINTERS.
    busy : ``Out(1)``
        The slot is taken.
    """

    latency = 1

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        super().__init__(
            {
                "i": In(stream.Signature(parameters.item)),
                "o": Out(stream.Signature(segment_layout(parameters))),
                "load": In(LoadSignature(parameters)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the slot in front of the banks' outputs."""
        m = Module()
        p = self.parameters
        m.submodules.banks = banks = PointerBanks(p, self.pe)
        item = self.i.payload
        take, is_odd, value = Signal(), Signal(reset_less=True), Signal(p.activation, reset_less=True)
        connect(m, flipped(self.load), banks.load)
        m.d.comb += [
            self.o.valid.eq(self.busy),
            self.i.ready.eq(~self.busy | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            banks.item.eq(item),
            banks.read.eq(take),
            self.o.payload.places[0].eq(banks.even.place),
            self.o.payload.places[1].eq(banks.odd.place),
            self.o.payload.begins.eq(is_odd),
            self.o.payload.changes.eq(banks.even.place ^ banks.odd.place),
            self.o.payload.value.eq(value),
        ]
        if p.has_cycles:
            m.d.comb += self.o.payload.cycles.eq(Mux(is_odd, banks.odd.cycles, banks.even.cycles))
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
        with m.If(take):
            m.d.sync += [is_odd.eq(item.column[0]), value.eq(item.value)]
        return m
