"""Pointers read ahead: while an item is on its way to the queue, not behind it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.pe.fetch import PointerBanks, is_increment, segment_layout
from rtl.stream import next_slot


def offer_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of an item that the scan offers to all PEs: ``first`` in the first cycle in which it does; ``written`` in the cycle
    in which the item that was taken in the cycle before is written to the queue.
    """
    return data.StructLayout({"first": 1, "item": parameters.item, "written": 1})


class PointersAhead(wiring.Component):
    """Reads an item's pointers while it is offered to all queues, and keeps them in slots of their own until it comes out of its queue.

    A block RAM is slow, and where there are many PEs it lies far from what decides that an item is taken. Here that decision only moves
    the number of a slot; a register of its own takes what comes from the memory, and how many entries a column has is known before it
    begins.

    Timing
    ------
    As :class:`~rtl.pe.fetch.PointerFetch`: an item taken from the queue in cycle ``B`` is offered from ``B + 1`` on, and the next one is
    taken in the cycle in which it is handed over. The pointers of an item broadcast in ``A`` are on the banks' outputs in ``A + 1``, when
    it is written to the queue, in the register in ``A + 2``, in their slot from ``A + 3`` on; the queue gives the item in ``B >= A + 2``.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    offer : ``In(offer_layout(parameters))``
        Every item written comes out of the queue, in order; at most ``queue_depth`` are in it.
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
                "offer": In(offer_layout(parameters)),
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
        m.submodules.banks = banks = PointerBanks(p, self.pe)
        m.submodules.kept = kept = memory.Memory(shape=data.StructLayout(fields), depth=slots, init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        # Beside the queue: banks, register, slot.
        odd, was_odd, written = Signal(reset_less=True), Signal(reset_less=True), Signal()
        even_pointer, odd_pointer = Signal(p.column_pointer, reset_less=True), Signal(p.column_pointer, reset_less=True)
        connect(m, flipped(self.load), banks.load)
        m.d.comb += [banks.item.eq(self.offer.item), banks.read.eq(self.offer.first)]
        m.d.sync += [odd.eq(self.offer.item.column[0]), was_odd.eq(odd), written.eq(self.offer.written)]
        m.d.sync += [even_pointer.eq(banks.even), odd_pointer.eq(banks.odd)]
        m.d.comb += [
            write.en.eq(written),
            write.data.start.eq(Mux(was_odd, odd_pointer.place, even_pointer.place)),
            write.data.end.eq(Mux(was_odd, even_pointer.place, odd_pointer.place)),
        ]
        if p.has_cycles:
            m.d.comb += write.data.cycles.eq(Mux(was_odd, odd_pointer.cycles, even_pointer.cycles))
        with m.If(written):
            m.d.sync += write.addr.eq(next_slot(write.addr, slots))

        # Behind it: the slot of the item that is held.
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
