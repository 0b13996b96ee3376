"""The broadcast array: activation memory, scan, fork, a queue and a PE for each share of the rows, drain."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.formats.fixed import FixedFormat
from rtl.activations import ActivationMemory, RowReads
from rtl.broadcast import Broadcast
from rtl.drain import Drain
from rtl.load import LoadSignature, Unit, load_layout
from rtl.near import near
from rtl.nonzero import NonZeroScan
from rtl.parameters import ArrayParameters
from rtl.pe import PE_VARIANTS
from rtl.stream import Fork, Queue

CYCLE_BITS = 32
PES_OF_A_LOAD = 4  # PEs that share a copy of the load bus


def events_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of what happens in a cycle.

    ``broadcast``: an item is handed to all queues; ``result``: a row of outputs is there. One bit a PE: ``pop``: it takes an item from its
    queue; ``issue``: a column begins; ``leave``: the column's last entry is issued. ``row_read``: an activation row is read;
    ``passes_zeros``: the scan leaves a row without items; ``queue_full``: an item is offered and not taken; ``draining``: the drain is at
    work. One bit a PE: ``busy``: its issue stage holds a column; ``entry``, ``filler``: an entry, a filler among them, has been read;
    ``weight_read``: a row of the weight memory is read; ``addition``: a product or term goes to a sum.
    """
    p = unsigned(parameters.pes)
    flags = {
        "broadcast": 1,
        "result": 1,
        "pop": p,
        "issue": p,
        "leave": p,
        "row_read": 1,
        "passes_zeros": 1,
        "queue_full": 1,
        "draining": 1,
    }
    return data.StructLayout(flags | {"busy": p, "entry": p, "filler": p, "weight_read": p, "addition": p})


