"""Pointers read ahead: on the way of an item to its queue, not behind it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.pe.fetch import PointerBanks, is_increment, segment_layout
from rtl.stream import next_slot


class PointersAhead(wiring.Component):
    """Reads an item's pointers while it is written to the queue, and keeps them in slots of their own until it comes out.

    A block RAM is slow, and where there are many PEs it lies far from what decides that an item is taken. Here that decision only moves
    the number of a slot, and how many entries a column has is known before it begins.

    Timing
    ------
    As :class:`~rtl.pe.fetch.PointerFetch`: an item taken from the queue in cycle ``B`` is offered from ``B + 1`` on, and the next one is
    taken in the cycle in which it is handed over. An item that arrives in ``c`` has its pointers on the banks' outputs in ``c + 1`` and in
    its slot from ``c + 2`` on; the queue gives it in ``B >= c + 1``.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    arrives : ``In({"valid", "payload"})``
        An item is written to the queue. Every item that arrives comes out of the queue, in order; at most ``queue_depth`` are in it.
    i : ``In(stream.Signature(parameters.item))``
        From the queue.
    o : ``Out(stream.Signature(segment_layout(parameters)))``
    load : ``In(LoadSignature(parameters))``
        Writes unit POINTERS.
    busy : ``Out(1)``
        An item is held.
    """

    latency = 1

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        super().__init__(
            {
                "arrives": In(data.StructLayout({"valid": 1, "payload": parameters.item})),
                "i": In(stream.Signature(parameters.item)),
                "o": Out(stream.Signature(segment_layout(parameters))),
                "load": In(LoadSignature(parameters)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the slots between the banks and the offered item; one more than the queue has, for the item that is held."""
        m = Module()
        p = self.parameters
        slots = p.queue_depth + 1
        fields = {"start": p.pointer, "end": p.place_bits, **({"cycles": p.column_cycles} if p.has_cycles else {})}
        m.submodules.banks, m.submodules.kept = banks, kept = (
            PointerBanks(p, self.pe),
            memory.Memory(shape=data.StructLayout(fields), depth=slots, init=[]),
        )
        write, read = kept.write_port(), kept.read_port(domain="comb")
        arrived, is_odd = Signal(), Signal(reset_less=True)
        connect(m, flipped(self.load), banks.load)
        m.d.comb += [banks.item.eq(self.arrives.payload), banks.read.eq(self.arrives.valid)]
        m.d.sync += [arrived.eq(self.arrives.valid), is_odd.eq(self.arrives.payload.column[0])]
        m.d.comb += [
            write.en.eq(arrived),
            write.data.start.eq(Mux(is_odd, banks.odd.place, banks.even.place)),
            write.data.end.eq(Mux(is_odd, banks.even.place, banks.odd.place)),
        ]
        if p.has_cycles:
            m.d.comb += write.data.cycles.eq(Mux(is_odd, banks.odd.cycles, banks.even.cycles))
        with m.If(arrived):
            m.d.sync += write.addr.eq(next_slot(write.addr, slots))

        take, value, slot = Signal(), Signal(p.activation, reset_less=True), Signal(range(slots), init=slots - 1)
        start, end = read.data.start, read.data.end
        changes = start[: p.place_bits] ^ end
        m.d.comb += [
            read.addr.eq(slot),
            self.o.valid.eq(self.busy),
            self.i.ready.eq(~self.busy | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            self.o.payload.start.eq(start),
            self.o.payload.end.eq(end),
            self.o.payload.empty.eq(~changes.any()),
            self.o.payload.alone.eq(is_increment(changes, start[: p.place_bits])),
            self.o.payload.value.eq(value),
        ]
        if p.has_cycles:
            m.d.comb += self.o.payload.cycles.eq(read.data.cycles)
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
        with m.If(take):
            m.d.sync += [slot.eq(next_slot(slot, slots)), value.eq(self.i.payload.value)]
        return m
