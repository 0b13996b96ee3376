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
        """Build the two banks; even pointers live in the low halves of the loaded words, odd ones in the high halves."""
        m = Module()
        p = self.parameters
        width = p.column_pointer.size
        column = self.i.payload.column
        take, is_odd, value = Signal(), Signal(reset_less=True), Signal(p.activation, reset_less=True)
        ports = []
        for name, start, address in (("even", 0, self.i.payload.next_pair), ("odd", width, column >> 1)):
            m.submodules[name] = bank = memory.Memory(shape=p.column_pointer, depth=p.pointer_pairs, init=[])
            write, read = bank.write_port(), bank.read_port()
            connect_memory(m, self.load, write, Unit.POINTERS, self.pe)
            m.d.comb += [write.data.eq(self.load.word.data >> start), read.addr.eq(address), read.en.eq(take)]
            ports.append(read.data)
        even, odd = ports
        m.d.comb += [
            self.o.valid.eq(self.busy),
            self.i.ready.eq(~self.busy | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            self.o.payload.places[0].eq(even.place),
            self.o.payload.places[1].eq(odd.place),
            self.o.payload.begins.eq(is_odd),
            self.o.payload.changes.eq(even.place ^ odd.place),
            self.o.payload.value.eq(value),
        ]
        if p.kind is PEKind.PVQ:
            m.d.comb += self.o.payload.cycles.eq(Mux(is_odd, odd.cycles, even.cycles))
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
        with m.If(take):
            m.d.sync += [is_odd.eq(column[0]), value.eq(self.i.payload.value)]
        return m
