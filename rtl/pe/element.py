"""What the array sees of a PE, whichever it is."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.pe.address import ColumnAddress
from rtl.pe.ahead import PointersAhead, offer_layout
from rtl.pe.entries import EntryReader
from rtl.pe.fetch import PointerFetch


def _fetch(parameters: ArrayParameters, pe: int) -> PointerFetch | PointersAhead | ColumnAddress:
    if parameters.reads_ahead:
        return PointersAhead(parameters, pe)
    return PointerFetch(parameters, pe) if parameters.has_gaps else ColumnAddress(parameters, pe)


class Element(wiring.Component):
    """A PE: takes items from its queue, adds to its sums, shows them to the drain. Each kind is a subclass.

    Timing
    ------
    Item ``n`` is taken in ``B[n]`` and begins to issue in ``I[n] = max(B[n] + 1, I[n-1] + s[n-1])``, where ``s`` is what the column costs,
    at least 1; ``B[n] >= I[n-1]``. The last entry is issued in ``I[n] + s[n]``, an entry issued in ``c`` is in its sum after
    ``c + pipeline_latency``, and ``idle`` is high from that cycle on, if nothing follows; it is low from the cycle after an item was
    offered.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant, and which rows it owns.

    Members
    -------
    i : ``In(stream.Signature(parameters.item))``
    offer : ``In(offer_layout(parameters))``
        Only where pointers are read ahead (:mod:`rtl.pe.ahead`).
    load : ``In(LoadSignature(parameters))``
    layer : ``In(parameters.layer)``
        ``drain_rows`` and ``full_pes`` are read where there are no pointers.
    drain, drain_row, sum
        Of the :class:`~rtl.pe.accumulate.Accumulator`.
    idle : ``Out(1)``
        Nothing was offered, held or under way in the cycle before; from a register.
    issue, leave : ``Out(1)``
        A column begins to issue (``I``); a column issues its last entry. To observe.
    holds, entry, filler, weight_read, addition : ``Out(1)``
        To count: see :func:`rtl.array.events_layout`.
    """

    pipeline_latency: int
    drain_latency = Accumulator.drain_latency

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        self.fetch = _fetch(parameters, pe)
        offer = {"offer": In(offer_layout(parameters))} if parameters.reads_ahead else {}
        super().__init__(
            {
                "i": In(stream.Signature(parameters.item)),
                "load": In(LoadSignature(parameters)),
                "layer": In(parameters.layer),
                "drain": In(1),
                "drain_row": In(parameters.local_row),
                "sum": Out(parameters.accumulator),
                "idle": Out(1),
                "issue": Out(1),
                "leave": Out(1),
            }
            | offer
            | dict.fromkeys(("holds", "entry", "filler", "weight_read", "addition"), Out(1))
        )

    def connect_fetch(self, m: Module) -> None:
        """Add the unit that finds the place of a column, and connect it to the queue."""
        m.submodules.fetch = fetch = self.fetch
        connect(m, flipped(self.i), fetch.i)
        if isinstance(fetch, ColumnAddress):
            m.d.comb += fetch.layer.eq(self.layer)
        else:
            connect(m, flipped(self.load), fetch.load)
        if isinstance(fetch, PointersAhead):
            m.d.comb += fetch.offer.eq(self.offer)

    def connect_sums(self, m: Module, accumulator: Accumulator) -> None:
        """Add the accumulator, and connect it to the drain."""
        m.submodules.accumulator = accumulator
        m.d.comb += [
            accumulator.drain.eq(self.drain),
            accumulator.drain_row.eq(self.drain_row),
            self.sum.eq(accumulator.sum),
            self.addition.eq(accumulator.i.valid),
        ]

    def observe(self, m: Module, reader: EntryReader, *, issue: Value, holds: Value, leave: Value) -> None:
        """Drive ``idle`` and what is there to observe; ``holds``: the issue stage has a column, with entries or without.

        A shift register follows each cycle of the issue stage through the pipeline, as far as the barrier's own two registers need.
        """
        under_way, works = Signal(self.pipeline_latency - 2), Signal()
        m.d.sync += [under_way.eq(Cat(holds, under_way)), works.eq(Cat(self.i.valid, self.fetch.busy, holds, under_way).any())]
        m.d.comb += [
            self.idle.eq(~works),
            self.issue.eq(issue),
            self.leave.eq(leave),
            self.holds.eq(holds),
            self.entry.eq(reader.o.valid),
            self.weight_read.eq(reader.reads),
        ]
        if self.parameters.has_gaps:  # elsewhere code 0 is a weight like any other
            m.d.comb += self.filler.eq(reader.o.valid & (reader.o.payload.code == 0))