class BroadcastArray(wiring.Component):
    """One layer at a time: activation ``j`` goes to all PEs; PE ``p`` owns the rows ``i`` with ``i % pes == p``.

    Preload all memories and the configuration over ``load`` (it may be used whenever ``busy`` is low and not in the two cycles before or in
    that of ``start``), give ``start`` for one cycle, collect ``result``. Sums are zero at power-up and left at zero by the drain; after a
    reset in the middle of a layer ``clear`` sets them to zero.

    Timing
    ------
    Cycle 0 is the first cycle after ``start``; docs/timing.md has the recurrence of every item. ``scan_start_latency``,
    ``pipeline_latency``, ``drain_start_latency`` and ``drain_latency`` of it are attributes. A word of ``load`` is
    in its memory three cycles after it was on the bus, the configuration in its register two. ``busy`` in cycles 0 to the last result;
    ``cycles`` then holds their number.

    Parameters
    ----------
    parameters : ArrayParameters
        ``kind`` decides which PE there is (:data:`~rtl.pe.PE_VARIANTS`).

    Members
    -------
    load : ``In(LoadSignature(parameters))``
    start, clear : ``In(1)``
        Run the layer; only drain it, which gives rows of no meaning and leaves the sums at zero.
    unload : ``In(RowReads(parameters))``
        Reads the results that were stored, while ``busy`` is low.
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
        self.activations = ActivationMemory(p)
        self.scan = NonZeroScan(p)
        self.drain = Drain(p, self.output)
        self.fork = Fork(p.item, p.pes) if p.queue_latency == 1 else Broadcast(p.item, p.pes, p.queue_depth)
        self.queues = [Queue(p.item, p.queue_depth) for _ in range(p.pes)]
        self.pes = [PE_VARIANTS[p.kind](p, pe) for pe in range(p.pes)]
        self.pipeline_latency = PE_VARIANTS[p.kind].pipeline_latency
        self.drain_latency = self.drain.latency
        super().__init__(
            {
                "load": In(LoadSignature(p)),
                "start": In(1),
                "clear": In(1),
                "unload": In(RowReads(p)),
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
        load, word, layer = LoadSignature(p).create(), Signal(load_layout(p), reset_less=True), Signal(p.layer, reset_less=True)
        m.d.sync += [load.valid.eq(self.load.valid), word.eq(self.load.word)]
        m.d.comb += load.word.eq(word)
        with m.If(load.valid & (load.word.unit == Unit.LAYER)):
            m.d.sync += layer.eq(load.word.data)

        m.submodules.scan, m.submodules.fork, m.submodules.drain = scan, fork, drain = self.scan, self.fork, self.drain
        m.submodules.activations = activations = self.activations
        connect(m, scan.o, fork.i)
        connect(m, scan.rows, activations.scan)
        connect(m, flipped(self.unload), activations.unload)
        connect(m, load, activations.load)
        loads = [self._near_load(m, load) for _ in range(0, p.pes, PES_OF_A_LOAD)]
        for unit in (activations, scan, drain, *self.pes):
            m.d.comb += unit.layer.eq(layer)
        self._wire_pes(m, loads)

        computing, quiet, clears, follows = Signal(), Signal(), Signal(), Signal()
        # What the PEs say reaches the barrier through a register of theirs and one here. Until then, an item on its way is remembered.
        idle, on_its_way = Signal(), Signal(p.queue_latency + 1)
        m.d.sync += [idle.eq(Cat(pe.idle for pe in self.pes).all()), on_its_way.eq(Cat(self.events.broadcast, on_its_way))]
        m.d.comb += [
            quiet.eq(~(scan.active | on_its_way.any()) & idle),
            scan.start.eq((self.start & ~self.busy) | follows),
            clears.eq(self.clear & ~self.busy),
            drain.start.eq((computing & quiet) | clears),
            activations.restart.eq(scan.start | clears),
            activations.results.valid.eq(drain.result.valid),
            activations.results.values.eq(drain.result.values),
            self.events.result.eq(drain.result.valid),
            self.events.broadcast.eq(scan.o.valid & scan.o.ready),
            self.events.row_read.eq(activations.reads),
            self.events.passes_zeros.eq(scan.passes_zeros),
            self.events.queue_full.eq(scan.o.valid & ~scan.o.ready),
            self.events.draining.eq(self.busy & ~computing),
        ]
        connect(m, drain.result, flipped(self.result))
        if p.windows:
            # The next window begins in the cycle after the last result of this one; where it lies is found while this one is drained.
            drains, is_last = Signal(), Signal()
            m.d.comb += [activations.hold.eq(~self.busy), activations.advance.eq(drain.start), follows.eq(drain.done & drains & ~is_last)]
            with m.If(drain.start):
                m.d.sync += [is_last.eq(activations.last), drains.eq(computing)]
        m.d.sync += self.cycles.eq(self.cycles + self.busy)
        with m.If(drain.start):
            m.d.sync += computing.eq(0)
        with m.If(drain.done):
            m.d.sync += self.busy.eq(0)
        with m.If(scan.start | clears):
            m.d.sync += [self.busy.eq(1), computing.eq(scan.start)]
        with m.If(~self.busy & (scan.start | clears)):
            m.d.sync += self.cycles.eq(0)
        return m

    def _wire_pes(self, m: Module, loads: list[wiring.PureInterface]) -> None:
        """Give each PE its branch of the fork, its queue, its copy of the load bus and its lane of the drain."""
        p, waits, first = self.parameters, Signal(), Signal()
        m.d.sync += waits.eq(self.scan.o.valid & ~self.scan.o.ready)
        m.d.comb += first.eq(self.scan.o.valid & ~waits)
        for number, (branch, queue, pe) in enumerate(zip(self.fork.o, self.queues, self.pes, strict=True)):
            m.submodules[f"queue{number}"], m.submodules[f"pe{number}"] = queue, pe
            m.d.comb += [queue.i.valid.eq(branch.valid), queue.i.payload.eq(branch.payload)]
            m.d.comb += self.fork.levels[number].eq(queue.level) if isinstance(self.fork, Broadcast) else branch.ready.eq(queue.i.ready)
            if p.reads_ahead:
                m.d.comb += [pe.offer.first.eq(first), pe.offer.item.eq(self.scan.o.payload), pe.offer.written.eq(branch.valid)]
            connect(m, queue.o, pe.i)
            connect(m, loads[number // PES_OF_A_LOAD], pe.load)
            connect(m, loads[number // PES_OF_A_LOAD], self.drain.loads[number])
            m.d.comb += [
                pe.drain.eq(self.drain.asked[number].valid),
                pe.drain_row.eq(self.drain.asked[number].row),
                self.drain.sums[number].eq(pe.sum),
                self.events.pop[number].eq(queue.o.valid & queue.o.ready),
                self.events.issue[number].eq(pe.issue),
                self.events.leave[number].eq(pe.leave),
                self.events.busy[number].eq(pe.holds),
                self.events.entry[number].eq(pe.entry),
                self.events.filler[number].eq(pe.filler),
                self.events.weight_read[number].eq(pe.weight_read),
                self.events.addition[number].eq(pe.addition),
            ]

    def _near_load(self, m: Module, load: wiring.PureInterface) -> wiring.PureInterface:
        copy = LoadSignature(self.parameters).create()
        m.d.comb += [copy.valid.eq(near(m, load.valid, reset_less=False)), copy.word.eq(near(m, load.word))]
        return copy
