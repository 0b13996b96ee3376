"""The broadcast array: scan, fork, a queue and a PE for each share of the rows, drain."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.formats.fixed import FixedFormat
from rtl.drain import Drain
from rtl.load import LoadSignature, Unit
from rtl.nonzero import NonZeroScan
from rtl.parameters import ArrayParameters
from rtl.pe import PE_VARIANTS
from rtl.stream import Fork, Queue

CYCLE_BITS = 32


def events_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of what happens in a cycle.

    ``broadcast``: an item is handed to all queues; ``result``: a row of outputs is there. One bit a PE: ``pop``: it takes an item from its
    queue; ``issue``: a column begins; ``leave``: the column's last entry is issued.
    """
    flags = unsigned(parameters.pes)
    return data.StructLayout({"broadcast": 1, "result": 1, "pop": flags, "issue": flags, "leave": flags})


class BroadcastArray(wiring.Component):
    """One layer at a time: activation ``j`` goes to all PEs; PE ``p`` owns the rows ``i`` with ``i % pes == p``.

    Preload all memories and the configuration over ``load`` (it may be used whenever ``busy`` is low and not in the cycle before or of
    ``start``), give ``start`` for one cycle, collect ``result``. Sums are zero at power-up and left at zero by the drain.

    Timing
    ------
    Cycle 0 is the first cycle after ``start``; docs/timing.md has the recurrence of every item. ``scan_start_latency``,
    ``pipeline_latency``, ``drain_start_latency`` and ``drain_latency`` of it are attributes. A word of ``load`` is
    in its memory two cycles after it was on the bus. ``busy`` in cycles 0 to the last result; ``cycles`` then holds their number.

    Parameters
    ----------
    parameters : ArrayParameters
        ``kind`` decides which PE there is (:data:`~rtl.pe.PE_VARIANTS`).

    Members
    -------
    load : ``In(LoadSignature(parameters))``
    start : ``In(1)``
    busy : ``Out(1)``
    cycles : ``Out(32)``
        Cycles of the layer, once ``busy`` is low again.
    result : ``Out({"valid", "row", "values"})``
        As in :class:`~rtl.drain.Drain`.
    events : ``Out(events_layout(parameters))``
        To observe.
    """

    scan_start_latency = NonZeroScan.start_latency
    drain_start_latency = 2

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        self.output = FixedFormat(p.activation_bits, 0)
        self.scan = NonZeroScan(p)
        self.drain = Drain(p, self.output)
        self.fork = Fork(p.item, p.pes)
        self.queues = [Queue(p.item, p.queue_depth) for _ in range(p.pes)]
        self.pes = [PE_VARIANTS[p.kind](p, pe) for pe in range(p.pes)]
        self.pipeline_latency = PE_VARIANTS[p.kind].pipeline_latency
        self.drain_latency = self.drain.latency
        super().__init__(
            {
                "load": In(LoadSignature(p)),
                "start": In(1),
                "busy": Out(1),
                "cycles": Out(CYCLE_BITS),
                "result": self.drain.signature.members["result"],
                "events": Out(events_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the units; the barrier begins the drain when nothing has been under way for a cycle."""
        m = Module()
        p = self.parameters
        load, layer = LoadSignature(p).create(), Signal(p.layer)
        m.d.sync += [load.valid.eq(self.load.valid), load.word.eq(self.load.word)]
        with m.If(load.valid & (load.word.unit == Unit.LAYER)):
            m.d.sync += layer.eq(load.word.data)

        m.submodules.scan, m.submodules.fork, m.submodules.drain = scan, fork, drain = self.scan, self.fork, self.drain
        connect(m, scan.o, fork.i)
        for unit in (scan, drain):
            connect(m, load, unit.load)
            m.d.comb += unit.layer.eq(layer)
        for number, (branch, queue, pe) in enumerate(zip(fork.o, self.queues, self.pes, strict=True)):
            m.submodules[f"queue{number}"], m.submodules[f"pe{number}"] = queue, pe
            connect(m, branch, queue.i)
            connect(m, queue.o, pe.i)
            connect(m, load, pe.load)
            m.d.comb += [
                pe.layer.eq(layer),
                pe.drain.eq(drain.row_valid),
                pe.drain_row.eq(drain.row),
                drain.sums[number].eq(pe.sum),
                self.events.pop[number].eq(queue.o.valid & queue.o.ready),
                self.events.issue[number].eq(pe.issue),
                self.events.leave[number].eq(pe.leave),
            ]

        computing, quiet = Signal(), Signal()
        m.d.comb += [
            quiet.eq(~scan.active & Cat(pe.idle & ~queue.o.valid for queue, pe in zip(self.queues, self.pes, strict=True)).all()),
            scan.start.eq(self.start & ~self.busy),
            self.events.result.eq(drain.result.valid),
            self.events.broadcast.eq(scan.o.valid & scan.o.ready),
            drain.start.eq(computing & quiet),
        ]
        connect(m, drain.result, flipped(self.result))
        m.d.sync += self.cycles.eq(self.cycles + self.busy)
        with m.If(drain.start):
            m.d.sync += computing.eq(0)
        with m.If(drain.done):
            m.d.sync += self.busy.eq(0)
        with m.If(scan.start):
            m.d.sync += [self.busy.eq(1), computing.eq(1), self.cycles.eq(0)]
        return m
