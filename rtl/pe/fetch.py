"""Pointer fetch: from an activation to the place of its column in the weight memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from qsim.arch.architecture import PEKind
from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters


def segment_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a column's entries: two ``places`` in the weight memory, with which of them it ``begins`` (the other one is
    its end), which of their low bits differ (``changes``: as many as the number of entries may have), and the activation ``value``;
    with pulses also the ``cycles`` of all entries, at least 1.
    """
    p = parameters
    cycles = {name: field.shape for name, field in p.column_pointer if name == "cycles"}
    places = {"places": data.ArrayLayout(p.pointer, 2), "begins": 1, "changes": min(p.pointer.width, p.local_rows.bit_length())}
    return data.StructLayout(places | {"value": p.activation} | cycles)


class PointerFetch(wiring.Component):
    """Reads the pointers of column ``j`` and ``j + 1`` in one cycle, from an even and an odd bank.

    Timing
    ------
    One slot, ``latency`` 1: an item taken in cycle ``B`` is offered from ``B + 1``, and the next one is taken in the cycle in which it is
    handed over. The pointers of an item are read once, in the first cycle in which it waits, whether it is taken or not: that it is taken
    is known too late in a cycle to enable a memory. So they are on the memory's output in the first cycle in the slot; an item that stays
    longer has them from registers, and the memory goes on to the next one. They come late in a cycle, so which of them begins the column is
    left to the next one.

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
        """Build the two banks; even pointers live in the low halves of the loaded words, odd ones in the high halves."""
        m = Module()
        p = self.parameters
        width = p.column_pointer.size
        column = self.i.payload.column
        take, is_odd, value = Signal(), Signal(reset_less=True), Signal(p.activation, reset_less=True)
        seen, fresh = Signal(), Signal()
        ports = []
        for name, start, address in (("even", 0, self.i.payload.next_pair), ("odd", width, column >> 1)):
            m.submodules[name] = bank = memory.Memory(shape=p.column_pointer, depth=p.pointer_pairs, init=[])
            write, read = bank.write_port(), bank.read_port()
            connect_memory(m, self.load, write, Unit.POINTERS, self.pe)
            m.d.comb += [write.data.eq(self.load.word.data >> start), read.addr.eq(address), read.en.eq(self.i.valid & ~seen)]
            ports.append(read.data)
        even, odd = ports
        pointers = {name: field.shape for name, field in segment_layout(p) if name in ("places", "changes", "cycles")}
        found, kept = Signal(data.StructLayout(pointers)), Signal(data.StructLayout(pointers), reset_less=True)
        m.d.comb += [
            self.o.valid.eq(self.busy),
            self.i.ready.eq(~self.busy | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            found.places[0].eq(even.place),
            found.places[1].eq(odd.place),
            found.changes.eq(even.place ^ odd.place),
            self.o.payload.begins.eq(is_odd),
            self.o.payload.value.eq(value),
            *(self.o.payload[name].eq(Mux(fresh, found[name], kept[name])) for name in pointers),
        ]
        if p.kind is PEKind.PVQ:
            m.d.comb += found.cycles.eq(Mux(is_odd, odd.cycles, even.cycles))
        m.d.sync += [seen.eq(self.i.valid & ~take), fresh.eq(take)]
        with m.If(fresh):
            m.d.sync += kept.eq(found)
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
        with m.If(take):
            m.d.sync += [is_odd.eq(column[0]), value.eq(self.i.payload.value)]
        return m
